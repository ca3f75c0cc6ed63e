# SPDX-License-Identifier: Apache-2.0
"""All that is measured, by name, and the tables it is shown in."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    digits: int


TABLES = {
    "cost": [
        Figure("cpu", "CPU a request, µs", 1),
        Figure("user", "of it user", 1),
        Figure("system", "of it system", 1),
        Figure("redis", "Redis CPU a request, µs", 1),
        Figure("instructions", "user instructions a request", 0),
        Figure("throughput", "requests a second, 32 connections", 0),
    ],
    "latency": [
        Figure("p50_1", "p50, 1 connection, µs", 0),
        Figure("p99_1", "p99, 1 connection, µs", 0),
        Figure("p50_32", "p50, 32 connections, µs", 0),
        Figure("p99_32", "p99, 32 connections, µs", 0),
        Figure("p95_100", "p95, 100 connections, µs", 0),
        Figure("p50_rate", "p50, fixed rate, µs", 0),
        Figure("p99_rate", "p99, fixed rate, µs", 0),
    ],
    "refusing": [
        Figure("refused_cpu", "CPU a refused request, µs", 1),
        Figure("refused_redis", "Redis CPU a refused request, µs", 1),
        Figure("refused", "refused requests a second, 32 connections", 0),
    ],
    "memory": [
        Figure("anonymous", "RssAnon idle, MiB", 2),
        Figure("connection", "RssAnon an idle connection, bytes", 0),
        Figure("stream", "RssAnon an event stream, bytes", 0),
        Figure("key", "RssAnon a known key, bytes", 0),
        Figure("busy_key", "RssAnon a key that calls again, bytes", 0),
        Figure("resident", "resident under load, MiB", 1),
    ],
    "idle": [
        Figure("ready", "CPU from exec to the first answer, ms", 1),
        Figure("idle_cpu", "idle: % of a CPU", 3),
        Figure("idle_calls", "idle: system calls a second", 1),
    ],
}
FIGURES = {figure.name: figure for table in TABLES.values() for figure in table}
#: The same and more over TLS, which is a run of its own.
SECURE_TABLES = {
    "tls": [
        Figure("cpu", "CPU a request, µs", 1),
        Figure("user", "of it user", 1),
        Figure("system", "of it system", 1),
        Figure("throughput", "requests a second, 32 connections", 0),
        Figure("p50_32", "p50, 32 connections, µs", 0),
        Figure("p99_32", "p99, 32 connections, µs", 0),
        Figure("handshake", "CPU a handshake, µs", 1),
        Figure("connection", "RssAnon an idle connection, bytes", 0),
    ],
}
SECURE_FIGURES = {figure.name: figure for table in SECURE_TABLES.values() for figure in table}
SECURE_LETTERS = ["a", "b", "b2", "c"]
LETTERS = ["a", "b", "b2", "c", "e", "d"]
RATIOS = ["a/b", "a/b2", "a/c", "a/e"]
NONE = "-"


@dataclass(frozen=True)
class Spread:
    """A median, and the least and the most of what it is the median of, as they are shown."""

    median: str
    least: str
    most: str

    @staticmethod
    def of(values: list[float], digits: int) -> "Spread":
        return Spread(*(f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))))

    def __str__(self) -> str:
        return self.median if self.least == self.most else f"{self.median} ({self.least} to {self.most})"


@dataclass(frozen=True)
class Row:
    """A figure of all that have it, and the ratios of its medians."""

    spreads: dict[str, Spread]
    ratios: dict[str, str]

    @staticmethod
    def of(values: dict[str, list[float]], digits: int) -> "Row":
        spreads = {letter: Spread.of(values[letter], digits) for letter in LETTERS if letter in values}
        ratios = {}
        for ratio in RATIOS:
            letters = ratio.split("/")
            # Of nothing, and of what is shown as nothing, there is no ratio.
            if all(letter in spreads and float(spreads[letter].median) > 0 for letter in letters):
                over, under = (statistics.median(values[letter]) for letter in letters)
                ratios[ratio] = f"{over / under:.2f}"
        return Row(spreads, ratios)


def table(name: str, rows: dict[str, Row]) -> str:
    """In Markdown, with its columns below each other."""
    letters = SECURE_LETTERS if name in SECURE_TABLES else LETTERS
    ratios = [ratio for ratio in RATIOS if set(ratio.split("/")) <= {*letters}]
    lines = [["", *letters, *ratios]]
    for figure in {**TABLES, **SECURE_TABLES}[name]:
        if row := rows.get(figure.name):
            cells = [str(row.spreads.get(letter, NONE)) for letter in letters]
            lines.append([figure.title, *cells, *(row.ratios.get(ratio, NONE) for ratio in ratios)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)
