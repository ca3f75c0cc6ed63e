# SPDX-License-Identifier: Apache-2.0
"""Eight callers that ask as fast as they can, spread over the ports given, until the time is up. Prints one JSON object.

Admitted are the answers with 200. `outer` is the time from before the first question to behind the last answer, `inner` from
the first answer to the last question: what a bucket gave out lies between what the two allow.
"""

import json
import os
import socket
import sys
import threading
import time

CALLERS = 8


def call(port: int, key: str, deadline: float, said: dict) -> None:
    request = f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
    said["statuses"] = statuses = {}
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        said["before_first"] = time.monotonic()
        while True:
            said["last_asked"] = asked = time.monotonic()
            connection.sendall(request)
            octets = connection.recv(65536)
            while b"\r\n\r\n" not in octets:
                octets += connection.recv(65536)
            head, _, body = octets.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            while len(body) < length:
                body += connection.recv(65536)
            answered = time.monotonic()
            said.setdefault("first_answered", answered)
            said["last_answered"] = answered
            status = int(head[9:12])
            statuses[status] = statuses.get(status, 0) + 1
            if asked >= deadline:
                return


def main() -> None:
    seconds, ports = float(sys.argv[1]), [int(port) for port in sys.argv[2:]]
    said = [{} for _ in range(CALLERS)]
    deadline = time.monotonic() + seconds
    threads = [
        threading.Thread(target=call, args=(ports[n % len(ports)], os.environ["TOLLGATE_KEY"], deadline, said[n]))
        for n in range(CALLERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total: dict[int, int] = {}
    for one in said:
        for status, count in one["statuses"].items():
            total[status] = total.get(status, 0) + count
    print(
        json.dumps(
            {
                "statuses": total,
                "outer": max(one["last_answered"] for one in said) - min(one["before_first"] for one in said),
                "inner": max(one["last_asked"] for one in said) - min(one["first_answered"] for one in said),
            }
        )
    )


main()
