# SPDX-License-Identifier: Apache-2.0
"""What stands in the place of the bridge in the process that the tests of MCP SDK 2.x drive their applications with.

The application runs in uvicorn on a port of its own, in the same event loop, with a sidecar in front where there are to be
sidecars. The URL that a test made up stays in Host.
"""

import asyncio
import socket

import anyio
import anyio.to_thread
import httpx2
import sniffio
import uvicorn
import uvicorn.lifespan.off
import uvicorn.protocols.http.h11_impl
from uvicorn.server import ServerState

PATIENCE = 5


class Server:
    """uvicorn without its signals and its timers, which tests of a few milliseconds would wait for."""

    def __init__(self, app):
        self.config = uvicorn.Config(app, http="h11", lifespan="off", log_config=None, server_header=False)
        self.config.load()
        self.state = ServerState()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        # asyncio does it for sockets whose protocol is named, which the kernel does not tell of these: 40 ms an answer.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.listener.getsockname()[1]

    async def start(self):
        def protocol():
            return self.config.http_protocol_class(config=self.config, server_state=self.state, app_state={})

        self.server = await asyncio.get_running_loop().create_server(protocol, sock=self.listener)

    async def stop(self, cancels: bool):
        self.server.close()
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while self.state.tasks and asyncio.get_running_loop().time() < deadline:
            if cancels:
                for task in self.state.tasks:
                    task.cancel()
            await asyncio.sleep(0.005)
        for connection in list(self.state.connections):
            connection.transport.abort()


class SocketsBridge(httpx2.AsyncBaseTransport):
    sidecars = None
    in_process = None

    def __new__(cls, app, *, cancel_on_close: bool = True):
        try:
            library = sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            library = "asyncio"
        # uvicorn has no trio, whose clock those tests turn themselves.
        return super().__new__(cls) if library == "asyncio" else cls.in_process(app, cancel_on_close=cancel_on_close)

    def __init__(self, app, *, cancel_on_close: bool = True):
        self.app = app
        self.cancels = cancel_on_close
        self.daemon = None

    async def __aenter__(self):
        self.server = Server(self.app)
        await self.server.start()
        self.port = self.server.port
        if self.sidecars:
            self.daemon = await anyio.to_thread.run_sync(self.sidecars.start, self.server.port)
            self.port = self.daemon.port
        self.client = httpx2.AsyncHTTPTransport()
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *problem):
        with anyio.CancelScope(shield=True):
            await self.client.__aexit__(*problem)
            await self.server.stop(self.cancels)
            if self.daemon:
                await anyio.to_thread.run_sync(self.sidecars.stop, self.daemon)

    async def handle_async_request(self, request):
        fields = [(name, value) for name, value in request.headers.raw if name.lower() != b"x-api-key"]
        if self.sidecars:
            fields.append((b"X-API-Key", self.sidecars.key.encode()))
        if request.url.scheme == "https":
            fields.append((b"X-Forwarded-Proto", b"https"))
        sent = httpx2.Request(
            request.method,
            request.url.copy_with(scheme="http", host="127.0.0.1", port=self.port),
            headers=fields,
            stream=request.stream,
            extensions=request.extensions,
        )
        answer = await self.client.handle_async_request(sent)
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers,
            stream=answer.stream,
            extensions=answer.extensions,
            request=request,
        )
