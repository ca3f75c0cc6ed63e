# SPDX-License-Identifier: Apache-2.0
"""Anonymous memory of processes that have just been started, for each connection, stream or key more."""

import hashlib
import time
from collections.abc import Callable

from .client import Connection, request
from .machine import fail
from .subjects import Kind, Subject, Theatre

#: Writes as many keys as are asked for, like the one that was issued.
COPY = """
local org, id = string.match(redis.call('GET', KEYS[1]), '^(%S+) (%S+)$')
local prefix = 'tg:1:{' .. org .. '}:k:'
local record = redis.call('HGETALL', prefix .. id)
for i, hash in ipairs(ARGV) do
  local copy = string.format('copy%06d', i)
  redis.call('HSET', prefix .. copy, unpack(record))
  redis.call('HSET', prefix .. copy, 'key_hash', hash)
  redis.call('SET', 'tg:1:cred:' .. hash, org .. ' ' .. copy)
end
"""


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def copied_keys(theatre: Theatre, count: int) -> list[str]:
    keys = [f"mcp_{number:043d}" for number in range(count)]
    theatre.stage.ask_redis("EVAL", COPY, "1", f"tg:1:cred:{digest(theatre.key)}", *map(digest, keys))
    return keys


class Growth:
    """What some instances take for each of `more` beyond the `first`, which pay for what a process makes once."""

    def __init__(self, theatre: Theatre, figure: str, settle: float):
        self.theatre = theatre
        self.figure = figure
        #: Seconds until a process has done what it does later: usage is written each second.
        self.settle = settle
        self.kept: list[Connection] = []

    def measure(self, kinds: list[Kind], number: int, first: int, more: int, upstream: int | None, one: Callable):
        """`one(subject, number)` asks for one of those that are counted, and answers what waits for it."""
        subjects = [self.theatre.start(kind, f"{self.figure}{number}", upstream=upstream) for kind in kinds]
        try:
            self.grow(subjects, range(first), one)
            before = [subject.process.anonymous() for subject in subjects]
            self.grow(subjects, range(first, first + more), one)
            for subject, least in zip(subjects, before):
                self.theatre.note(subject.kind, **{self.figure: (subject.process.anonymous() - least) / more})
        finally:
            for connection in self.kept:
                connection.close()
            self.kept.clear()
        for subject in subjects:
            subject.process.end()

    def grow(self, subjects: list[Subject], numbers: range, one: Callable):
        # One after another of each, all at a time.
        for number in numbers:
            for wait in [one(subject, number) for subject in subjects]:
                wait()
        time.sleep(self.settle)
        for subject in subjects:
            if subject.process.process.poll() is not None:
                fail(f"{subject.text} ended: {subject.process.log.read_text()[-2000:]}")

    # ---- what is counted ----

    def connection(self, subject: Subject, _: int) -> Callable:
        """Has had an answer and is kept."""
        self.kept.append(Connection(subject.port, subject.security))
        self.kept[-1].send(request(self.theatre.key))
        return self.kept[-1].wait_for_answer

    def stream(self, subject: Subject, _: int) -> Callable:
        """Has had an event and stays open."""
        self.kept.append(Connection(subject.port))
        self.kept[-1].send(request(self.theatre.key, "/events"))
        return self.kept[-1].wait_for_event

    def caller(self, keys: list[str], calls: int) -> Callable:
        """A key that calls so many times."""
        connections: dict[str, Connection] = {}

        def one(subject: Subject, number: int) -> Callable:
            letter = subject.kind.letter
            if letter not in connections:
                connections[letter] = Connection(subject.port)
                self.kept.append(connections[letter])
            for _ in range(calls - 1):
                connections[letter].ask(request(keys[number]))
            connections[letter].send(request(keys[number]))
            return connections[letter].wait_for_answer

        return one
