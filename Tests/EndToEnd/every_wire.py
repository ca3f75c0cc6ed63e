# SPDX-License-Identifier: Apache-2.0
"""An MCP handler that serves every wire there is, each at a path of its own, with whichever line of the SDK is installed.

`/old` is HTTP+SSE of 2024-11-05 with its messages at `/old/messages/`; `/sessions`, `/json`, `/events` (with an event store),
`/stateless` and `/stateless-json` are streamable HTTP, and `/mounted/` has sessions too. On 2.x those six answer 2026-07-28 too.

`POST /release/{run}` goes to the handler directly, as with `stepwise.py`. With two arguments, the files of a certificate and
its key, it speaks TLS.
"""

import inspect
import socket
import sys
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import uvicorn
from mcp import types
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route

try:
    from mcp.server import MCPServer as Server
    from mcp.server.mcpserver import Context

    async def report(context, step: int, steps: int) -> None:
        await context.report_progress(step, steps)

except ImportError:
    from mcp.server.fastmcp import Context
    from mcp.server.fastmcp import FastMCP as Server

    async def report(context, step: int, steps: int) -> None:
        """What `report_progress` does, but on the stream of the call in 1.17 too."""
        token = context.request_context.meta.progressToken
        await context.session.send_progress_notification(token, step, steps, related_request_id=context.request_id)

server = Server("every wire", log_level="CRITICAL")
lowlevel = getattr(server, "_lowlevel_server", None) or server._mcp_server
released = defaultdict(lambda: anyio.Semaphore(0))


class Events(EventStore):
    """What was sent on each stream, by number."""

    def __init__(self):
        self.stored: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id, message):
        self.stored.append((stream_id, message))
        return str(len(self.stored))

    async def replay_events_after(self, last_event_id, send_callback):
        after = int(last_event_id)
        stream = self.stored[after - 1][0]
        for number, (of, message) in enumerate(self.stored[after:], after + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


@server.tool()
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool(name="größe")
def size(of: str) -> int:
    """A name that a field of HTTP can't hold as it is."""
    return len(of)


@server.tool()
async def climb(steps: int, run: str, context: Context) -> str:
    """Reports each step, and takes it only once it is released."""
    for step in range(1, steps + 1):
        await released[run].acquire()
        await report(context, step, steps)
    await released[run].acquire()
    return f"climbed {steps}"


@server.tool()
async def consult(question: str, apart: bool, context: Context) -> str:
    """Asks the caller's model, on the stream of this call or apart from it."""
    answer = await context.session.create_message(
        [types.SamplingMessage(role="user", content=types.TextContent(type="text", text=question))],
        max_tokens=8,
        related_request_id=None if apart else context.request_id,
    )
    return answer.content.text


@server.tool()
async def announce(context: Context) -> str:
    """Tells the caller apart from this call that something has changed."""
    await context.session.send_resource_list_changed()
    return "announced"


@server.tool()
async def publish(uri: str, context: Context) -> str:
    """Tells those who listen, which is what 2026-07-28 has instead of `announce`."""
    await context.notify_tools_changed()
    await context.notify_resource_updated(uri)
    return "published"


async def release(request):
    released[request.path_params["run"]].release()
    return Response(status_code=204)


def streamable(path: str, stack: list, **options) -> Route:
    # A late word to a caller that reconnects is half a second late; 1.17 has no word for it.
    known = inspect.signature(StreamableHTTPSessionManager).parameters
    if "event_store" in options and "retry_interval" in known:
        options["retry_interval"] = 500
    manager = StreamableHTTPSessionManager(lowlevel, security_settings=loopback, **options)
    stack.append(manager.run)

    class Endpoint:
        """Not a function: those get a request and are held to a few methods."""

        async def __call__(self, scope, receive, send):
            await manager.handle_request(scope, receive, send)

    return Route(path, Endpoint())


loopback = TransportSecuritySettings(
    enable_dns_rebinding_protection=True, allowed_hosts=["127.0.0.1:*"], allowed_origins=[]
)
old = SseServerTransport("/old/messages/", security_settings=loopback)


async def serve_old(request):
    async with old.connect_sse(request.scope, request.receive, request._send) as (read, write):
        await lowlevel.run(read, write, lowlevel.create_initialization_options())
    return Response()


def application() -> Starlette:
    managers: list = []

    @asynccontextmanager
    async def lifespan(_):
        async with AsyncExitStack() as stack:
            for run in managers:
                await stack.enter_async_context(run())
            yield

    return Starlette(
        routes=[
            Route("/old", serve_old, methods=["GET"]),
            Mount("/old/messages/", old.handle_post_message),
            streamable("/sessions", managers),
            streamable("/json", managers, json_response=True),
            streamable("/events", managers, event_store=Events()),
            streamable("/stateless", managers, stateless=True),
            streamable("/stateless-json", managers, stateless=True, json_response=True),
            # As an application has a server of another one's: `/mounted` is answered by a redirect.
            Mount("/mounted", routes=[streamable("/", managers)]),
            Route("/release/{run}", release, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio does it only where it made the socket; without it each answer waits 40 ms for its second packet.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    certificate, key = sys.argv[1:] or (None, None)
    config = uvicorn.Config(
        application(), log_level="critical", timeout_graceful_shutdown=1, ssl_certfile=certificate, ssl_keyfile=key
    )
    sys.exit(uvicorn.Server(config).run(sockets=[listener]))
