# SPDX-License-Identifier: Apache-2.0
"""The official client, of whichever line is installed, behind one face: `httpx` and `connect`.

`connect(…, old=True)` is HTTP+SSE of 2024-11-05; other options are those that `ClientSession` and `Client` share.
"""

from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace

from mcp.client.sse import sse_client

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    @asynccontextmanager
    async def connect(url, http, mode, old=False, **options):
        transport = over_sse(url, http) if old else streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield SimpleNamespace(
                protocol=client.protocol_version, tools=client.list_tools, call=client.call_tool, listen=client.listen
            )

except ImportError:
    import httpx
    from mcp import ClientSession

    try:
        from mcp.client.streamable_http import streamable_http_client
    except ImportError:
        from mcp.client.streamable_http import streamablehttp_client

        def streamable_http_client(url, http_client):
            """1.17 wants to make its client itself; it puts the fields of the protocol on each request anyway."""
            return streamablehttp_client(url, httpx_client_factory=lambda **_: nullcontext(http_client))

    @asynccontextmanager
    async def connect(url, http, mode, old=False, **options):
        transport = over_sse(url, http) if old else streamable_http_client(url, http_client=http)
        async with transport as (read, write, *_), ClientSession(read, write, **options) as session:
            started = await session.initialize()
            yield SimpleNamespace(protocol=started.protocolVersion, tools=session.list_tools, call=session.call_tool)


def over_sse(url, http):
    return sse_client(url, httpx_client_factory=lambda **_: nullcontext(http))


__all__ = ["connect", "httpx"]
