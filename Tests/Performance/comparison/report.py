# SPDX-License-Identifier: Apache-2.0
"""What a run measured: as a file of ratios, and as a page of docs, which is made of that file alone."""

import re
from dataclasses import dataclass
from pathlib import Path

from .figures import FIGURES, LETTERS, NONE, RATIOS, SECURE_FIGURES, SECURE_TABLES, TABLES, Figure, Row, Spread, table
from .machine import ROOT

HERE = Path(__file__).resolve().parent
PLACEHOLDER = re.compile(r"\{([^{}\n]+)\}")


@dataclass(frozen=True)
class Document:
    ratios: Path
    page: Path
    template: Path
    figures: dict[str, Figure]


PLAIN = Document(HERE.parent / "ratios", ROOT / "docs/performance.md", HERE / "performance.md.template", FIGURES)
SECURE = Document(
    HERE.parent / "ratios-tls", ROOT / "docs/performance-tls.md", HERE / "performance-tls.md.template", SECURE_FIGURES)


@dataclass(frozen=True)
class Report:
    #: What was measured, where, when and how much of it.
    head: dict[str, str]
    rows: dict[str, Row]

    def text(self) -> str:
        """`key TAB value` a line; behind an empty line a figure a line, with `median least most` of each, and the ratios."""
        lines = [f"{key}\t{value}" for key, value in self.head.items()]
        lines += ["", "\t".join(["figure", *LETTERS, *RATIOS])]
        for name, row in self.rows.items():
            spreads = [row.spreads.get(letter) for letter in LETTERS]
            cells = [f"{spread.median} {spread.least} {spread.most}" if spread else NONE for spread in spreads]
            lines.append("\t".join([name, *cells, *(row.ratios.get(ratio, NONE) for ratio in RATIOS)]))
        return "\n".join(lines) + "\n"

    @staticmethod
    def parse(text: str) -> "Report":
        above, below = text.split("\n\n")
        head = dict(line.split("\t") for line in above.splitlines())
        columns, *lines = [line.split("\t") for line in below.splitlines()]
        rows = {}
        for line in lines:
            cells = {column: cell for column, cell in zip(columns, line, strict=True) if cell != NONE}
            rows[cells["figure"]] = Row(
                {letter: Spread(*cells[letter].split()) for letter in LETTERS if letter in cells},
                {ratio: cells[ratio] for ratio in RATIOS if ratio in cells})
        return Report(head, rows)

    def page(self, template: str) -> str:
        """`{commit}` is of the head, `{cpu a}` a median, `{cpu a/b}` a ratio, `{table cost}` a table."""
        return PLACEHOLDER.sub(lambda found: self.value(found[1]), template)

    def value(self, name: str) -> str:
        if name in self.head:
            return self.head[name]
        first, _, second = name.partition(" ")
        if first == "table" and second in {**TABLES, **SECURE_TABLES}:
            return table(second, self.rows)
        row = self.rows[first]
        return row.ratios[second] if "/" in second else row.spreads[second].median


def report(head: dict[str, str], figures: dict[str, dict[str, list[float]]], document: Document = PLAIN) -> Report:
    those = document.figures.items()
    return Report(head, {name: Row.of(figures[name], figure.digits) for name, figure in those if name in figures})


def write(report: Report, document: Document = PLAIN):
    # Both texts before either file: a page that can't be made leaves the old two.
    ratios, page = report.text(), report.page(document.template.read_text())
    document.ratios.write_text(ratios)
    document.page.write_text(page)
