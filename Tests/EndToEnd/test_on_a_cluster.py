# SPDX-License-Identifier: Apache-2.0
"""What is tested with one server works with a cluster: the same cases, by way of fixtures.routed. What they are about says
each module's own name."""

import tempfile
from pathlib import Path

import pytest
import test_control
import test_expiring
import test_key_checks
import test_key_life
import test_meta
import test_operators
import test_policies
import test_quota
import test_scopes
import test_usage
from fixtures.cluster import Cluster
from fixtures.routed import Routed

MODULES = (
    test_control, test_expiring, test_key_checks, test_key_life, test_meta, test_operators, test_policies, test_quota,
    test_scopes, test_usage,
)  # fmt: skip
#: Those that stop the one server, or stand between it and whoever asks, or ask none.
ABOUT_ONE_SERVER = {
    "test_a_greedy_file_takes_bounded_memory",
    "test_a_key_that_is_issued_meanwhile_goes_too",
    "test_counts_wait_for_a_redis_that_is_away",
    "test_what_had_no_answer_is_told_as_perhaps_done",
    "test_where_redis_goes_away_the_import_tells_how_far_it_came",
    "test_where_redis_goes_away_what_was_revoked_is_told",
    "test_who_makes_keys_without_end_is_told_of",
    "test_without_redis_mcp_clients_are_told_in_band_too",
    "test_without_redis_scopes_and_networks_hold",
}


@pytest.fixture(scope="module")
def deployment():
    with tempfile.TemporaryDirectory(prefix="tg", ignore_cleanup_errors=True) as name:
        # What tollgatectl says of replicas is told of in other tests.
        cluster = Cluster(Path(name) / "redis", replicas=0)
        try:
            cluster.start()
            cluster.be_patient()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def redis(deployment):
    routed = Routed(deployment)
    yield routed
    # Its daemons have ended.
    routed("FLUSHALL")


for module in MODULES:
    cases = {name: case for name, case in vars(module).items() if getattr(case, "__module__", "") == module.__name__}
    for name in [name for name in cases if name.startswith("test_") and name not in ABOUT_ONE_SERVER]:
        assert name not in globals(), f"{name} is in two modules"
        globals()[name] = cases[name]

#: Fixtures of those modules.
one_day, daemon, issued = test_usage.one_day, test_control.daemon, test_scopes.issued
