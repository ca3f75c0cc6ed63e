# SPDX-License-Identifier: Apache-2.0
"""That a limiter does what it is measured at: who may not is refused, who may is counted, to the last call."""

import json
import time
import urllib.error
import urllib.request
from email.message import Message

from .machine import fail
from .stage import PATH
from .subjects import TIGHT, Subject

#: What is looked at of a line of an access log.
LOGGED = ["correlation_id", "method", "path", "status", "org"]


def ask(port: int, key: str | None = None, correlation: str | None = None) -> tuple[int, Message]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}")
    if key:
        request.add_header("X-API-Key", key)
    if correlation:
        request.add_header("X-Correlation-ID", correlation)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers


def prove(subject: Subject, key: str):
    def expect(what: str, got, wanted):
        if got != wanted:
            fail(f"{subject.text}: {what}: expected {wanted}, got {got}")

    # HAProxy counts by itself, in a window, and tells nobody.
    tells = subject.kind.uses_redis
    expect("without a key", ask(subject.port)[0], 401)
    expect("a wrong key", ask(subject.port, "mcp_" + "A" * 43)[0], 401)
    for left in range(TIGHT.count - 1, -1, -1):
        status, fields = ask(subject.port, key, "proof-1")
        expect("an allowed call", status, 200)
        expect("the correlation id", fields.get("X-Correlation-ID"), "proof-1")
        expect("what is left", fields.get("X-RateLimit-Remaining"), str(left) if tells else None)
        expect("the capacity", fields.get("X-RateLimit-Limit"), str(TIGHT.count) if tells else None)
        if tells:
            reset = int(fields["X-RateLimit-Reset"]) - time.time()
            full = (TIGHT.count - left) * TIGHT.microseconds / TIGHT.count / 1e6
            expect("the time until full", abs(reset - full) < 30, True)
    status, fields = ask(subject.port, key)
    expect("a call too many", status, 429)
    expect("when to come back", 600 < int(fields["Retry-After"]) <= 720, True)
    expect("an id of its own", len(fields["X-Correlation-ID"]) >= 32, True)
    told = "calls counted down" if tells else "calls allowed"
    print(f"  {subject.text}: 401 without a key and with a wrong one, {TIGHT.count} {told}, then 429", flush=True)


def prove_log(subject: Subject):
    """That the calls of the proof are in the access log, which may take a moment: nginx' is buffered."""
    log = subject.process.log.parent / "access.log"
    wanted = [("proof-1", "GET", PATH, 200, "acme")] * TIGHT.count
    deadline = time.monotonic() + 10
    while True:
        # The last line may be half written, and HAProxy has others.
        whole = [line for line in log.read_text().splitlines(keepends=True) if line[:1] == "{" and line.endswith("}\n")]
        calls = [tuple(json.loads(line).get(key) for key in LOGGED) for line in whole]
        logged = [call for call in calls if call[0] == "proof-1"]
        if logged == wanted:
            return
        if time.monotonic() > deadline:
            fail(f"{subject.text}: {TIGHT.count} calls are to be in its log, and it has {logged}")
        time.sleep(0.05)
