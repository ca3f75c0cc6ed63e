# SPDX-License-Identifier: Apache-2.0
"""The official client, of whichever line is installed, behind one face: `httpx` and `connect`."""

from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace

try:
    import httpx2 as httpx
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    @asynccontextmanager
    async def connect(url, http, mode, **options):
        async with Client(streamable_http_client(url, http_client=http), mode=mode, **options) as client:
            yield SimpleNamespace(protocol=client.protocol_version, tools=client.list_tools, call=client.call_tool)

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
    async def connect(url, http, mode, **options):
        async with (
            streamable_http_client(url, http_client=http) as (read, write, _),
            ClientSession(read, write, **options) as session,
        ):
            started = await session.initialize()
            yield SimpleNamespace(protocol=started.protocolVersion, tools=session.list_tools, call=session.call_tool)


__all__ = ["connect", "httpx"]
