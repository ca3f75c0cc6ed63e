# SPDX-License-Identifier: Apache-2.0
"""A session of the official client, of whichever line is installed: list, call, progress. Prints one JSON object.

The key comes in TOLLGATE_KEY. `mode` is the 2.x client's: auto, legacy or a protocol version.
"""

import json
import os
import sys

import anyio
from either_line import connect, httpx


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
