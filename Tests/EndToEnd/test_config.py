# SPDX-License-Identifier: Apache-2.0
"""`tollgate config`: the schema that editors use beside the reader, and what is shown and checked."""

import json
import os
import re
import subprocess

import jsonschema
import pytest
import yaml
from fixtures.programs import ROOT, built
from fixtures.wire import until

REFUSALS = ROOT / "Tests/SettingsTests/Refusals"


def tollgate(*arguments: str, **environment: str):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    return subprocess.run(
        [built("tollgate"), *arguments], env={**inherited, **environment}, capture_output=True, text=True, timeout=30
    )


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema, as editors read it: on and off are texts, and so is 1:30."""


Core.yaml_implicit_resolvers = {}
for kind, pattern, first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(rf"^(?:{pattern})$"), list(first))
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    text = (ROOT / "docs/tollgate.schema.json").read_text()
    assert tollgate("config", "schema").stdout == text
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def refusals():
    for file in sorted(REFUSALS.glob("*.txt")):
        for number, block in enumerate(file.read_text().split("\n====\n")):
            text, told = block.split("\n----\n")
            yield pytest.param(text, told.strip().split("\n"), id=f"{file.stem}-{number}")


#: What the reader refuses and the schema lets pass, by what the message says, each with the reason.
ONLY_THE_READER_KNOWS = {
    r"expected YAML, got|expected one YAML document|got an empty file": "it is no document that a schema is asked about",
    r"<<: expected an alias": "merging is YAML's",
    r"paths pass unchanged": "PyYAML takes a ? within braces for a key",
    r"expected each key once": "JSON objects have a key once, whichever",
    r"expected a plain value, got the YAML tag": "tags are YAML's",
    r"got the text '": "JSON has no quotes that could be seen",
    r"expected a duration from": "a pattern doesn't compare amounts of several units",
    r"expected a size from \d+ to \d+ bytes, got '": "a pattern doesn't compare amounts of several units",
    r"expected each entry once": "two spellings may be the same value",
    r"expected a whole number from .* got 1\.0": "JSON has one 1",
    r"expected (rediss?(\+sentinel)?:// in redis|https:// in upstream).url beside it": "a variable or a flag may give the URL",
    r"expected a host that a certificate can name": "a pattern doesn't tell addresses from names",
    r"which has another use|which holds credentials|is never passed on|which is not supported in this version": (
        "names of fields are the same in any case of letters"
    ),
    r"expected a field that holds no key|expected fields that hold no key": "what keys.headers has is elsewhere",
    r"expected at most limits.body_bytes": "two amounts of several units",
    r"expected an entry for the keys issued here": "whether a pattern matches a prefix",
    r"got one that listen has too": "the same address elsewhere",
    r"expected a cost of at most": "it takes the limit's arithmetic",
    r"expected one burst|expected a burst of at most|expected a shorter period|expected a possible limit|numbers up to": (
        "it takes the limit's arithmetic"
    ),
    r"expected the path of a route as routes lists it|expected a route with mcp: true": "what routes has is elsewhere",
    r"expected each method of a path once|expected each name once": "other entries",
    r"expected POST, by which MCP messages come": "what routes has is elsewhere",
    r"\(bits are set behind the prefix|\(not an IPv4 or IPv6 address|\(the prefix length must be": "it takes the address' bits",
    r"did you mean (preserve|upstream|auto)\?": "a likely slip, of what could be a name",
    r"expected keys.check: prefer or require beside it": "what keys.check has is elsewhere",
    r"expected trusted_proxies that connect here": "what trusted_proxies has is elsewhere",
    r"expected a document on the host of upstream.url|expected https:// on the host of an upstream.url": "what upstream.url has is elsewhere",
    r"expected each parameter once": "a pattern doesn't compare names",
}


@pytest.mark.parametrize(("text", "told"), [*refusals()])
def test_what_the_reader_refuses_the_schema_refuses(schema, text, told):
    """Or it is listed above why it can't. A difference that isn't listed is a mistake of one of the two."""
    known = [line for line in told if any(re.search(words, line) for words in ONLY_THE_READER_KNOWS)]
    try:
        document = yaml.load(text, Core)
    except (yaml.YAMLError, TypeError, ValueError):
        # Nothing that a schema could be asked about.
        assert known or "expected the name of a key" in told[0]
        return
    refused = next(schema.iter_errors(document), None) is not None
    assert refused or len(known) == len(told), told


def test_every_reason_is_needed():
    told = "\n".join(line for case in refusals() for line in case.values[1])
    assert [words for words in ONLY_THE_READER_KNOWS if not re.search(words, told)] == []


def valid() -> list:
    """Whatever the shipped files, the documents and Swift's tests have that is taken."""
    texts = {str(file.relative_to(ROOT)): file.read_text() for file in sorted((ROOT / "deploy").rglob("*.yaml"))}
    shipped = texts["deploy/tollgate.yaml"]
    # What redis.tls, redis.sentinel and upstream.tls are about.
    secured = shipped.replace("\n  url: redis://127.0.0.1:6379/", "\n  url: rediss+sentinel://127.0.0.1:26379/m/").replace("\n  url: http://", "\n  url: https://")
    texts["everything"] = re.sub(r"^#(?=[a-z_]+:|  )", "", secured, flags=re.MULTILINE)
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)):
            texts[f"{file.name}-{number}"] = block
    for file in sorted((ROOT / "Tests/SettingsTests").glob("*.swift")):
        # Literals on one line: of those that are configurations the reader takes some.
        for number, found in enumerate(re.findall(r'"((?:[a-z_]+: |\{)(?:[^"\\]|\\n|\\")*)"', file.read_text())):
            texts[f"{file.stem}-{number}"] = found.replace("\\n", "\n").replace('\\"', '"')
    return [pytest.param(text, id=name) for name, text in texts.items()]


#: Texts here, and numbers or dates to readers of YAML 1.1 or 1.2: an editor wants quotes.
TEXTS_HERE_ALONE = ["namespace: 010", "namespace: 2026-11-23", "namespace: 0x10"]


@pytest.mark.parametrize("text", [case for case in valid() if case.values[0] not in TEXTS_HERE_ALONE])
def test_what_the_reader_takes_the_schema_takes(schema, folder, text):
    (folder / "t.yaml").write_text(text)
    # Files that it names needn't be there.
    if tollgate("config", "show", str(folder / "t.yaml")).returncode != 0:
        return
    for loader in (Core, yaml.SafeLoader):
        errors = [error.message for error in schema.iter_errors(yaml.load(text, loader))]
        assert errors == [], loader


def test_the_shipped_file_names_its_schema():
    """As the YAML language server reads it: by the path from the file."""
    found = re.search(r"^# yaml-language-server: \$schema=(\S+)$", (ROOT / "deploy/tollgate.yaml").read_text(), re.MULTILINE)
    assert (ROOT / "deploy" / found[1]).resolve() == ROOT / "docs/tollgate.schema.json"


def test_what_is_shown_is_taken_again(folder):
    file, shown = folder / "t.yaml", folder / "shown.yaml"
    file.write_text('redis: {url: "redis://user:geheim@127.0.0.1:1/0"}\nroutes: [{path: /a}]\n')
    result = tollgate("config", "show", str(file), "--listen", "127.0.0.1:1", TOLLGATE_LOG_LEVEL="error")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [line.split("  #") for line in result.stdout.splitlines() if "  #" in line]
    sources = {text.strip(): source.strip() for text, source in lines}
    assert sources["listen: 127.0.0.1:1"] == "flag --listen"
    assert sources["level: error"] == "variable TOLLGATE_LOG_LEVEL"
    assert sources["url: redis://user:***@127.0.0.1:1/0"] == f"{file}:1"
    assert sources["- path: /a"] == f"{file}:2"
    assert sources["namespace: tg"] == "default"
    assert "geheim" not in result.stdout
    shown.write_text(result.stdout)
    again = tollgate("config", "check", str(shown))
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith(f"{shown}: ok\nlistens on 127.0.0.1:1;")


def test_all_mistakes_are_told_at_once(folder):
    file = folder / "t.yaml"
    file.write_text("listen: 80\n" + "routes:\n" + "".join(f"  - path: wrong{number}\n" for number in range(30)))
    result = tollgate("config", "check", str(file))
    assert (result.returncode, result.stdout) == (78, "")
    lines = result.stderr.splitlines()
    assert len(lines) == 31
    assert lines[0].startswith(f"{file}:1:9: listen: expected an address such as 127.0.0.1:8080, got 80")
    assert lines[30].startswith(f"{file}:32:11: routes[29].path: expected a path")
    # Whoever only starts it gets the first of them.
    started = tollgate("serve", "--config", str(file))
    assert (started.returncode, len(started.stderr.splitlines())) == (78, 21)


def test_warnings_are_told_and_refused_only_on_demand(folder):
    file = folder / "t.yaml"
    file.write_text("drain: {timeout: 100ms}\n")
    warning = (
        f"{file}:1:18: warning: drain.timeout: a drain of 100ms cuts requests that may wait 500ms for Redis: "
        "make drain.timeout longer, or redis.timeout shorter\n"
    )
    result = tollgate("config", "check", str(file))
    assert (result.returncode, result.stderr) == (0, warning)
    assert result.stdout.startswith(f"{file}: ok\n")
    strict = tollgate("config", "check", "--strict", str(file))
    assert (strict.returncode, strict.stderr, strict.stdout) == (78, warning, "")
    file.write_text("drain: {timeout: 30s}\n")
    assert tollgate("config", "check", "--strict", str(file)).returncode == 0


def test_files_that_are_named_are_read_as_to_serve(folder):
    """Whatever keeps it from starting, where that is no matter of flags, variables or the process' own bounds."""
    file, password, nothing = folder / "t.yaml", folder / "password", folder / "nothing"
    password.write_text("one\n")
    cases = {
        f"redis: {{password_file: {nothing}}}": f"redis.password_file: expected a file with Redis' password, got {nothing}: no such file",
        f"redis: {{url: 'redis://:two@127.0.0.1:1/0', password_file: {password}}}": (
            "redis.password_file: redis.url and redis.password_file give different passwords for Redis; keep one of the two"
        ),
        f"redis: {{url: 'redis+sentinel://127.0.0.1:1/m', sentinel: {{password_file: {nothing}}}}}": (
            f"redis.sentinel.password_file: expected a file with the sentinels' password, got {nothing}: no such file"
        ),
        f"redis: {{url: 'rediss://127.0.0.1:1/0', tls: {{ca: {nothing}}}}}": (
            f"redis.tls.ca: expected a file of certificates of authorities, got {nothing}: no such file"
        ),
        f"upstream: {{url: 'https://127.0.0.1:1', tls: {{ca: {nothing}}}}}": (
            f"upstream.tls.ca: expected a file of certificates of authorities, got {nothing}: no such file"
        ),
        f"keys: {{check: require, check_file: {nothing}}}": (
            f"keys.check_file: expected a file of secrets, got {nothing}: no such file "
            "(tollgatectl check make prints a line of it)"
        ),
        f"listen: [{{address: '127.0.0.1:0', tls: {{certificate: {nothing}, key: {nothing}}}}}]": (
            f"listen[0].tls.certificate: expected a file of a certificate, got {nothing}: no such file"
        ),
    }
    for text, words in cases.items():
        file.write_text(text)
        checked = tollgate("config", "check", str(file))
        assert (checked.returncode, checked.stdout) == (78, ""), text
        assert words in checked.stderr, text
        started = tollgate("serve", "--config", str(file))
        assert (started.returncode, started.stderr) == (78, checked.stderr), text
    file.write_text(f"redis: {{url: 'redis://:one@127.0.0.1:1/0', password_file: {password}}}")
    assert tollgate("config", "check", str(file)).returncode == 0


def test_a_file_given_twice_is_wrong_usage(folder):
    result = tollgate("config", "show", "a.yaml", "--config", "b.yaml")
    assert result.returncode == 64
    assert "the file is given twice, as a.yaml and by --config: give it once" in result.stderr


def test_the_daemon_tells_warnings_at_start_and_at_each_reload(launch, upstream):
    daemon = launch(upstream, drain={"timeout": "100ms"})

    def told(timeout: str) -> int:
        return daemon.times_said(f"drain.timeout: a drain of {timeout} cuts requests that may wait ")

    assert (told("100ms"), told("200ms")) == (1, 0)
    daemon.reload(drain={"timeout": "200ms"})
    until(lambda: told("200ms") == 1, "the warning of the reloaded configuration")
    assert told("100ms") == 1
