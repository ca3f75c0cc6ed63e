# SPDX-License-Identifier: Apache-2.0
"""What is compared, and how each is started."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .process import Process
from .security import Security
from .stage import Stage


@dataclass(frozen=True)
class Limit:
    count: int
    period: str
    microseconds: int

    @property
    def milliseconds(self) -> int:
        return self.microseconds // 1000

    @property
    def retry(self) -> int:
        """Seconds until there is one token more."""
        return max(1, self.microseconds // self.count // 1_000_000)


#: A limit that load never reaches, and one that a handful of calls do.
AMPLE = Limit(100_000_000, "1s", 1_000_000)
TIGHT = Limit(5, "1h", 3_600_000_000)
#: To the handler at most: more than there are streams.
CONNECTIONS = 2048


def tollgate(stage: Stage, name: str, upstream: int, limit: Limit, _: str):
    return stage.tollgate(name, upstream, f"{limit.count}/{limit.period}", connections=CONNECTIONS)


def nginx(stage: Stage, name: str, upstream: int, limit: Limit, _: str):
    return stage.nginx(
        name, "nginx.conf.template", UPSTREAM=upstream, REDIS=stage.socket, LIMIT=limit.count, PERIOD=limit.microseconds)


def haproxy(stage: Stage, name: str, upstream: int, limit: Limit, key: str):
    return stage.haproxy(
        name, UPSTREAM=upstream, KEY=key, LIMIT=limit.count, MILLISECONDS=limit.milliseconds, RETRY=limit.retry)


@dataclass(frozen=True)
class Kind:
    letter: str
    title: str
    #: Of its instances' folders; of nginx, which of its configurations.
    name: str
    start: Callable[[Stage, str, int, Limit, str], tuple[Process, int]] | None
    limits: bool = True
    uses_redis: bool = True


KINDS = [
    Kind("a", "tollgate", "tollgate", tollgate),
    Kind("b", "lean nginx+Lua", "lean", nginx),
    Kind("b2", "full nginx+Lua", "full", nginx),
    Kind("c", "nginx alone", "bare", nginx, limits=False, uses_redis=False),
    Kind("d", "handler", "handler", None, limits=False, uses_redis=False),
    Kind("e", "HAProxy", "haproxy", haproxy, uses_redis=False),
]
PROXIES = [kind for kind in KINDS if kind.start]


@dataclass
class Subject:
    """One of them, running."""

    kind: Kind
    process: Process
    port: int
    security: Security | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.security else 'http'}://127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.kind.letter} {self.kind.title}"


@dataclass
class Theatre:
    """What all of them need: a stage with Redis and a handler, and a key."""

    stage: Stage
    redis: Process
    handler: Process
    handler_port: int
    key: str
    #: By figure and letter, a value a round.
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def start(self, kind: Kind, purpose: str, limit: Limit = AMPLE, upstream: int | None = None) -> Subject:
        process, port = kind.start(self.stage, f"{kind.name}-{purpose}", upstream or self.handler_port, limit, self.key)
        return Subject(kind, process, port, self.stage.security)

    def note(self, kind: Kind, **values: float):
        for figure, value in values.items():
            self.figures.setdefault(figure, {}).setdefault(kind.letter, []).append(value)
