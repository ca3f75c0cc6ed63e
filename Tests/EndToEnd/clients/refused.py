# SPDX-License-Identifier: Apache-2.0
"""What a person sees of refusals through the official client: each step is told as a line of JSON.

`steps` are `tools` or `add`, in order, on one session. The key comes in TOLLGATE_KEY.
"""

import json
import os
import sys

import anyio
from either_line import connect, httpx


def cause(problem: BaseException) -> BaseException:
    """What went wrong, without the groups that tasks wrap it in."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def told(problem: BaseException) -> dict:
    error = getattr(problem, "error", None)
    if error is None:
        return {"failed": f"{type(problem).__name__}: {problem}"}
    return {"code": error.code, "message": error.message, "data": error.data}


async def main(url: str, mode: str, *steps: str) -> None:
    async with httpx.AsyncClient(headers={"X-API-Key": os.environ["TOLLGATE_KEY"]}, timeout=20) as http:
        try:
            async with connect(url, http, mode) as session:
                print(json.dumps({"protocol": session.protocol}))
                for step in steps:
                    try:
                        with anyio.fail_after(10):
                            if step == "tools":
                                said = {"tools": sorted(tool.name for tool in (await session.tools()).tools)}
                            else:
                                result = await session.call(step, {"a": 19, "b": 23})
                                is_error = getattr(result, "isError", None) or getattr(result, "is_error", False)
                                said = {"text": result.content[0].text, "is_error": bool(is_error)}
                    except Exception as problem:
                        said = told(cause(problem))
                    print(json.dumps(said))
        except BaseException as problem:
            print(json.dumps(told(cause(problem))))


anyio.run(main, *sys.argv[1:])
