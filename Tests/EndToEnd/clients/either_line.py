# SPDX-License-Identifier: Apache-2.0
"""The official client, of whichever line is installed, behind one face: `httpx` and `connect`."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

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


__all__ = ["connect", "httpx"]
