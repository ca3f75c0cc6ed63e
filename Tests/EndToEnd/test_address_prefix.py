# SPDX-License-Identifier: Apache-2.0
"""Whom an address counts as, by running daemons and by what `tollgatectl quota` finds of them."""

from fixtures.wire import ask
from test_quota import published, remaining


def test_callers_behind_a_nat64_and_customers_with_a_block_count_as_configured(launch, upstream, ctl):
    policies = [
        {"name": "customer", "per": "address", "limit": "9/1d"},
        {"name": "line", "per": "address", "limit": "9/1d", "address_prefix": {"ipv4": 24, "ipv6": 64}},
    ]
    daemon = launch(upstream, policies=policies, address_prefix={"ipv6": 56})

    def call(client: str):
        assert ask(daemon.port, "GET", "/nowhere", fields={"X-Forwarded-For": client}).status == 404

    for client in ("64:ff9b::203.0.113.9", "64:ff9b::203.0.113.10", "203.0.113.10"):
        call(client)
    for client in ("2001:db8:1:200::1", "2001:db8:1:201::1", "2001:db8:1:2ff::1", "2001:db8:1:300::1"):
        call(client)
    published(ctl, 1)
    expected = {
        "203.0.113.9": {"customer": 8, "line": 6},
        "64:ff9b::203.0.113.10": {"customer": 7, "line": 6},
        "203.0.113.0/24": {"line": 6},
        "2001:db8:1:2aa::1": {"customer": 6, "line": 9},
        "2001:db8:1:200::1": {"customer": 6, "line": 8},
        "2001:db8:1:200::/56": {"customer": 6},
    }
    assert {subject: remaining(ctl, subject) for subject in expected} == expected
    ctl("quota", "reset", "2001:db8:1:2aa::1", "customer")
    assert remaining(ctl, "2001:db8:1:200::1") == {"customer": 9, "line": 8}
    # The log has the addresses themselves.
    assert {line["client"] for line in daemon.lines(7)} == {
        "64:ff9b::cb00:7109",
        "64:ff9b::cb00:710a",
        "203.0.113.10",
        "2001:db8:1:200::1",
        "2001:db8:1:201::1",
        "2001:db8:1:2ff::1",
        "2001:db8:1:300::1",
    }
