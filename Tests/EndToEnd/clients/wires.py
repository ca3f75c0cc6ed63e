# SPDX-License-Identifier: Apache-2.0
"""The official client, of whichever line is installed, on any wire of `every_wire.py`.

Takes scenes, one JSON object a line, plays one after another, and answers each with a line. The key comes in TOLLGATE_KEY.
"""

import json
import os
import sys
import traceback

import anyio
from either_line import connect, httpx
from mcp import types


class Recorder:
    """What was sent, and how each was answered: name, status, media type."""

    def __init__(self):
        self.asked = 0
        self.answers: list[tuple[str, int, str]] = []
        self.session: str | None = None
        self.resumed: list[str] = []
        self.streaming = anyio.Event()

    async def keep(self, response: httpx.Response) -> None:
        sent, fields = response.request, response.headers
        name = json.loads(sent.content).get("method", "an answer") if sent.method == "POST" else sent.method
        media = fields.get("content-type", "").partition(";")[0]
        self.answers.append((name, response.status_code, media))
        self.session = self.session or fields.get("mcp-session-id")
        if "last-event-id" in sent.headers:
            self.resumed.append(sent.headers["last-event-id"])
        if sent.method == "GET" and media == "text/event-stream":
            self.streaming.set()

    async def count(self, _: httpx.Request) -> None:
        self.asked += 1

    async def settled(self) -> None:
        """A result on a stream may come before the answer to the POST that asked for it."""
        with anyio.fail_after(30):
            while len(self.answers) < self.asked:
                await anyio.sleep(0.01)

    def client(self, **fields: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"X-API-Key": os.environ["TOLLGATE_KEY"], **fields},
            timeout=30,
            event_hooks={"request": [self.count], "response": [self.keep]},
        )


async def think(_, params):
    """The caller's model."""
    question = params.messages[0].content.text
    return types.CreateMessageResult(
        role="assistant", model="none", content=types.TextContent(type="text", text=f"{question}? Yes.")
    )


def method(message) -> str:
    """What a notification is called, which the 1.x lines wrap; an exception by its type."""
    return getattr(getattr(message, "root", message), "method", type(message).__name__)


def text(result) -> str:
    return result.content[0].text


async def converse(url: str, handler: str, run: str, mode: str = "legacy", old: bool = False, **wanted) -> dict:
    """`wanted`: steps to climb, consult (on which streams), announce, calls (name and arguments)."""
    recorder, seen, heard = Recorder(), [], []
    announced = anyio.Event()

    async def hear(message) -> None:
        if method(message) == "notifications/resources/list_changed":
            heard.append(method(message))
            announced.set()

    async with httpx.AsyncClient() as releases, recorder.client() as http:

        async def release(*progress) -> None:
            seen.extend(progress[:1])
            await releases.post(f"{handler}/release/{run}")

        handlers = {"sampling_callback": think, "message_handler": hear} if mode == "legacy" else {}
        async with connect(url, http, mode, old=old, **handlers) as session:
            said = {"protocol": session.protocol, "tools": len((await session.tools()).tools)}
            said["called"] = [text(await session.call(name, given)) for name, given in wanted.get("calls", [])]
            if "steps" in wanted:
                await release()
                given = {"steps": wanted["steps"], "run": run}
                said["climbed"] = text(await session.call("climb", given, progress_callback=release))
            if wanted.get("apart"):
                # What is said apart from a call goes to whoever has opened the stream for it.
                await recorder.streaming.wait()
            said["consulted"] = [
                text(await session.call("consult", {"question": "Apart" if apart else "Here", "apart": apart}))
                for apart in wanted.get("consult", [])
            ]
            if wanted.get("announce"):
                await session.call("announce", {})
                await announced.wait()
            await recorder.settled()
    return {
        **said,
        "seen": seen,
        "heard": heard,
        "answers": recorder.answers,
        "session": recorder.session,
        "resumed": len(recorder.resumed),
    }


async def listen(url: str, lost: bool = False) -> dict:
    """Two subscriptions of 2026-07-28 beside calls; `lost`: they end by themselves."""
    recorder = Recorder()
    async with recorder.client() as http, connect(url, http, "2026-07-28") as session:
        async with session.listen(tools_list_changed=True) as tools, session.listen(
            resource_subscriptions=["memo://a"]
        ) as memos:
            events = []
            for uri in ("memo://b", "memo://a"):
                await session.call("publish", {"uri": uri})
                events.append(type(await anext(tools)).__name__)
            events.append((await anext(memos)).uri)
            ended = []
            if lost:
                print(json.dumps("listening"), flush=True)
                for subscription in (tools, memos):
                    try:
                        await anext(subscription)
                    except Exception as problem:
                        ended.append(type(problem).__name__)
    return {"events": events, "ended": ended, "answers": recorder.answers}


async def resume(url: str, handler: str, run: str, steps: int) -> dict:
    """As 1.17 does it: the stream breaks, and whoever kept the token asks again for what came after it, in a new connection."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client
    from mcp.shared.message import ClientMessageMetadata

    seen, tokens, broken = [], [], anyio.Event()
    key = {"X-API-Key": os.environ["TOLLGATE_KEY"]}

    async with httpx.AsyncClient() as releases:

        async def hear(message) -> None:
            if isinstance(message, Exception):
                broken.set()
            elif method(message) == "notifications/progress":
                seen.append(message.root.params.progress)
                await releases.post(f"{handler}/release/{run}")

        async def keep(token: str) -> None:
            tokens.append(token)

        async def climb(session, **metadata):
            call = types.CallToolRequest(
                method="tools/call",
                params=types.CallToolRequestParams(name="climb", arguments={"steps": steps, "run": run}),
            )
            return await session.send_request(
                types.ClientRequest(call),
                types.CallToolResult,
                metadata=ClientMessageMetadata(**metadata),
                progress_callback=nothing,
            )

        async def nothing(*_) -> None:
            """Whoever wants progress has to say so; it is heard above, since the resumed request has another number."""

        async with streamablehttp_client(url, headers=key, terminate_on_close=False) as (read, write, session_id):
            async with ClientSession(read, write, message_handler=hear) as session:
                protocol = (await session.initialize()).protocolVersion
                number = session_id()
                await releases.post(f"{handler}/release/{run}")
                async with anyio.create_task_group() as calls:

                    async def first() -> None:
                        await climb(session, on_resumption_token_update=keep)

                    calls.start_soon(first)
                    await broken.wait()
                    calls.cancel_scope.cancel()
        before = len(seen)
        fields = {**key, "mcp-session-id": number, "mcp-protocol-version": protocol}
        async with streamablehttp_client(url, headers=fields) as (read, write, _):
            async with ClientSession(read, write, message_handler=hear) as session:
                climbed = text(await climb(session, resumption_token=tokens[-1]))
    return {"climbed": climbed, "seen": seen, "before": before}


SCENES = {"converse": converse, "listen": listen, "resume": resume}


async def main() -> None:
    for line in sys.stdin:
        scene = json.loads(line)
        try:
            with anyio.fail_after(60):
                said = await SCENES[scene.pop("scene")](**scene)
        except Exception:
            said = {"failed": traceback.format_exc()}
        print(json.dumps(said), flush=True)


anyio.run(main)
