# SPDX-License-Identifier: Apache-2.0
"""An MCP handler whose tool takes its next step only when told to, on either line of the official SDK.

`POST /release` goes to the handler directly, not through the sidecar: whoever saw step n releases step n + 1, so that a
notification held back anywhere on the way stops everything instead of only being late.
"""

import socket
import sys

import anyio
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

try:
    from mcp.server import MCPServer as Server
    from mcp.server.mcpserver import Context
except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as Server

server = Server("stepwise", log_level="ERROR")
released = anyio.Semaphore(0)


@server.tool()
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool()
async def climb(steps: int, context: Context) -> str:
    """Reports each step, and takes it only once it is released."""
    for step in range(1, steps + 1):
        await released.acquire()
        await context.report_progress(step, steps)
    await released.acquire()
    return f"climbed {steps}"


@server.custom_route("/release", methods=["POST"])
async def release(request: Request) -> Response:
    released.release()
    return JSONResponse({})


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio does it only where it made the socket; without it each answer waits 40 ms for its second packet.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", timeout_graceful_shutdown=1)
    sys.exit(uvicorn.Server(config).run(sockets=[listener]))
