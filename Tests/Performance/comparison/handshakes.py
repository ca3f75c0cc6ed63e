# SPDX-License-Identifier: Apache-2.0
"""Full handshakes, one after another: nothing is asked, and no session is resumed."""

from .client import Connection, request
from .machine import fail
from .security import CIPHER, VERSION
from .subjects import Subject, Theatre


def prove(subject: Subject, key: str):
    """That all speak the same, and answer."""
    connection = Connection(subject.port, subject.security)
    spoken = connection.socket.version(), connection.socket.cipher()[0]
    if spoken != (VERSION, CIPHER):
        fail(f"{subject.text}: speaks {spoken}, and not {(VERSION, CIPHER)}")
    connection.ask(request(key))
    connection.close()
    print(f"  {subject.text}: {VERSION} with {CIPHER}, answered with 200", flush=True)


def measure(theatre: Theatre, subject: Subject, count: int):
    before = subject.process.seconds()
    for _ in range(count):
        connection = Connection(subject.port, subject.security)
        if connection.socket.session_reused:
            fail(f"{subject.text}: a session was resumed")
        connection.close()
    # Answered on one that came later: by then the others are through.
    last = Connection(subject.port, subject.security)
    last.ask(request(theatre.key))
    last.close()
    theatre.note(subject.kind, handshake=(subject.process.seconds() - before) / (count + 1) * 1e6)
