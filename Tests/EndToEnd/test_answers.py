# SPDX-License-Identifier: Apache-2.0
"""What a caller is told: statuses, fields and bodies (docs/design.md, "The order of a request")."""

import re
import time
import uuid

import pytest
from fixtures.wire import Connection, ask

LIMIT_FIELDS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit")
BAD_KEY = "mcp_" + "A" * 43


def problem(answer, status: int, title: str, detail: str, **members) -> dict:
    """Asserts everything that every refusal has, and exactly the members named."""
    assert answer.status == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert body == {
        "type": members.pop("type", "about:blank"),
        "title": title,
        "status": status,
        "detail": detail,
        "correlation_id": answer["X-Correlation-ID"],
        **members,
    }
    return body


def test_an_unknown_path_is_404_before_any_credential_is_looked_at(tollgate, upstream, key):
    answer = ask(tollgate.port, "GET", "/api/nonexistent?page=2", key)
    problem(answer, 404, "Not Found", "Route '/api/nonexistent' not found", path="/api/nonexistent", method="GET")
    assert answer.limits() == (15, 14)
    assert answer["RateLimit-Policy"] == '"address";q=15;w=10'
    assert answer["RateLimit"] == '"address";r=14;t=10'
    assert "WWW-Authenticate" not in answer
    assert upstream.requests == []


def test_a_known_path_with_another_method_is_405_with_the_union_of_its_routes(tollgate, upstream, key):
    answer = ask(tollgate.port, "DELETE", "/api/listings", key)
    problem(answer, 405, "Method Not Allowed", "Method Not Allowed", path="/api/listings", method="DELETE")
    assert answer["Allow"] == "GET, HEAD, POST"
    assert answer.limits() == (15, 14)
    assert upstream.requests == []


def test_head_on_a_get_route_answers_as_get_without_a_body(tollgate, upstream, key):
    with Connection(tollgate.port) as connection:
        got = connection.request("GET", "/api/listings", {"X-API-Key": key})
        headed = connection.request("HEAD", "/api/listings", {"X-API-Key": key})
        refused = connection.request("HEAD", "/api/listings")
        again = connection.request("GET", "/api/listings", {"X-API-Key": key})
    assert (got.status, headed.status, refused.status, again.status) == (200, 200, 401, 200)
    assert headed.body == b"" and refused.body == b""
    assert int(refused["Content-Length"]) > 0
    assert [request.method for request in upstream.requests] == ["GET", "HEAD", "GET"]


def test_trace_is_405_and_connect_is_405_and_closes(tollgate, key):
    with Connection(tollgate.port) as connection:
        assert connection.request("TRACE", "/api/listings", {"X-API-Key": key}).status == 405
        connection.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        refused = connection.response()
        assert refused.status == 405
        assert refused["Connection"] == "close"
        assert connection.at_end()


def test_without_a_key_401_says_how_to_bring_one(tollgate, upstream):
    answer = ask(tollgate.port, "GET", "/api/listings")
    problem(answer, 401, "Unauthorized", "Missing API key. Provide X-API-Key header.")
    assert answer["WWW-Authenticate"] == 'Bearer realm="tollgate"'
    assert answer.limits() == (15, 14)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"X-API-Key": BAD_KEY},
        {"X-API-Key": "what-is-this"},
        {"X-API-Key": "mcp_ short"},
        {"Authorization": f"Bearer {BAD_KEY}"},
        {"Authorization": f"bEARER {BAD_KEY}"},
    ],
)
def test_a_key_that_is_none_is_401_with_invalid_token(tollgate, upstream, fields):
    answer = ask(tollgate.port, "GET", "/api/listings", fields=fields)
    problem(answer, 401, "Unauthorized", "Invalid or inactive API key")
    assert answer["WWW-Authenticate"] == 'Bearer realm="tollgate", error="invalid_token"'
    assert answer.limits() == (15, 14)
    assert upstream.requests == []


def test_authorization_bearer_carries_a_key_as_well(tollgate, key):
    assert ask(tollgate.port, "GET", "/api/listings", fields={"Authorization": f"bearer {key}"}).status == 200


def test_the_same_key_in_both_fields_is_one_credential(tollgate, key):
    answer = ask(tollgate.port, "GET", "/api/listings", key, fields={"Authorization": f"Bearer {key}"})
    assert answer.status == 200
    assert answer.limits() == (20, 19)


def test_a_revoked_key_is_401_on_the_next_request_on_two_daemons_at_once(launch, upstream, ctl):
    first, second = launch(upstream), launch(upstream)
    issued = ctl.issue()
    with Connection(first.port) as one, Connection(second.port) as two:
        for connection in (one, two, one, two):
            assert connection.request("GET", "/api/listings", {"X-API-Key": issued["key"]}).status == 200
        ctl.revoke(issued["id"])
        for connection in (one, two):
            refused = connection.request("GET", "/api/listings", {"X-API-Key": issued["key"]})
            problem(refused, 401, "Unauthorized", "Invalid or inactive API key")
    assert len(upstream.requests) == 4


def test_an_expired_key_is_401_by_the_clock_of_redis(tollgate, ctl):
    with Connection(tollgate.port) as connection:
        # It has to be used before it ends; where the machine is too busy for that, a key that holds longer is tried.
        for seconds in 1, 4, 16:
            issued = ctl.issue("acme", f"brief{seconds}", "--expires", f"{seconds}s")
            statuses = []
            deadline = time.monotonic() + seconds + 30
            while time.monotonic() < deadline and statuses[-1:] != [401]:
                statuses.append(connection.request("GET", "/api/listings/1", {"X-API-Key": issued["key"]}).status)
                time.sleep(0.1)
            if statuses[0] == 200:
                break
    assert statuses[0] == 200 and statuses[-1] == 401
    assert set(statuses) <= {200, 401}


def test_a_token_bucket_counts_down_and_says_when_to_come_back(tollgate, ctl, upstream):
    with Connection(tollgate.port) as connection:
        # The bucket starts to refill with the first call, so the counting has to fit into one token's time. Where the
        # machine is too busy for that, another bucket is tried.
        for attempt in range(20):
            key = ctl.issue(f"acme{attempt}")["key"]
            upstream.requests.clear()
            began = time.time()
            answers = [connection.request("GET", "/api/listings", {"X-API-Key": key}) for _ in range(21)]
            took = time.time() - began
            if took < 0.5:
                break
        assert took < 0.5, f"21 calls took {took:.2f} s: this machine is too busy to count within one token's time"
        assert [answer.status for answer in answers] == [200] * 20 + [429]
        assert [answer.limits() for answer in answers] == [(20, 19 - n) for n in range(20)] + [(20, 0)]
        first, last, denied = answers[0], answers[19], answers[20]
        assert first["RateLimit-Policy"] == '"org";q=20;w=10'
        assert first["RateLimit"] == '"org";r=19;t=10'
        assert last["RateLimit"] == '"org";r=0;t=1'
        assert int(first["X-RateLimit-Reset"]) in range(int(began), int(began) + 3)
        body = denied.json()
        assert 1 <= body["retryAfterMs"] <= 500
        problem(
            denied,
            429,
            "Too Many Requests",
            "Rate limit exceeded",
            type="https://iana.org/assignments/http-problem-types#quota-exceeded",
            **{"violated-policies": ["org"]},
            retryAfter=1,
            retryAfterMs=body["retryAfterMs"],
            rateLimitRemaining=0,
        )
        assert denied["Retry-After"] == "1"
        assert denied["RateLimit-Policy"] == '"org";q=20;w=10'
        assert denied["RateLimit"] == '"org";r=0;t=1'
        assert time.time() < int(denied["X-RateLimit-Reset"]) <= time.time() + 11
        time.sleep(int(denied["Retry-After"]))
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
    assert len(upstream.requests) == 21


def test_a_denied_request_is_charged_nowhere(launch, upstream, ctl):
    policies = [
        {"name": "org", "per": "org", "limit": "10/1h"},
        {"name": "key", "per": "key", "limit": "3/1h"},
    ]
    daemon = launch(upstream, policies=policies)
    first, second = ctl.issue()["key"], ctl.issue(name="other")["key"]
    with Connection(daemon.port) as connection:
        statuses = [connection.request("GET", "/open").status for _ in range(2)]
        statuses += [connection.request("GET", "/api/listings", {"X-API-Key": first}).status for _ in range(9)]
        answer = connection.request("GET", "/api/listings", {"X-API-Key": second})
    assert statuses == [200] * 5 + [429] * 6
    # The organization paid for three calls of the first key and one of the second, and for none of the six denied ones.
    assert answer["RateLimit-Policy"] == '"org";q=10;w=3600, "key";q=3;w=3600'
    assert re.fullmatch(r'"org";r=6;t=\d+, "key";r=2;t=\d+', answer["RateLimit"])
    assert answer.limits() == (3, 2)


def test_limits_of_a_key_override_the_file(launch, upstream, ctl):
    daemon = launch(upstream, policies=[{"name": "search", "per": "key", "limit": "5/1h"}])
    wide = ctl.issue("acme", "wide", "--limit", "search=100/1h:200")["key"]
    plain = ctl.issue(name="plain")["key"]
    assert ask(daemon.port, "GET", "/api/listings", wide).limits() == (200, 199)
    assert ask(daemon.port, "GET", "/api/listings", plain).limits() == (5, 4)


def test_a_global_policy_counts_what_may_reach_the_handler(launch, upstream, key):
    policies = [
        {"name": "all", "per": "global", "limit": "3/1h"},
        {"name": "address", "per": "address", "limit": "50/1h"},
    ]
    daemon = launch(upstream, policies=policies)
    with Connection(daemon.port) as connection:
        assert connection.request("GET", "/nowhere").status == 404
        assert connection.request("GET", "/api/listings").status == 401
        assert connection.request("GET", "/open").status == 200
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        assert connection.request("GET", "/open").status == 200
        denied = connection.request("GET", "/api/listings", {"X-API-Key": key})
        assert denied.status == 429
        assert denied.json()["violated-policies"] == ["all"]


def test_matching_limits_a_policy_to_its_routes_and_methods(launch, upstream, key):
    policies = [
        {"name": "writes", "per": "key", "match": {"methods": ["POST"], "routes": ["/api/listings"]}, "limit": "1/1h"}
    ]
    daemon = launch(upstream, policies=policies)
    with Connection(daemon.port) as connection:
        post = [connection.request("POST", "/api/listings", {"X-API-Key": key}, b"{}").status for _ in range(2)]
        reads = [connection.request("GET", "/api/listings", {"X-API-Key": key}) for _ in range(3)]
    assert post == [200, 429]
    assert [answer.status for answer in reads] == [200] * 3
    assert not any(name in answer for answer in reads for name in LIMIT_FIELDS)


def test_404_and_401_charge_the_address_and_are_429_once_it_is_empty(launch, upstream, key):
    # So slow that nothing comes back while it is counted.
    slow = [{"name": "address", "per": "address", "limit": "15/1h"}, {"name": "org", "per": "org", "limit": "20/1h"}]
    tollgate = launch(upstream, policies=slow)
    with Connection(tollgate.port) as connection:
        answers = [connection.request("GET", "/nowhere" if n % 2 else "/api/listings") for n in range(15)]
        denied = [connection.request("GET", target) for target in ("/nowhere", "/api/listings", "/open")]
        denied.append(connection.request("DELETE", "/api/listings"))
        denied.append(connection.request("GET", "/api/listings", {"X-API-Key": BAD_KEY}))
        allowed = connection.request("GET", "/api/listings", {"X-API-Key": key})
        unthrottled = connection.request("GET", "/health")
    assert [answer.status for answer in answers] == [401, 404] * 7 + [401]
    assert [answer.limits() for answer in answers] == [(15, 14 - n) for n in range(15)]
    for answer in denied:
        assert answer.status == 429
        assert answer.json()["violated-policies"] == ["address"]
        assert 180 <= int(answer["Retry-After"]) <= 240
        assert answer.limits() == (15, 0)
    # A valid key on a protected route is not refused for an address that others emptied.
    assert allowed.status == 200
    assert allowed.limits() == (20, 19)
    assert unthrottled.status == 200


def test_health_is_never_throttled_and_shows_the_buckets_untouched(tollgate, upstream):
    with Connection(tollgate.port) as connection:
        answers = [connection.request("GET", "/health") for _ in range(100)]
        assert {answer.status for answer in answers} == {200}
        assert {answer.limits() for answer in answers} == {(15, 15)}
    assert len(upstream.requests) == 100


#: Of which nothing comes back while it is counted.
SLOW_ADDRESS = [{"name": "address", "per": "address", "limit": "15/1h"}]


def test_every_address_has_a_bucket_of_its_own_where_a_trusted_proxy_names_it(launch, upstream):
    daemon = launch(upstream, policies=SLOW_ADDRESS)

    def remaining(address: str) -> int:
        return ask(daemon.port, "GET", "/open", fields={"X-Forwarded-For": address}).limits()[1]

    assert [remaining("203.0.113.9"), remaining("203.0.113.9"), remaining("198.51.100.7")] == [14, 13, 14]
    # One IPv6 customer has at least a /64.
    assert [remaining("2001:db8:1:2::1"), remaining("2001:db8:1:2:ffff::9"), remaining("2001:db8:1:3::1")] == [
        14,
        13,
        14,
    ]
    assert remaining("::ffff:203.0.113.9") == 12
    # Walking from the right, the first hop that isn't trusted speaks; what is left of it is its own claim.
    assert remaining("192.0.2.66, 203.0.113.9, 127.0.0.1") == 11


def test_an_untrusted_peer_cannot_choose_its_address(launch, upstream):
    daemon = launch(upstream, trusted_proxies=["192.0.2.0/24"], policies=SLOW_ADDRESS)
    answers = [ask(daemon.port, "GET", "/open", fields={"X-Forwarded-For": f"203.0.113.{n}"}) for n in range(3)]
    assert [answer.limits()[1] for answer in answers] == [14, 13, 12]
    assert upstream.last.all("X-Forwarded-For") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "status",
    [200, 401, 404, 405, 429, 502],
)
def test_the_rate_limit_and_correlation_fields_are_on_every_answer(launch, upstream, key, status):
    policies = [{"name": "address", "per": "address", "limit": "5/1h"}, {"name": "org", "per": "org", "limit": "5/1h"}]
    daemon = launch(upstream, policies=policies)
    if status == 502:
        upstream.behaviour = lambda *_: None
    method, target, bearer = {
        200: ("GET", "/api/listings", key),
        401: ("GET", "/api/listings", None),
        404: ("GET", "/nowhere", key),
        405: ("PUT", "/api/listings", key),
        429: ("GET", "/api/listings", key),
        502: ("GET", "/api/listings", key),
    }[status]
    with Connection(daemon.port) as connection:
        if status == 429:
            for _ in range(5):
                connection.request(method, target, {"X-API-Key": key})
        answer = connection.request(method, target, {"X-API-Key": bearer} if bearer else {})
    assert answer.status == status
    for name in LIMIT_FIELDS:
        assert answer[name]
    assert answer.limits() == (5, 0 if status == 429 else 4)
    assert int(answer["X-RateLimit-Reset"]) > time.time()
    uuid.UUID(answer["X-Correlation-ID"], version=4)


def test_a_well_formed_correlation_id_is_echoed_and_forwarded(tollgate, upstream, key):
    answer = ask(tollgate.port, "GET", "/api/listings", key, fields={"X-Correlation-ID": "order-66.retry_2"})
    assert answer["X-Correlation-ID"] == upstream.last.get("X-Correlation-ID") == "order-66.retry_2"


def test_an_answer_to_a_credential_is_not_for_shared_caches(tollgate, upstream, key):
    answer = ask(tollgate.port, "GET", "/api/listings", key)
    assert {name.lower() for name in answer.listed("Vary")} >= {"x-api-key", "authorization"}
    assert answer["Cache-Control"] == "private"
    refused = ask(tollgate.port, "GET", "/api/listings", BAD_KEY)
    assert {name.lower() for name in refused.listed("Vary")} >= {"x-api-key", "authorization"}


def test_an_encoded_letter_is_the_letter(tollgate, upstream, key):
    assert ask(tollgate.port, "GET", "/%61pi/%6Cistings").status == 401
    assert ask(tollgate.port, "GET", "/%61pi/%6Cistings", key).status == 200
    # What the handler gets is what the caller wrote.
    assert upstream.last.target == "/%61pi/%6Cistings"


def test_anonymous_allowed_charges_the_address(launch, upstream):
    daemon = launch(upstream, keys={"anonymous": "allow"})
    answer = ask(daemon.port, "GET", "/api/listings")
    assert answer.status == 200
    assert answer.limits() == (15, 14)
    assert upstream.last.get("X-Tollgate-Org") is None


class TestMCPRoute:
    """`mcp: true`: refusals keep their HTTP status and say it as a JSON-RPC error as well."""

    def error(self, answer, status: int, message: str) -> dict:
        assert answer.status == status
        assert answer["Content-Type"] == "application/json"
        assert answer["Cache-Control"] == "no-store"
        body = answer.json()
        assert set(body) == {"jsonrpc", "id", "error"}
        assert body["jsonrpc"] == "2.0" and body["id"] is None
        assert body["error"]["code"] == status * 100
        assert body["error"]["message"] == message
        assert body["error"]["data"]["status"] == status
        assert body["error"]["data"]["correlation_id"] == answer["X-Correlation-ID"]
        return body["error"]["data"]

    def test_401(self, tollgate):
        answer = ask(tollgate.port, "POST", "/mcp", body=b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
        data = self.error(answer, 401, "Missing API key. Provide X-API-Key header.")
        assert data["detail"] == "Missing API key. Provide X-API-Key header."
        assert answer["WWW-Authenticate"] == 'Bearer realm="tollgate"'

    def test_429_says_in_words_how_long_to_wait(self, launch, upstream, key):
        daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1/70s"}])
        began = time.monotonic()
        assert ask(daemon.port, "POST", "/mcp", key, body=b"{}").status == 200
        denied = ask(daemon.port, "POST", "/mcp", key, body=b"{}")
        wait = int(denied["Retry-After"])
        assert 70 - (time.monotonic() - began) <= wait <= 70
        data = self.error(denied, 429, f"Rate limit exceeded: retry in {wait} s")
        assert data["retryAfter"] == wait and data["violated-policies"] == ["org"]
        assert denied.limits() == (1, 0)
