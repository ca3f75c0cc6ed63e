# SPDX-License-Identifier: Apache-2.0
"""Who may import whom, as docs/design.md draws it: the manifest names what is imported, and no arrow runs up."""

import re

import pytest

from fixtures.programs import ROOT

# Lowest first. What stands on one floor doesn't know the rest of it.
FLOORS = [
    {"CHiredis", "CNettle", "CYAML", "LibC"},
    {"Digests", "Octets"},
    {"TLS"},
    {"Endpoints"},
    {"HTTP1", "Limits", "MCP", "Redis", "Telemetry"},
    {"Keyspace", "Settings"},
    {"Admission", "Directory", "Guesses", "OpenAPI"},
    {"Admin", "Proxy"},
    {"tollgate", "tollgatectl"},
]
OURS = set().union(*FLOORS)
# What comes with the compiler.
TOOLCHAIN = {"Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Synchronization"}


def manifest() -> dict[str, set[str]]:
    """The targets below Sources, each with the modules that it depends on."""
    text = (ROOT / "Package.swift").read_text()
    names = {name: product for name, product in re.findall(r'static let (\w+): Self = \.product\(\s*name: "(\w+)"', text)}
    targets = {name: set() for name in re.findall(r'\.systemLibrary\(name: "(\w+)"', text)}
    blocks = re.findall(r'layer\(\s*"(\w+)",\s*\[(.*?)\]', text, re.S)
    blocks += re.findall(r'\.executableTarget\(\s*name: "(tollgate\w*)",\s*dependencies: \[(.*?)\]', text, re.S)
    for target, dependencies in blocks:
        own = re.findall(r'"(\w+)"', dependencies)
        targets[target] = {*own, *(names[name] for name in re.findall(r"\.(\w+)", dependencies))}
    return targets


def imports(target: str) -> set[str]:
    found = set()
    for file in (ROOT / "Sources" / target).rglob("*.swift"):
        found |= set(re.findall(r"^\s*(?:package |public |internal )?import (\w+)", file.read_text(), re.M))
    return found - TOOLCHAIN


TARGETS = manifest()


def test_every_folder_of_sources_has_a_floor():
    folders = {folder.name for folder in (ROOT / "Sources").iterdir() if folder.is_dir()}
    assert folders == OURS == set(TARGETS)


@pytest.mark.parametrize("target", sorted(OURS))
def test_the_manifest_names_what_is_imported(target):
    if target.startswith("C"):
        return
    assert TARGETS[target] == imports(target)


@pytest.mark.parametrize("target", sorted(OURS))
def test_no_arrow_runs_up(target):
    floor = next(level for level, targets in enumerate(FLOORS) if target in targets)
    below = set().union(*FLOORS[:floor])
    assert TARGETS[target] & OURS <= below


def reached(target: str) -> set[str]:
    own = TARGETS.get(target, set())
    return own.union(*(reached(one) for one in own))


def test_operators_and_admin_have_no_gate():
    for target in ("Admin", "Directory", "tollgatectl"):
        assert not reached(target) & {"Admission", "Proxy"}, target


def test_settings_know_limits_and_endpoints_alone():
    assert TARGETS["Settings"] & OURS == {"CYAML", "Endpoints", "LibC", "Limits", "Octets", "TLS"}


def test_one_module_knows_boringssl():
    assert {target for target in OURS if "NIOSSL" in TARGETS[target]} == {"TLS"}


def test_limits_know_no_redis():
    assert reached("Limits") & {"Redis", "NIOPosix"} == set()


def test_the_wings_meet_in_keyspace_alone():
    assert "Directory" not in reached("Proxy")


# ---- sizes ----

MOST_PROPERTIES = 20
TYPE = re.compile(r"\b(?:struct|class|actor|enum)\s+(\w+)")
STORED = re.compile(
    r"\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:package|private|fileprivate|public|final|weak|lazy|nonisolated|unowned)(?:\(\w+\))?\s+)*"
    r"(let|var)\s+(.*)"
)


def stored_properties(text: str) -> dict[str, int]:
    """How many of each type, where it is declared; extensions can't have any."""
    counts, types, depth = {}, [], 0
    for line in text.splitlines():
        code = re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]
        if (declared := TYPE.search(code)) and "{" in code and not code.lstrip().startswith("case"):
            types.append((depth + 1, declared.group(1)))
        elif types and depth == types[-1][0] and (property := STORED.match(code)):
            keyword, rest = property.groups()
            is_computed = keyword == "var" and "{" in rest and "=" not in rest.split("{")[0]
            counts[types[-1][1]] = counts.get(types[-1][1], 0) + (not is_computed)
        depth += code.count("{") - code.count("}")
        while types and depth < types[-1][0]:
            types.pop()
    return counts


def test_stored_properties_are_told_from_computed_ones():
    text = """
    struct A {
        static let x = 1
        let a: Int
        let b: Int
        private(set) var c = 0
        var d: Int { 1 }
        var e: Int = 1 { didSet {} }
        struct B { }
        func f() {
            let g = 1
        }
    }
    """
    assert stored_properties(text) == {"A": 4}


@pytest.mark.parametrize("target", sorted(OURS))
def test_no_type_has_more_than_20_stored_properties(target):
    sizes = {}
    for file in (ROOT / "Sources" / target).rglob("*.swift"):
        sizes |= {f"{file.name}: {name}": count for name, count in stored_properties(file.read_text()).items()}
    assert {name: count for name, count in sizes.items() if count > MOST_PROPERTIES} == {}


def test_no_lock_hides_from_the_sanitizer():
    """Synchronization.Mutex is a futex of the standard library's own: to ThreadSanitizer what lies in it is a race."""
    hidden = [
        str(file.relative_to(ROOT)) for folder in ["Sources", "Tests"] for file in (ROOT / folder).rglob("*.swift")
        if re.search(r"\bMutex[<(]", file.read_text())
    ]
    # One has all that it makes behind another lock, and the fuzzer has one thread.
    assert hidden == ["Sources/Telemetry/Traffic/TrafficRecorder.swift", "Tests/Fuzz/Driver/Fuzz.swift"]
