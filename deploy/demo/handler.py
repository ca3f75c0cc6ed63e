# SPDX-License-Identifier: Apache-2.0
"""A small handler to put Tollgate in front of: an MCP server of the official SDK, and a few plain HTTP routes.

It knows nothing of keys or limits; who is calling it reads from the fields that Tollgate adds.
"""

import argparse
import itertools
import os
import socket
from pathlib import Path

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

LISTINGS = {
    1: {"id": 1, "title": "Harbour view loft", "city": "Lisbon", "price": 120},
    2: {"id": 2, "title": "Garden studio", "city": "Porto", "price": 75},
    3: {"id": 3, "title": "Old town flat", "city": "Lisbon", "price": 95},
}

server = MCPServer("listings", instructions="Finds places to stay.", log_level="WARNING")


@server.tool()
def search(city: str) -> list[str]:
    """Titles of the listings in a city."""
    return [listing["title"] for listing in LISTINGS.values() if listing["city"].lower() == city.lower()]


@server.tool()
async def survey(context: Context, steps: int = 5, pause_ms: int = 200) -> str:
    """Looks at every listing in turn and reports progress after each step."""
    for step in range(1, steps + 1):
        await anyio.sleep(pause_ms / 1000)
        await context.report_progress(step, steps, f"step {step} of {steps}")
    return f"{steps} steps done"


@server.custom_route("/health", methods=["GET"])
async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


@server.custom_route("/api/listings", methods=["GET"])
async def list_listings(request: Request) -> Response:
    caller = {
        "org": request.headers.get("x-tollgate-org"),
        "key_id": request.headers.get("x-tollgate-key-id"),
    }
    return JSONResponse({"listings": list(LISTINGS.values()), "caller": caller})


# Listings that callers add are numbered from here and not kept: this is a demonstration, not a store.
numbers = itertools.count(len(LISTINGS) + 1)


@server.custom_route("/api/listings", methods=["POST"])
async def add_listing(request: Request) -> Response:
    try:
        listing = await request.json()
    except ValueError:
        listing = None
    if not isinstance(listing, dict) or not isinstance(listing.get("title"), str):
        return JSONResponse({"error": "a JSON object with a title is expected"}, status_code=422)
    return JSONResponse({**listing, "id": next(numbers)}, status_code=201)


@server.custom_route("/api/listings/{id}", methods=["GET"])
async def show_listing(request: Request) -> Response:
    wanted = request.path_params["id"]
    listing = LISTINGS.get(int(wanted)) if wanted.isdecimal() else None
    if listing is None:
        return JSONResponse({"error": f"no listing {wanted}"}, status_code=404)
    return JSONResponse(listing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address; others than 127.0.0.1 need a network of their own")
    parser.add_argument("--port", type=int, default=8081, help="0 lets the kernel choose")
    parser.add_argument("--port-file", type=Path, help="written with the port once connections are taken")
    arguments = parser.parse_args()

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((arguments.host, arguments.port))
    listener.listen(1024)
    if arguments.port_file:
        # Whoever waits for the file never reads half of it.
        partial = arguments.port_file.with_suffix(".partial")
        partial.write_text(f"{listener.getsockname()[1]}\n")
        os.replace(partial, arguments.port_file)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
