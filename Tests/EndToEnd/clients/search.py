# SPDX-License-Identifier: Apache-2.0
"""One session of the official client, of whichever line is installed: lists the tools and calls `search`. Prints one JSON object.

The key comes in TOLLGATE_KEY. `wire` is `http` or `sse` (2024-11-05).
"""

import json
import os
import sys

import anyio
from either_line import connect, httpx


async def main(url: str, wire: str) -> None:
    async with (
        httpx.AsyncClient(headers={"X-API-Key": os.environ["TOLLGATE_KEY"]}, timeout=30, follow_redirects=True) as http,
        connect(url, http, "auto", old=wire == "sse") as session,
    ):
        tools = [tool.name for tool in (await session.tools()).tools]
        found = [part.text for part in (await session.call("search", {"city": "Lisbon"})).content]
    print(json.dumps({"tools": tools, "found": found}))


anyio.run(main, *sys.argv[1:])
