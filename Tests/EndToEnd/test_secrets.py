# SPDX-License-Identifier: Apache-2.0
"""That no credential is logged is looked at wherever a daemon of these tests ends; here, that it would be found."""

import pytest
from fixtures import noted
from fixtures.wire import ask


@pytest.mark.parametrize("name", ["access.log", "stderr.log", "stdout.log"])
def test_a_key_that_was_planted_is_found_where_its_daemon_ends(launch, upstream, key, name):
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    daemon.lines(1)
    daemon.terminate()
    daemon.wait()
    file = daemon.folder / name
    untouched = file.read_bytes()
    daemon.end()
    file.write_bytes(untouched + b'{"path":"/' + key.encode() + b'"}\n')
    with pytest.raises(AssertionError, match=rf"a credential is in \['.*{name}'\]"):
        daemon.stop()
    file.write_bytes(untouched)
    daemon.stop()


def test_an_authorization_that_was_presented_is_found(launch, upstream, folder):
    daemon = launch(upstream)
    token = "abcdefghijklmnopqrstuvwxyz.0123456789"
    ask(daemon.port, "GET", "/open", fields={"Authorization": f"Bearer {token}"})
    planted = folder / "planted.log"
    planted.write_text(f"error something error=\"{token}\"\n")
    assert noted.files_with_any([planted]) == [str(planted)]
    planted.write_text("nothing of it\n")
    assert noted.files_with_any([planted, folder / "none.log"]) == []


def test_what_operators_are_shown_has_no_key_but_where_it_is_issued(ctl):
    issued = ctl.issue()
    rotated = ctl.run("key", "rotate", issued["id"], "--json")
    assert noted.in_text(issued["key"]) and noted.in_text(rotated.stdout)
    # Each of these is looked through by `ctl`.
    for arguments in (
        ["key", "list", "--org", "acme"], ["key", "show", issued["id"]], ["key", "show", issued["id"], "--json"],
        ["audit", "acme"], ["org", "show", "acme"], ["key", "verify", issued["key"]],
    ):  # fmt: skip
        ctl.run(*arguments)
