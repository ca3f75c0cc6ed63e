# SPDX-License-Identifier: Apache-2.0
"""One real tool call through Tollgate with the official MCP client, and what the answer said about the rate limit.

The key is read from TOLLGATE_KEY, so that it is in no list of processes.
"""

import argparse
import os
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

SHOWN = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-policy",
    "ratelimit",
    "x-correlation-id",
)


async def call(url: str, key: str, city: str) -> None:
    answers: list[httpx2.Response] = []

    async def keep(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            answers.append(response)

    async with (
        httpx2.AsyncClient(headers={"X-API-Key": key}, event_hooks={"response": [keep]}, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("search", {"city": city})
        called = answers[-1]
        print(f'tools/call search {{"city": "{city}"}}')
        for content in result.content:
            print(f"  {getattr(content, 'text', content)}")
        print(f"HTTP {called.status_code}, protocol {client.protocol_version}")
        for name in SHOWN:
            if name in called.headers:
                print(f"  {name}: {called.headers[name]}")


def first(failures: BaseExceptionGroup) -> BaseException:
    """The failure inside the task groups that carried it here."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080/mcp")
    parser.add_argument("--city", default="Lisbon")
    arguments = parser.parse_args()
    key = os.environ.get("TOLLGATE_KEY")
    if not key:
        print("TOLLGATE_KEY is not set: it holds the key that tollgatectl issued", file=sys.stderr)
        return 64
    failed = False
    try:
        anyio.run(call, arguments.url, key, arguments.city)
    except* (MCPError, httpx2.HTTPError) as failures:
        failed = True
        print(f"the call failed: {first(failures)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
