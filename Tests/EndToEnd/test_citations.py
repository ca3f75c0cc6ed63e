# SPDX-License-Identifier: Apache-2.0
"""What the code says about documents leads somewhere: the document is there, and so is the heading."""

import re

import pytest

from fixtures.programs import ROOT

DOCUMENTS = {str(file.relative_to(ROOT)): file.read_text() for file in (ROOT / "docs").rglob("*.md")}
SOURCES = [
    file
    for folder in ("Sources", "Tests", "deploy")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.is_file() and file.suffix in {".swift", ".py", ".bash", ".lua", ".yaml", ".service", ".h", ""}
]


def headings(text: str) -> set[str]:
    return set(re.findall(r"^#+ (?:\d+\. )?(.+)$", text, re.M)) | set(re.findall(r"^\*\*(.+?)\.\*\*", text, re.M))


def texts():
    for file in SOURCES:
        try:
            # A comment may break anywhere.
            yield file, re.sub(r"\s*\n\s*(?:///?|#|--|\*)? ?", " ", file.read_text())
        except UnicodeDecodeError:
            continue


CITED = [(str(file.relative_to(ROOT)), *found) for file, text in texts() for found in re.findall(
    r'(docs/[\w/.-]+\.md)(?:, "([^"]+)")?', text)]


def test_many_comments_cite():
    assert len([heading for *_, heading in CITED if heading]) > 15


@pytest.mark.parametrize("file, document, heading", CITED, ids=lambda part: part.rpartition("/")[2])
def test_what_is_cited_exists(file, document, heading):
    assert document in DOCUMENTS, f"{file} cites {document}"
    assert not heading or heading in headings(DOCUMENTS[document]), f'{file} cites {document}, "{heading}"'


def test_no_section_is_cited_by_a_number():
    number = re.compile(r'design(\.md)?,? (§|section)|design: "')
    assert [file for file, text in texts() if number.search(text) and file.name != "test_citations.py"] == []


def test_folders_that_the_fuzzer_reads_exist():
    text = (ROOT / "Tests/Fuzz/run").read_text()
    folders = re.findall(r"(?<![\w/])Sources/[\w/]+", text)
    assert len(folders) >= 6
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


def anchor(heading: str) -> str:
    """As pages of Markdown are shown with."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def linked(text: str) -> list[str]:
    """Targets of links within the project."""
    shown = re.sub(r"^```.*?^```|<!--.*?-->|`[^`\n]*`", "", text, flags=re.M | re.S)
    return re.findall(r"\]\(([\w./#-]+)\)", shown)


@pytest.mark.parametrize("name", ["README.md", *sorted(DOCUMENTS)])
def test_links_of_documents_lead_somewhere(name):
    text = (ROOT / name).read_text()
    for target in linked(text):
        path, _, heading = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), f"{name} links {target}"
        if heading:
            known = {anchor(one) for one in re.findall(r"^#+ (.+)$", file.read_text(), re.M)}
            assert heading in known, f"{name} links {target}"


def test_many_documents_link():
    assert sum(len(linked(text)) for text in DOCUMENTS.values()) > 80


DECISIONS = {name: text for name, text in DOCUMENTS.items() if name.startswith("docs/decisions/")}


@pytest.mark.parametrize("name", sorted(DECISIONS))
def test_a_decision_has_the_form_of_decisions(name):
    text = DECISIONS[name]
    assert text.startswith(f"# {name.rpartition('/')[2][:4]}: ")
    sections = re.findall(r"^## (.+)$", text, re.M)
    assert sections[:2] == ["Context", "Choice"]
    assert {"What was measured", "Consequences"} & set(sections[2:])


def prose(text: str) -> list[str]:
    """Without tables and commands, shown or not."""
    shown = re.sub(r"^```.*?^```|<!--.*?-->", "", text, flags=re.M | re.S)
    return [line for line in shown.splitlines() if line[:1] != "|"]


# Tests/EndToEnd/sdk/run writes the other one.
@pytest.mark.parametrize("name", sorted(DOCUMENTS.keys() - {"docs/mcp-conformance.md"}))
def test_lines_of_documents_fit(name):
    assert [line for line in prose(DOCUMENTS[name]) if len(line) > 120] == []
