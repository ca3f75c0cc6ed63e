# SPDX-License-Identifier: Apache-2.0
"""A handler that answers /events with a stream that stays open, after its first event, and all else at once.

usage: streams.py PORT
"""

import asyncio
import sys

STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n20\r\ndata: {\"listing\":1,\"new\":true}\n\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Handler(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.read = b""

    def data_received(self, octets):
        self.read += octets
        while b"\r\n\r\n" in self.read:
            head, self.read = self.read.split(b"\r\n\r\n", 1)
            self.transport.write(STREAM if head.startswith(b"GET /events ") else ANSWER)


async def main(port: int):
    server = await asyncio.get_running_loop().create_server(Handler, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
