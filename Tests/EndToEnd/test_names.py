# SPDX-License-Identifier: Apache-2.0
"""A handler that has a name: several addresses, others later, or none."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.names import HANDLER, Names
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, ask, until
from test_answers import problem

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]

#: What a name is asked for again in, where a connect has failed or it has no address.
A_SECOND = 1.05


@pytest.fixture
def names(folder):
    return Names(folder)


@pytest.fixture
def handler():
    """Handlers on addresses of loopback, each of which answers with its address: `handler("::1", port)`."""
    running = []

    def start(host: str, port: int = 0) -> Upstream:
        one = Upstream(host=host, port=port)
        one.behaviour = lambda *_: reply(host.encode())
        running.append(one)
        return one

    yield start
    for one in running:
        # A test may have closed it.
        if one.listener.fileno() >= 0:
            one.close()


def start(launch, names, port: int, **settings):
    return launch(f"http://{HANDLER}:{port}", policies=WIDE, within=names.within, **settings)


def unresolved(daemon) -> bool:
    answer = ask(daemon.admin, "GET", "/readyz")
    if answer.status == 200:
        return False
    assert answer.status == 503
    assert answer.json() == {
        "status": "upstream unresolved",
        "reason": "no_address",
        "detail": "The name in upstream.url has no address. Tollgate looks it up again every second.",
    }
    return True


@pytest.mark.parametrize(
    "addresses, place",
    [
        (["127.0.0.1"], "127.0.0.1"),
        (["::1"], "::1"),
        # Debian's own order of localhost, and the other one.
        (["::1", "127.0.0.1"], "127.0.0.1"),
        (["127.0.0.1", "::1"], "127.0.0.1"),
        (["::1", "127.0.0.1"], "::1"),
        (["127.0.0.1", "::1"], "::1"),
        (["127.0.0.2", "127.0.0.3"], "127.0.0.2"),
        (["127.0.0.2", "127.0.0.3"], "127.0.0.3"),
        (["127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"], "127.0.0.4"),
    ],
)
def test_every_address_of_a_name_is_tried(launch, names, handler, key, addresses, place):
    upstream = handler(place)
    names.set(*addresses)
    daemon = start(launch, names, upstream.port)
    for _ in range(4):
        # Each time a connection of its own, on either loop.
        upstream.close_idle()
        until(lambda: upstream.open == 0, "the connections closed")
        answer = ask(daemon.port, "POST", "/api/listings", key, body=b"{}")
        assert (answer.status, answer.body) == (200, place.encode())
    assert len(upstream.requests) == 4
    assert daemon.times_said("upstream can't be connected to") == 0


def test_localhost_as_debian_has_it(launch, names, handler, key):
    """README's own command, on a machine whose localhost is `::1` first."""
    upstream = handler("127.0.0.1")
    names.set("::1", "127.0.0.1", name="localhost")
    daemon = launch(f"http://localhost:{upstream.port}", within=names.within)
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"127.0.0.1"


def test_none_of_several_addresses_answers(launch, names, key):
    names.set("::1", "127.0.0.1")
    daemon = start(launch, names, free_port())
    problem(ask(daemon.port, "GET", "/api/listings", key), 502, "Bad Gateway", "Upstream unreachable")
    assert [line["reason"] for line in daemon.lines(1)] == ["upstream_unreachable"]
    assert daemon.times_said('upstream can\'t be connected to error="Connection refused"') == 1
    assert ask(daemon.admin, "GET", "/readyz").status == 200


def test_a_handler_that_has_moved_is_found_by_the_request_that_misses_it(launch, names, handler, key):
    before = handler("127.0.0.2")
    names.set("127.0.0.2")
    daemon = start(launch, names, before.port)
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"127.0.0.2"
    after = handler("127.0.0.3", before.port)
    names.set("127.0.0.3")
    before.close()
    time.sleep(A_SECOND)
    # Not even this one fails, though nothing of it may be sent twice.
    answer = ask(daemon.port, "POST", "/api/listings", key, body=b"{}")
    assert (answer.status, answer.body) == (200, b"127.0.0.3")
    assert len(after.requests) == 1
    assert daemon.times_said("upstream can't be connected to") == 0
    said = f"info upstream addresses addresses=127.0.0.3:{after.port} upstream={HANDLER}:{after.port}"
    assert daemon.times_said(said) == 1


def test_a_name_that_appears_later(launch, names, handler, key):
    upstream = handler("127.0.0.2")
    daemon = start(launch, names, upstream.port, ready=False)
    until(lambda: unresolved(daemon), "/readyz to tell of the name")
    answer = ask(daemon.port, "GET", "/api/listings", key)
    problem(answer, 502, "Bad Gateway", "Upstream unreachable")
    assert daemon.times_said(f'error upstream name not resolved error="{HANDLER}: Name or service not known"') == 1
    names.set("127.0.0.2")
    # Nobody has to ask for it.
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"127.0.0.2"
    until(lambda: daemon.times_said("notice upstream name resolved again"), "the end of it being told")
    assert daemon.times_said("upstream name not resolved") == 1


def test_a_request_brings_the_name_that_has_appeared(launch, names, handler, key):
    upstream = handler("127.0.0.2")
    daemon = start(launch, names, upstream.port, ready=False)
    until(lambda: unresolved(daemon), "/readyz to tell of the name")
    names.set("127.0.0.2")
    answers = []
    until(lambda: answers.append(ask(daemon.port, "GET", "/api/listings", key).status) or answers[-1] == 200, "a 200")
    assert set(answers) <= {200, 502}


def test_a_name_server_that_is_silent_holds_up_nobody_else(launch, handler, key, folder):
    upstream = handler("127.0.0.2")
    names = Names(folder, is_slow=True)
    names.set("127.0.0.2")
    # It listens, and answers what needs no handler, while somebody still waits for the name.
    daemon = start(launch, names, upstream.port, ready=False, loops=1)
    assert unresolved(daemon)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, daemon.port, "GET", "/api/listings", key)
        for _ in range(20):
            assert ask(daemon.port, "GET", "/nowhere", key).status == 404
        # No longer than for a connection.
        problem(waiting.result(), 502, "Bad Gateway", "Upstream unreachable")

    def is_ready() -> bool:
        # It may take several to make one answer.
        names.answer()
        return ask(daemon.admin, "GET", "/readyz").status == 200

    until(is_ready, "/readyz")
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"127.0.0.2"


class TestAfterHalfAMinute:
    """What is noticed although no connect fails."""

    #: By this much faster go the clocks of the sidecar and of Redis.
    SPEED = 20

    @pytest.fixture
    def clocks(self):
        return [ROOT / "Tests/at", "--speed", str(self.SPEED)]

    def test_connections_to_an_address_that_the_name_has_lost_carry_nothing_any_more(self, launch, names, handler, key):
        before = handler("127.0.0.2")
        after = handler("127.0.0.3", before.port)
        names.set("127.0.0.2")
        # None is idle for long enough to be closed for that.
        daemon = start(launch, names, before.port, loops=1, upstream_settings={"idle_timeout": "10m"})
        with Connection(daemon.port) as connection:
            places = []

            def place() -> bytes:
                answer = connection.request("GET", "/api/listings", {"X-API-Key": key})
                assert answer.status == 200
                places.append(answer.body)
                return answer.body

            assert place() == b"127.0.0.2"
            names.set("127.0.0.3")
            until(lambda: place() == b"127.0.0.3", "the new address being used")
            assert {place() for _ in range(20)} == {b"127.0.0.3"}
        assert before.accepted == after.accepted == 1
        until(lambda: before.open == 0, "the connection to the old address being closed")
        # Whichever of two comes first in the answer: what works stays.
        names.set("127.0.0.2", "127.0.0.3")
        until(lambda: daemon.times_said(f"addresses=\"127.0.0.2:{before.port} 127.0.0.3") == 1, "the answer")
        assert ask(daemon.port, "GET", "/api/listings", key).body == b"127.0.0.3"

    def test_a_name_that_disappears(self, launch, names, handler, key):
        upstream = handler("127.0.0.2")
        names.set("127.0.0.2")
        daemon = start(launch, names, upstream.port)
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        names.set()
        until(lambda: unresolved(daemon), "/readyz to tell of the name")
        # Somebody else may have that address by now.
        assert ask(daemon.port, "GET", "/api/listings", key).status == 502
        assert len(upstream.requests) == 1
