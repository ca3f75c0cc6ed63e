# SPDX-License-Identifier: Apache-2.0
"""Whoever can write to Redis can make up sidecars: what is said of them is bounded."""

from fixtures.wire import until

NOTICE = "another sidecar goes by other policies: each counts by its own numbers"


def test_three_hundred_are_one_line_of_the_log(launch, upstream, redis):
    now = redis("TIME")[0]
    for number in range(300):
        redis("ZADD", "tg:1:{:m}:sidecars", now, f"evil-{number}:{number:032x}")
    daemon = launch(upstream)
    until(lambda: daemon.times_said(NOTICE), "the line about them")
    (line,) = (line for line in daemon.said().splitlines() if NOTICE in line)
    assert "policies.new=300" in line
    assert "policies.met=300" in line
