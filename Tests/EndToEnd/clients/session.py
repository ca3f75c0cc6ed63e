# SPDX-License-Identifier: Apache-2.0
"""A session of the official client, of whichever line is installed: list, call, progress. Prints one JSON object.

The key comes in TOLLGATE_KEY. `mode` is the 2.x client's: auto, legacy or a protocol version.
"""

import json
import os
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
from mcp.client.streamable_http import streamable_http_client

try:
    import httpx2 as httpx
    from mcp import Client

    @asynccontextmanager
    async def connect(url, http, mode):
        async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            yield SimpleNamespace(protocol=client.protocol_version, tools=client.list_tools, call=client.call_tool)

except ImportError:
    import httpx
    from mcp import ClientSession

    @asynccontextmanager
    async def connect(url, http, mode):
        async with (
            streamable_http_client(url, http_client=http) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            started = await session.initialize()
            yield SimpleNamespace(protocol=started.protocolVersion, tools=session.list_tools, call=session.call_tool)


async def main(url: str, handler: str, mode: str) -> None:
    seen: list[float] = []
    answers: list[tuple[str, int, str | None]] = []

    async def keep(response: httpx.Response) -> None:
        sent = response.request
        method = json.loads(sent.content)["method"] if sent.method == "POST" else sent.method
        answers.append((method, response.status_code, response.headers.get("x-ratelimit-remaining")))

    async with (
        httpx.AsyncClient() as releases,
        httpx.AsyncClient(
            headers={"X-API-Key": os.environ["TOLLGATE_KEY"]}, timeout=30, event_hooks={"response": [keep]}
        ) as http,
        connect(url, http, mode) as session,
    ):
        tools = sorted(tool.name for tool in (await session.tools()).tools)
        added = await session.call("add", {"a": 19, "b": 23})

        async def progress(step: float, total: float | None, message: str | None) -> None:
            seen.append(step)
            await releases.post(f"{handler}/release")

        await releases.post(f"{handler}/release")
        with anyio.fail_after(20):
            climbed = await session.call("climb", {"steps": 5}, progress_callback=progress)
        said = {
            "protocol": session.protocol,
            "tools": tools,
            "sum": added.content[0].text,
            "climbed": climbed.content[0].text,
            "seen": seen,
        }
    print(json.dumps({**said, "answers": answers}))


anyio.run(main, *sys.argv[1:])
