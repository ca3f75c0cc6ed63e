# SPDX-License-Identifier: Apache-2.0
"""What a build without the trait TLS says of `rediss://`, `https://` and `tls` in `listen`, in the folder that
TOLLGATE_WITHOUT_TLS names."""

import os
import subprocess
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("TOLLGATE_WITHOUT_TLS", "."))
REMEDY = "rediss:// in a build without TLS"
TRAIT = "build Tollgate with the trait TLS, which it has by default"


def run(name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    return subprocess.run(
        [BUILD / name, *arguments], env={**environment, **env},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def file(folder) -> str:
    place = folder / "t.yaml"
    place.write_text("redis:\n  url: rediss://redis.example\n  tls: {ca: /nowhere/ca.crt}\n")
    return str(place)


def test_the_daemon_and_its_check_refuse_it(file):
    told = f"{file}:2:8: redis.url: expected redis:// or unix:, got {REMEDY} ({TRAIT})"
    for arguments in (["--config", file], ["config", "check", file]):
        done = run("tollgate", *arguments)
        assert done.returncode == 78
        assert told in done.stderr, done.stderr


def test_a_handler_by_tls_is_refused(folder):
    place = folder / "t.yaml"
    place.write_text("upstream:\n  url: https://handler.example\n  tls: {ca: /nowhere/ca.crt}\n")
    told = f"{place}:2:8: upstream.url: expected http:// or unix:, got https:// in a build without TLS ({TRAIT})"
    done = run("tollgate", "config", "check", str(place))
    assert done.returncode == 78
    assert told in done.stderr, done.stderr


def test_an_address_that_is_to_speak_it_is_refused(folder):
    place = folder / "t.yaml"
    place.write_text("listen:\n  address: 127.0.0.1:0\n  tls: {certificate: /nowhere/a.crt, key: /nowhere/a.key}\n")
    told = f"{place}:2:3: listen.tls: expected no tls in a build without TLS, got one ({TRAIT})"
    for arguments in (["--config", str(place)], ["config", "check", str(place)]):
        done = run("tollgate", *arguments)
        assert done.returncode == 78
        assert told in done.stderr, done.stderr


def test_the_command_line_refuses_it(file):
    done = run("tollgatectl", "org", "list", TOLLGATE_REDIS_URL="rediss://redis.example")
    assert done.returncode == 64
    assert f"TOLLGATE_REDIS_URL: {REMEDY}; {TRAIT}" in done.stderr
    done = run("tollgatectl", "org", "list", "--config", file)
    assert done.returncode == 65
    assert f"redis.url: expected redis:// or unix:, got {REMEDY} ({TRAIT})" in done.stderr


def test_the_library_was_not_even_fetched():
    scratch = BUILD.parent
    assert (scratch / "repositories").is_dir()
    assert [place for place in (*scratch.rglob("swift-nio-ssl*"), *scratch.rglob("CNIOBoringSSL*"))] == []
