# SPDX-License-Identifier: Apache-2.0
"""The page for operators, in a browser: it never tells of a state that isn't so, or is over."""

import time

import pytest
from fixtures.invented_page import hello, sample, state
from fixtures.redis_server import not_at_the_end_of
from fixtures.wire import until
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


def greet(sidecar, *samples: dict, told: dict | None = None, **members) -> int:
    """What each page hears first. Returns: the second of it."""
    now = int(time.time())
    sidecar.greeting = [
        ("hello", hello(now, **members)),
        ("history", {"samples": list(samples) or [sample(now - 1)]}),
        ("state", told or state()),
    ]
    return now


def level(browser, place: str) -> str:
    return browser.run("return document.getElementById(arguments[0]).className", place)


# ---- What is red has its line ----------------------------------------------------------------------------------------

RED = {
    "failed": ({"failed": 17, "refused": 83}, ["✕ 17 of the last minute's 100 requests failed. More"]),
    "redis": ({"redis": [80, 20, 1.0, 2.0]}, ["✕ 20 decisions of the last minute had to do without Redis. More"]),
    "handler": ({"handler": [80, 20, 1.0, 2.0]}, ["✕ The handler failed 20 of 80 requests in the last minute. More"]),
}


@pytest.mark.parametrize("figure", RED)
@pytest.mark.parametrize("ago", [1, 30])
def test_no_figure_is_red_without_a_line(browser, invented_page, figure, ago):
    """Also where it was half a minute ago, and large is what the last ten seconds were like."""
    members, lines = RED[figure]
    now = int(time.time())
    greet(invented_page, sample(now - ago, **members), *(sample(now - n) for n in range(ago - 1, 0, -1)))
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    for line in lines:
        browser.shows("problems", line)
    assert level(browser, f"{figure}-now") == "value bad"
    assert level(browser, "status") == "good" and browser.driver.title.startswith("✕ ready")
    assert browser.run("return document.querySelectorAll('#figures .bad').length") == 1


def test_where_nobody_gets_in_it_says_so(browser, invented_page):
    now = greet(invented_page, sample(int(time.time()) - 1, allowed=79, refused=21))
    browser.open(invented_page.port)
    browser.shows("problems", "! 21 % of the last minute's requests were refused for other reasons.")
    assert browser.driver.title.startswith("! ready")
    invented_page.tell("sample", sample(now, allowed=5))
    browser.shows("problems", "Nothing needs you.")


def test_what_is_newly_red_is_spoken_once(browser, invented_page):
    now = greet(invented_page)
    browser.open(invented_page.port)
    browser.shows("problems", "Nothing needs you.")
    alarm = "return document.getElementById('alarm').textContent"
    assert browser.run(alarm) == ""
    browser.run(
        "window.spoken = 0; new MutationObserver(() => window.spoken += 1).observe("
        "document.getElementById('alarm'), {childList: true, characterData: true, subtree: true})"
    )
    for second in range(3):
        invented_page.tell("sample", sample(now + second, failed=1))
        browser.shows("problems", f"✕ {second + 1} of the last minute's ")
    assert browser.run(alarm).endswith("failed.")
    # Once for one request, once for requests.
    assert browser.run("return window.spoken") == 2
    # "More" keeps its focus while the number beside it moves on.
    more = browser.driver.find_element(By.CSS_SELECTOR, "#problems a")
    browser.run("arguments[0].focus()", more)
    invented_page.tell("sample", sample(now + 3, failed=1))
    browser.shows("problems", "✕ 4 of the last minute's ")
    assert browser.run("return document.activeElement === arguments[0]", more)
    assert more.get_attribute("href").endswith("#why")


# ---- What may be over ------------------------------------------------------------------------------------------------


def test_the_title_of_a_tab_that_nobody_sees_tells_of_no_state(browser, invented_page):
    greet(invented_page)
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    icon = browser.run("return document.getElementById('icon').href")
    # Without a frame: a browser draws none of such a tab.
    browser.run("window.requestAnimationFrame = () => 0")
    browser.hide(True)
    assert browser.driver.title == "‖ paused · web-1 · Tollgate"
    assert browser.run("return document.getElementById('icon').href") != icon


@pytest.mark.parametrize("may_be_gone", [True])
def test_a_state_of_before_isnt_shown_as_that_of_now(browser, invented_page):
    told = state()
    told["configuration"]["warnings"] = ["something"]
    greet(invented_page, told=told)
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    browser.hide(True)
    # It answers now, but has nothing to say.
    invented_page.greeting = []
    browser.hide(False)
    browser.shows("status", "! Connecting …; the last state was: ready")
    browser.shows("problems", "1 warning")
    until(lambda: len(invented_page.listeners) == 2, "the next stream")
    assert level(browser, "status") == "warn" and browser.driver.title.startswith("! connecting")
    assert browser.text("link") == "Connecting"
    assert "grayscale" in browser.run("return getComputedStyle(document.getElementById('problems')).filter")
    invented_page.tell("hello", hello(int(time.time())))
    browser.shows("link", "Live")
    browser.shows("status", "! Connecting …; the last state was: ready")
    invented_page.tell("state", state())
    browser.shows("status", "✓ Ready")
    browser.shows("problems", "Nothing needs you.")


@pytest.mark.parametrize("may_be_gone", [True])
def test_the_seventeenth_page_waits_as_long_as_it_is_told_to(browser, invented_page):
    greet(invented_page)
    invented_page.refuse_with, invented_page.retry_after = (503, "As many pages are open as may be: close one."), 3
    began = time.monotonic()
    browser.open(invented_page.port)
    browser.shows("status", "! Waiting to be let in: ", "As many pages are open as may be: close one.")
    assert browser.driver.title.startswith("! waiting") and browser.text("link") == "Waiting"
    invented_page.refuse_with = None
    browser.shows("status", "✓ Ready")
    # On a busy machine it may have come again before it was to be let in.
    assert time.monotonic() - began >= 3 * invented_page.refusals > 0
    assert len(invented_page.resumed) == invented_page.refusals + 1


def test_an_answer_that_is_no_stream_is_not_live(browser, invented_page):
    """Such as that of a proxy that has a page of its own there."""
    greet(invented_page)
    invented_page.refuse_with = (200, "welcome")
    browser.open(invented_page.port)
    browser.shows("status", "✕ No sidecar answers here, since ", "it answers 200, welcome")
    assert browser.text("link") == "No answer"
    invented_page.refuse_with = None
    browser.shows("link", "Live")


@pytest.mark.parametrize("other", [{"name": "web-2"}, {"started": 1_000_000}])
def test_another_sidecar_behind_the_address_is_asked_for_all_it_has(browser, invented_page, other):
    now = greet(invented_page, sample(int(time.time()) - 1, allowed=5))
    browser.open(invented_page.port)
    browser.shows("requests-more", "5 in 15 min")
    browser.hide(True)
    invented_page.hang_up()
    greet(invented_page, sample(now - 700, allowed=20), sample(now, allowed=10), **other)
    browser.hide(False)
    browser.shows("requests-more", "30 in 15 min")
    until(lambda: len(invented_page.resumed) == 3, "the stream without an ID")
    browser.shows("status", "✓ Ready")
    assert invented_page.resumed == [None, str(now - 1), None]


# ---- What it doesn't understand --------------------------------------------------------------------------------------

FLAWS = {
    "hello": ("hello", {"version": "9.9.9"}),
    "sample": ("sample", {"at": 2_000_000_000}),
    "state": ("state", {}),
    "a part of the state": ("state", {**state(), "refusals": None}),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_it_doesnt_understand_is_red_and_stops_nothing(browser, invented_page, flaw):
    now = greet(invented_page)
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    invented_page.tell(*FLAWS[flaw])
    browser.shows("status", "✕ This page doesn't understand its sidecar: reload it.")
    assert level(browser, "status") == "bad" and browser.driver.title.startswith("✕ not understood")
    if flaw != "sample":
        invented_page.tell("sample", sample(now, allowed=7))
        browser.shows("requests-more", "7 in 15 min")
    assert len(invented_page.resumed) == 1


def test_what_is_no_json_is_not_taken_for_a_sidecar_that_is_gone(browser, invented_page):
    greet(invented_page)
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    file, _ = invented_page.listeners[0]
    file.write(b"event: sample\ndata: {\n\n")
    file.flush()
    browser.shows("status", "✕ This page doesn't understand its sidecar: reload it.", "JSON")


def test_a_sidecar_of_another_version_asks_for_a_reload(browser, invented_page):
    now = greet(invented_page)
    browser.open(invented_page.port)
    browser.shows("problems", "Nothing needs you.")
    invented_page.tell("hello", hello(now, version="9.9.10"))
    browser.shows("problems", "! The sidecar is of version 9.9.10, this page of 9.9.9: reload it.")


# ---- Times -----------------------------------------------------------------------------------------------------------


def refusal(at: float, **members) -> dict:
    names = ("reason", "policy", "route", "organization", "key", "client", "id")
    return {"at": at, "status": 401, **dict.fromkeys(names), **members}


def test_times_follow_a_clock_that_is_set(browser, invented_page):
    now = int(time.time())
    greet(invented_page, told=state(refusals=[refusal(now - 60)]))
    browser.open(invented_page.port)
    browser.shows("refusals", "401")
    shown = "return Date.parse(document.querySelector('#refusals time').dateTime) / 1000"
    before = browser.run(shown)
    # A busy browser takes its time to open.
    assert abs(before - (now - 60)) < 60
    # The reader's clock goes on by an hour: it slept, or was set.
    browser.run("const real = Date.now; Date.now = () => real.call(Date) + 3_600_000")
    invented_page.tell("sample", sample(int(time.time())))
    invented_page.tell("state", state(refusals=[refusal(now - 60)], loops_unheard=1))
    browser.shows("problems", "✕ No answer from 1 event loop")
    assert abs(browser.run(shown) - before - 3600) < 60


def test_a_time_of_another_day_has_its_date(browser, invented_page):
    not_at_the_end_of(86_400, time.time())
    now = int(time.time())
    old = now - 3 * 86_400
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(old))
    status = {"status": "degraded", "reason": "r", "detail": "d", "since": since}
    greet(invented_page, told=state(status=status, refusals=[refusal(now), refusal(old)]))
    browser.open(invented_page.port)
    day = time.strftime("%-d %b", time.gmtime(old))
    browser.shows("status", f"! Degraded, since {day}, ")
    times = [row[0] for row in browser.rows("refusals")]
    assert times[1].startswith(f"{day}, ") and len(times[0]) == len("18:01:27"), times


# ---- Charts, tables and paper ----------------------------------------------------------------------------------------


def test_charts_go_back_to_the_chosen_moment(browser, invented_page):
    now = int(time.time())
    greet(invented_page, *(sample(now - n, allowed=n % 50) for n in range(899, 0, -1)))
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    browser.driver.find_element(By.ID, "cursor").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 20)
    browser.shows("cursor-time", ":")
    chosen = browser.text("cursor-time")
    plot = browser.driver.find_element(By.CSS_SELECTOR, "#traffic svg.plot[role=img]")
    ActionChains(browser.driver).move_to_element(plot).perform()
    until(lambda: browser.text("cursor-time") != chosen, "the moment that is pointed at")
    ActionChains(browser.driver).move_to_element(browser.driver.find_element(By.ID, "about")).perform()
    browser.shows("cursor-time", chosen)


def test_a_policy_at_a_percentage_counts_what_it_would_refuse_in_addition(browser, invented_page):
    now = int(time.time())
    policy = {"name": "quarter", "per": "key", "limit": "5/m", "mode": "25%"}
    trial = [{"policy": "quarter", "would_have_refused": 30, "would_have_allowed": 45}]
    counted = sample(now - 1, allowed=90, denied=10, policies={"quarter": [60, 10, 30]})
    greet(invented_page, counted, told=state(trial=trial), policies=[policy])
    browser.open(invented_page.port)
    browser.shows("trial-table", "Enforcing them would have refused in addition", "quarter")
    row = [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in browser.rows("trial-table")[0]]
    assert row == ["quarter", "25%", "30 of 100, 30 %", "30 of 75, 40 %"]
    note = browser.charts("policies")["quarter"]
    assert note.startswith("5/m per key, in trial (25%): 90 allowed, 10 denied, would have denied 30 in 15 min"), note


def test_latency_by_route_is_a_chart_too(browser, invented_page):
    now = int(time.time())
    counted = [sample(now - n, allowed=1, routes={"/mcp": [1, 0, 40.0 + n]}) for n in range(60, 0, -1)]
    greet(invented_page, *counted, routes=["/mcp"])
    browser.look(height=4000)
    browser.open(invented_page.port)
    browser.shows("routes", "/mcp: latency", "p99")
    drawn = "return document.querySelector('#route-latencies svg.plot').getAttribute('aria-label')"
    until(lambda: "100 ms at most" in browser.run(drawn).replace("\N{NO-BREAK SPACE}", " "), "its line")
    assert browser.run("return document.querySelectorAll('#route-latencies path.line').length") == 2


def test_versions_that_differ_are_red(browser, invented_page):
    ours = {"name": "web-1", "version": "9.9.9", "policies": "0ab1" * 8, "heard_seconds_ago": 1, "self": True}
    theirs = {**ours, "name": "web-2", "version": "9.9.8", "self": False}
    greet(invented_page, told=state(fleet={"known": True, "reason": None, "sidecars": [ours, theirs]}))
    browser.open(invented_page.port)
    browser.shows("problems", "✕ Sidecars of the fleet run 2 versions.")
    browser.shows("fleet-note", "✕ They differ")
    assert [row[1] for row in browser.rows("fleet-table")] == ["9.9.9", "✕ 9.9.8"]


def test_a_sidecar_that_starts_claims_nothing(browser, invented_page):
    starting = state(status={"status": "starting", "reason": None, "detail": None, "since": None})
    greet(invented_page, told=starting, listeners=[])
    browser.open(invented_page.port)
    browser.shows("status", "! Starting")
    assert "listens" not in browser.text("about") and browser.text("fleet-note") == ""


def test_long_routes_and_policies_are_broken(browser, invented_page):
    now = int(time.time())
    long = refusal(now, route="/" + "segment" * 90, policy="policy" * 20, reason="rate_limited")
    greet(invented_page, told=state(refusals=[long]))
    browser.open(invented_page.port)
    browser.shows("refusals", "segment")
    assert browser.run("return document.getElementById('refusals').scrollWidth") < 1500


def test_on_paper_it_is_black_on_white_and_dated(browser, invented_page):
    now = int(time.time())
    told = state(refusals=[refusal(now)] * 50)
    greet(invented_page, *(sample(now - n, allowed=9) for n in range(300, 0, -1)), told=told)
    browser.look(theme="dark")
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    try:
        browser.run("dispatchEvent(new Event('beforeprint'))")
        style = "const style = getComputedStyle(document.querySelector(arguments[0])); return style[arguments[1]]"
        assert browser.run(style, "body", "backgroundColor") == "rgb(255, 255, 255)"
        assert browser.run(style, "body", "color") == "rgb(0, 0, 0)"
        assert browser.run(style, "#pause", "display") == "none"
        # All rows, and all charts, whether they were in sight or not.
        assert browser.run(style, ".scroll.tall", "maxHeight") == "none"
        plots = "[...document.querySelectorAll('svg.plot')]"
        assert browser.run(f"return {plots}.every((plot) => plot.childElementCount > 0)")
        browser.shows("printed", "Printed on ", time.strftime("%Y", time.gmtime()))
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
