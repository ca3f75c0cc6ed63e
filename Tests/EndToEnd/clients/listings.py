# SPDX-License-Identifier: Apache-2.0
"""A session of the official client, of either line, with the listings application. Prints one JSON object.

The key comes in TOLLGATE_KEY. `mode` is the 2.x client's: auto, legacy or a protocol version.
"""

import json
import os
import sys

import anyio
from either_line import connect, httpx

LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy")


async def main(url: str, mode: str) -> None:
    answers: list[tuple[str, int, int | None, bool]] = []

    async def keep(response: httpx.Response) -> None:
        sent = response.request
        what = json.loads(sent.content)["method"] if sent.method == "POST" else sent.method
        remaining = response.headers.get("x-ratelimit-remaining")
        answers.append(
            (
                what,
                response.status_code,
                None if remaining is None else int(remaining),
                all(name in response.headers for name in LIMITS),
            )
        )

    async with (
        httpx.AsyncClient(
            headers={"X-API-Key": os.environ["TOLLGATE_KEY"]},
            timeout=30,
            event_hooks={"response": [keep]},
        ) as http,
        connect(url, http, mode) as session,
    ):
        said = {
            "protocol": session.protocol,
            "tools": sorted(tool.name for tool in (await session.tools()).tools),
            "found": [part.text for part in (await session.call("search", {"city": "Lisbon"})).content],
            "price": [part.text for part in (await session.call("price", {"listing_id": 2})).content],
            # An error of the tool itself, which is no error of HTTP.
            "missing": [part.text for part in (await session.call("price", {"listing_id": 9})).content],
        }
    print(json.dumps({**said, "answers": answers}))


anyio.run(main, *sys.argv[1:])
