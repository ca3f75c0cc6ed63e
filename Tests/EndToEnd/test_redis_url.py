# SPDX-License-Identifier: Apache-2.0
"""How the programs are told where Redis is."""

from fixtures.programs import Control
from fixtures.wire import ask


def test_a_url_of_redis_may_end_in_a_line_feed(launch, upstream, redis):
    """As files of secrets do, and variables made of them."""
    daemon = launch(upstream, redis_url="redis://127.0.0.1:1/0", env={"TOLLGATE_REDIS_URL": f"{redis.url}\n"})
    assert ask(daemon.admin, "GET", "/readyz").status == 200
    assert Control(f"{redis.url}\n")("org", "list", "--json") == ""


def test_a_password_may_look_like_a_variable(launch, upstream, redis):
    redis("ACL", "SETUSER", "app", "on", ">pw${x}", "~*", "&*", "+@all")
    url = redis.url.replace("redis://", "redis://app:pw${x}@")
    daemon = launch(upstream, redis_url="redis://127.0.0.1:1/0", env={"TOLLGATE_REDIS_URL": url})
    assert ask(daemon.admin, "GET", "/readyz").status == 200
    assert Control(url)("org", "list", "--json") == ""
    # In the file it has to be told from a variable.
    assert ask(launch(upstream, redis_url=url.replace("$", "%24")).admin, "GET", "/readyz").status == 200
