# SPDX-License-Identifier: Apache-2.0
"""What `--json` prints: of every command that has it, held against docs/tollgatectl.schema.json."""

import json
import subprocess

import jsonschema
import pytest
from fixtures.programs import ROOT, built
from fixtures.wire import PROCESS, ask, until

SCHEMA = json.loads((ROOT / "docs/tollgatectl.schema.json").read_text())
POLICIES = [
    {"name": "org", "per": "org", "limit": "10/1d"}, {"name": "search", "per": "key", "limit": "2/1d"},
    {"name": "month", "per": "org", "quota": "100/month"}, {"name": "slots", "per": "key", "concurrency": 3},
]


def commands() -> set[str]:
    """Those that have --json, as the program says."""
    dumped = subprocess.run([built("tollgatectl"), "--experimental-dump-help"], capture_output=True, check=True, timeout=60)

    def leaves(command: dict, path: str):
        below = [one for one in command.get("subcommands", []) if one["commandName"] != "help"]
        for one in below:
            yield from leaves(one, f"{path} {one['commandName']}".strip())
        names = {name["name"] for one in command.get("arguments", []) for name in one.get("names", [])}
        if not below and "json" in names:
            yield path

    return set(leaves(json.loads(dumped.stdout)["command"], ""))


def hold(command: str, output: str):
    """Every line is what the schema says of the command."""
    schema = {**SCHEMA["properties"][command], "$defs": SCHEMA["$defs"]}
    validator = jsonschema.Draft202012Validator(schema)
    for line in output.splitlines():
        validator.validate(json.loads(line))


def test_the_schema_is_one_and_knows_every_command():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == commands()


@pytest.mark.parametrize("change", [{"name": 5}, {"more": 1}, {"status": "gone"}, {"id": "acme"}])
def test_another_shape_would_be_told(ctl, change):
    key = json.loads(ctl("key", "show", ctl.issue()["id"], "--json"))
    with pytest.raises(jsonschema.ValidationError):
        hold("key show", json.dumps({**key, **change}))
    del key["name"]
    with pytest.raises(jsonschema.ValidationError):
        hold("key show", json.dumps(key))


def test_every_command_prints_what_the_schema_says(launch, upstream, ctl, redis, tmp_path):
    daemon = launch(upstream, policies=POLICIES)
    until(lambda: ctl.run("quota", "show", "--global").returncode == 0, "its policies published", pause=PROCESS)
    seen: set[str] = set()

    def run(words: str, *arguments: str, code: int = 0, **options) -> list[dict]:
        done = ctl.run(*words.split(" "), *arguments, "--json", **options)
        assert done.returncode == code, done.stderr
        assert done.stdout.count("\n") > 0, words
        hold(words, done.stdout)
        seen.add(words)
        return [json.loads(line) for line in done.stdout.splitlines()]

    run("plan set", "pro", "org=20/1d")
    run("plan list")
    run("org create", "acme", "--plan", "pro", "--meta", '{"tier":"gold"}', "--max-lifetime", "365d")
    run("org create", "globex")
    run("plan show", "pro")
    (issued,) = run(
        "key issue", "--org", "acme", "--name", "a", "--user", "ada", "--scope", "read", "--limit", "search=3/1d",
        "--allow-tool", "get_*", "--allow-from", "127.0.0.0/8", "--meta", '{"seat":1}', "--expires", "3d")
    id = issued["id"]
    for _ in range(4):
        ask(daemon.port, "GET", "/api/listings", issued["key"])
    assert run("key show", id)[0]["refused"] is not None
    until(lambda: run("key show", id)[0]["denied_today"] == 1, "the refusal being counted")
    run("quota show", "acme")
    run("quota show", id)
    run("quota show", "--global")
    assert {one["name"] for one in run("quota show", "--all", "--near", "50%")} == {"search"}
    for by in ("day", "key", "tool", "org"):
        run("usage", "acme", "--by", by)
        run("usage", "--all", "--by", by)
    run("key list")
    run("org list")
    run("org show", "acme")
    run("org set", "acme", "--max-active-keys", "9")
    run("org set", "acme", "--max-lifetime", "none", "--meta", "{}")
    run("org limit", "acme", "org=5/1d")
    run("org plan", "globex", "pro")
    run("org suspend", "globex")
    run("org resume", "globex")
    run("key limit", id, "search=4/1d")
    run("key set", id, "--meta", '{"seat":2}')
    run("key expiring", "--within", "7d")
    hold("key expiring", ctl("key", "expiring", "--within", "7d", "--json", "--", "true"))
    run("key verify", input=issued["key"])
    secrets = tmp_path / "checks"
    secrets.touch(mode=0o600)
    secrets.write_text(ctl("check", "make"))
    run("key verify", "--offline", "--check-file", str(secrets), input=issued["key"], code=73)
    run("quota grant", "acme", "org", "1")
    run("quota reset", "acme", "--yes")
    run("key rotate", id, "--grace", "1h")
    run("key revoke", "--org", "acme", "--dry-run")
    run("key revoke", id)
    exported = ctl("key", "export", "--org", "acme")
    run("key import", input=exported + '{"organization_id":"acme"}\n', code=65)
    run("check list")
    (rotated,) = run("check rotate")
    redis("SET", "tg:1:{:m}:checks", b"".join(
        b" ".join([line.split()[0], b"1", line.split()[2]]) + b"\n" for line in redis("GET", "tg:1:{:m}:checks").splitlines()))
    run("check retire", rotated["id"], "--yes")
    run("routes")
    run("audit", "acme")
    run("database show")
    run("database adopt", redis("GET", "tg:1:{:m}:meta").decode(), "--yes")
    run("org delete", "globex", "--yes")
    run("org plan", "acme", "--none")
    run("plan delete", "pro")
    assert seen == commands()
