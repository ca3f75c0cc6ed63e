// SPDX-License-Identifier: Apache-2.0
"use strict";

const events = new EventSource("/page/events");
for (const name of ["hello", "sample", "state"]) {
  events.addEventListener(name, (event) => {
    document.getElementById(name).textContent = JSON.stringify(JSON.parse(event.data), null, 2);
  });
}
