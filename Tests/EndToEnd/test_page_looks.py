# SPDX-License-Identifier: Apache-2.0
"""The page for operators, in a browser: how it looks, for whom, and what it makes of whatever comes by the wire.

TOLLGATE_RENEW_DOCUMENTS=1 writes the pictures of docs/page.md.
"""

import math
import os
import re
import struct
import time

import pytest
from fixtures.browser import MARKUP
from fixtures.invented_page import FILES, hello, sample, state
from fixtures.programs import ROOT
from fixtures.wire import until
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

# ---- How it looks, and for whom --------------------------------------------------------------------------------------

LOOKS = {
    "light": {"width": 1280, "height": 1000, "theme": "light"},
    "dark": {"width": 1280, "height": 1000, "theme": "dark"},
    "narrow": {"width": 360, "height": 800, "theme": "light"},
    "wide": {"width": 2560, "height": 1440, "theme": "dark"},
    "narrow and dark": {"width": 360, "height": 800, "theme": "dark"},
}


@pytest.fixture
def lively(invented_page):
    """A sidecar with 15 minutes behind it, a peak in it, and something for each part of the page."""
    now = int(time.time())
    policies = [
        ("org", "org", "20/10s", "enforce"),
        ("search", "key", "5/m", "enforce"),
        ("monthly", "org", "100000/month", "shadow"),
    ]
    names = ("name", "per", "limit", "mode")
    greeting = hello(now, policies=[dict(zip(names, one)) for one in policies], routes=["/api/listings", "/mcp"])
    samples = []
    for at in range(now - 900, now):
        is_peak = now - 320 < at < now - 240
        calls = 60 + int(20 * math.sin((now - at) / 110) + 4 * math.sin((now - at) / 7)) + (90 if is_peak else 0)
        denied = calls // 3 if is_peak else at % 2
        lot = {
            "org": [calls - denied, denied, 0],
            "search": [calls // 3, denied // 2, 0],
            "monthly": [calls - denied, 0, calls // 20],
        }
        by_route = {
            "/api/listings": [calls // 2, denied // 2, 12.5],
            "/mcp": [calls - calls // 2, denied - denied // 2, 48.0],
        }
        members = {
            "policies": lot,
            "routes": by_route,
            "redis": [calls, 0, 0.3, 1.1],
            "handler": [calls - denied, 0, 2.6, 22.0],
        }
        samples.append(sample(
            at, allowed=calls - denied, denied=denied, refused=int(at % 9 == 0), failed=int(at % 300 == 0), p50=3.4,
            p99=(70.0 if is_peak else 24.0) + 3 * math.sin(at / 3), connections=42, streams=7, **members,
        ))  # fmt: skip
    people = [
        {"key": f"{name}/k{n:09}", "organization": name, "count": 9000 // (n + 1), "error": n // 8}
        for n, name in enumerate(["acme", "globex"] * 6)
    ]
    organizations = [
        {"organization": name, "count": count, "error": 0} for name, count in (("acme", 41_000), ("globex", 9_000))
    ]
    top = {
        "since": now - 600,
        "callers": people,
        "denied": people[:3],
        "organizations": organizations,
        "denied_organizations": organizations,
    }
    reasons = [(429, "rate_limited", "search"), (401, "expired", None), (403, "insufficient_scope", None)]
    refusals = [
        {
            "at": now - 7 * n, **dict(zip(("status", "reason", "policy"), reasons[n % 3])), "route": "/mcp",
            "organization": "acme", "key": "acme/k000000001", "client": f"203.0.113.{n}",
            "id": f"6f2b0e0c-8a57-4d8e-9f00-{n:012}",
        } for n in range(50)
    ]  # fmt: skip
    ours = {"name": "web-1", "version": "9.9.9", "policies": "0ab1c2d3" * 4, "heard_seconds_ago": 1, "self": True}
    fleet = {"known": True, "reason": None, "sidecars": [ours, {**ours, "name": "web-2", "self": False}]}
    expiring = {
        "24h": 1,
        "7d": 1,
        "30d": 2,
        "first": [{"key": "acme/k000000001", "organization": "acme", "expires": now + 40_000}],
    }
    trial = [{"policy": "monthly", "would_have_refused": 1800, "would_have_allowed": 40_000}]
    told = state(top=top, refusals=refusals, fleet=fleet, expiring=expiring, trial=trial)
    told["configuration"]["warnings"] = ["upstream.url is plain HTTP to another machine"]
    invented_page.greeting = [
        ("hello", greeting),
        *(("history", {"samples": samples[n : n + 100]}) for n in range(0, 900, 100)),
        ("state", told),
    ]
    return invented_page


@pytest.mark.parametrize("look", ["light", "narrow and dark"])
def test_anybody_can_use_it(browser, lively, look):
    browser.look(**LOOKS[look])
    browser.open(lively.port)
    browser.shows("status", "✓ Ready")
    browser.unfold()
    until(lambda: browser.rows("policy-table"), "the tables")
    found = browser.axe()
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 30
    # Words above a drawing are the one thing that it can't judge.
    unsure = {node["target"][0].rpartition(" ")[2] for one in found["incomplete"] for node in one["nodes"]}
    assert all("text" in one for one in unsure), unsure


@pytest.mark.parametrize("look", ["light", "dark", "narrow", "wide"])
def test_it_fits_and_is_painted(browser, lively, look):
    browser.look(**LOOKS[look])
    browser.open(lively.port)
    browser.shows("status", "✓ Ready")
    browser.shows("refusals", "insufficient_scope")
    until(
        lambda: (
            browser.run(
                "return document.querySelectorAll('#traffic-charts path.line, #traffic-charts path.area').length"
            )
            >= 5
        ),
        "the charts",
    )
    assert browser.run("return document.documentElement.scrollWidth") <= LOOKS[look]["width"]
    cut = (
        "return [...document.querySelectorAll('h1, h2, h3, p, li, dt, dd, button')].filter("
        "(e) => e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
    )
    assert browser.run(cut) == []
    picture = browser.picture()
    size = struct.unpack(">II", picture[16:24])
    assert (picture[:8], size) == (b"\x89PNG\r\n\x1a\n", (LOOKS[look]["width"], LOOKS[look]["height"]))
    # The ground is that of the theme: a page that nobody styled is white.
    ground = {"light": "rgb(246, 247, 249)", "dark": "rgb(16, 21, 27)"}[LOOKS[look]["theme"]]
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == ground
    if look != "wide":
        assert len(picture) <= 150_000
        document = ROOT / f"docs/page-{look}.png"
        if "TOLLGATE_RENEW_DOCUMENTS" in os.environ:
            document.write_bytes(picture)
        assert (
            document.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and document.name in (ROOT / "docs/page.md").read_text()
        )


def test_the_keyboard_reaches_all_and_the_charts_tell_of_one_moment(browser, lively):
    browser.open(lively.port)
    browser.shows("status", "✓ Ready")
    browser.run(
        "window.reached = []; addEventListener('focusin', ({target}) =>"
        " reached.push(target.id || target.getAttribute('aria-label') || target.textContent))"
    )
    ActionChains(browser.driver).send_keys(Keys.TAB * 60).perform()
    reached = browser.run("return window.reached")
    for one in (
        "pause",
        "More",
        "cursor",
        "cursor-now",
        "Keys that call most",
        "The last refusals",
        "Table",
        "All routes as a table",
    ):
        assert one in reached, reached
    browser.driver.find_element(By.ID, "cursor").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 2, *[Keys.PAGE_UP] * 7)
    browser.shows("cursor-time", ":")
    # The peak: of a hundred and more a second, a third is denied.
    legend = browser.driver.find_element(By.CSS_SELECTOR, "#traffic .legend").text
    allowed, denied = (float(re.search(rf"{kind} ([\d.]+)/s", legend)[1]) for kind in ("allowed", "denied"))
    assert 70 < allowed < 120 and 35 < denied < 60, legend
    marks = "return document.querySelectorAll('#traffic path.cursor').length"
    assert browser.run(marks) == 2
    # The moment stays while the charts move on.
    moment, place = browser.text("cursor-time"), browser.run("return document.getElementById('cursor').value")

    def has_moved_on():
        lively.tell("sample", sample(int(time.time()) - 1))
        return browser.run("return document.getElementById('cursor').value") != place

    until(has_moved_on, "the next bin")
    assert browser.text("cursor-time") == moment
    browser.driver.find_element(By.ID, "cursor-now").send_keys(Keys.ENTER)
    browser.shows("cursor-time", "now")
    assert browser.run(marks) == 0


def test_landmarks_and_headings(browser, lively):
    browser.open(lively.port)
    browser.shows("status", "✓ Ready")
    tree = "return [...document.querySelectorAll('h1, h2, h3')].map((e) => e.tagName)"
    levels = browser.run(tree)
    assert levels.count("H1") == 1 and levels.count("H2") == 11 and levels.count("H3") >= 12
    assert browser.run(
        "return ['header', 'main', 'footer'].every((name) => document.querySelectorAll(`body > ${name}`).length === 1)"
    )
    # Two places speak up by themselves: one where the state changes, one where something is newly red.
    spoken = "[role=status], [role=alert], [aria-live]"
    assert browser.run(f"return [...document.querySelectorAll('{spoken}')].map((e) => e.id)") == ["status", "alarm"]
    browser.run(
        "window.spoken = 0; new MutationObserver(() => window.spoken += 1).observe("
        "document.getElementById('status'), {childList: true, characterData: true, subtree: true})"
    )
    before = browser.text("requests-more")
    lively.tell("sample", sample(int(time.time()) + 1, allowed=1))
    until(lambda: browser.text("requests-more") != before, "the sample")
    assert browser.run("return window.spoken") == 0
    lively.tell("state", state(status={"status": "draining", "reason": None, "detail": None, "since": None}))
    browser.shows("status", "! Draining")
    assert browser.run("return window.spoken") > 0


# ---- What comes by the wire ------------------------------------------------------------------------------------------


def marked(value):
    """The same, with markup in place of every text."""
    if isinstance(value, dict):
        return {marked(name) if name == "a name" else name: marked(part) for name, part in value.items()}
    if isinstance(value, list):
        return [marked(part) for part in value]
    return MARKUP if isinstance(value, str) else value


def test_whatever_comes_stays_text(browser, invented_page):
    now = int(time.time())
    person = {"key": "k", "organization": "o", "count": 3, "error": 0}
    sidecar = {"name": "n", "version": "v", "policies": "p", "heard_seconds_ago": 1, "self": True}
    refusal = {
        "at": now,
        "status": 429,
        **dict.fromkeys(("reason", "policy", "route", "organization", "key", "client", "id"), "x"),
    }
    told = marked(state(
        top={"since": now, **dict.fromkeys(("callers", "organizations", "denied", "denied_organizations"), [person])},
        refusals=[refusal], trial=[{"policy": "p", "would_have_refused": 1, "would_have_allowed": 1}],
        status={"status": "s", "reason": "r", "detail": "d", "since": None},
        fleet={"known": True, "reason": "r", "sidecars": [sidecar]},
        openapi={"documents": [{"url": "u", "read": True, "routes": 1, "left_out": 0, "error": "e"}], "error": "e"},
        expiring={"24h": 1, "7d": 1, "30d": 1, "first": [{"key": "k", "organization": "o", "expires": now + 60}]},
    ))  # fmt: skip
    told["configuration"] |= {
        "warnings": [MARKUP],
        "last_reload": {"at": "2026-11-23T03:41:07Z", "ok": False, "errors": [MARKUP]},
    }
    told["redis"] |= {"ok": False}
    greeting = marked(
        hello(now, policies=[{"name": "n", "per": "p", "limit": "l", "mode": "m"}], routes=["r"], listeners=["l"])
    )
    seconds = [sample(now, allowed=3, policies={MARKUP: [3, 0, 0]}, routes={MARKUP: [3, 0, 1.0]})]
    invented_page.greeting = [("hello", greeting), ("history", {"samples": seconds}), ("state", told)]
    browser.open(invented_page.port)
    browser.shows("requests-more", "3 in 15 min")
    browser.unfold()
    for place in (
        "status",
        "problems",
        "callers",
        "denied-organizations",
        "refusals",
        "trial-table",
        "fleet-table",
        "keys-table",
    ):
        browser.shows(place, MARKUP)
    for place in (
        "warnings",
        "configuration-facts",
        "redis-facts",
        "handler-facts",
        "policy-table",
        "route-table",
        "name",
        "about",
    ):
        browser.shows(place, MARKUP)
    assert (
        MARKUP in browser.charts("policies") and MARKUP in browser.charts("routes") and MARKUP in browser.driver.title
    )
    assert browser.run("return document.querySelectorAll('img, main script, b > *').length") == 0
    assert browser.run("return window.hacked ?? null") is None


def test_a_tab_that_nobody_sees_stops_and_catches_up(browser, invented_page):
    now = int(time.time())
    invented_page.greeting = [
        ("hello", hello(now)),
        ("history", {"samples": [sample(now - 1, allowed=5)]}),
        ("state", state()),
    ]
    browser.open(invented_page.port)
    browser.shows("requests-more", "5 in 15 min")
    assert invented_page.resumed == [None]
    for pause, resume in (
        (lambda: browser.hide(True), lambda: browser.hide(False)),
        (*[lambda: browser.driver.find_element(By.ID, "pause").click()] * 2,),
    ):
        pause()
        until(lambda: browser.run("return document.getElementById('link').textContent") == "Paused", "the pause")
        invented_page.hang_up()
        asked = len(invented_page.resumed)
        # Twice: what was there already counts once.
        invented_page.greeting[1] = (
            "history",
            {"samples": [sample(now - 1, allowed=5), sample(now + asked, allowed=10)]},
        )
        resume()
        until(lambda: len(invented_page.resumed) == asked + 1, "the next stream")
        browser.shows("link", "Live")
    assert invented_page.resumed[1] == str(now - 1) and invented_page.resumed[2] == str(now + 1)
    browser.shows("requests-more", "25 in 15 min")


@pytest.mark.parametrize("may_be_gone", [True])
def test_a_stream_that_is_refused_or_breaks_is_tried_again(browser, invented_page):
    now = int(time.time())
    invented_page.greeting = [
        ("hello", hello(now)),
        ("history", {"samples": [sample(now, allowed=5)]}),
        ("state", state()),
    ]
    invented_page.refuse_with = (502, "Nobody is behind the proxy.")
    browser.open(invented_page.port)
    browser.shows("status", "✕ No sidecar answers here, since ", "it answers 502, Nobody is behind the proxy.")
    invented_page.refuse_with = None
    browser.shows("status", "✓ Ready")
    # Half an event, and the end.
    file, ended = invented_page.listeners.pop()
    file.write(b"event: sample\ndata: {")
    file.flush()
    ended.set()
    until(lambda: len(invented_page.listeners) == 1, "the next stream")
    browser.shows("status", "✓ Ready")
    browser.shows("requests-more", "5 in 15 min")
    # One that says nothing any more is as good as gone.
    browser.shows("status", "✕ The sidecar doesn't answer, since ", "nothing has come for 6 s")


def test_times_are_the_readers(browser, invented_page):
    """The sidecar's clock is an hour off, and never jumps; the reader's is right, and in Berlin."""
    browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Europe/Berlin"})
    try:
        now = time.time()
        refusal = {
            "at": now - 3600,
            "status": 401,
            **dict.fromkeys(("reason", "policy", "route", "organization", "key", "client", "id")),
        }
        invented_page.greeting = [
            ("hello", hello(now - 3600)),
            ("history", {"samples": [sample(int(now) - 3601)]}),
            ("state", state(refusals=[refusal])),
        ]
        browser.open(invented_page.port)
        browser.shows("zone", "Europe/Berlin")
        browser.shows("refusals", "401")
        utc = browser.run("return document.querySelector('#refusals time').dateTime")
        shown = browser.run("return document.querySelector('#refusals time').textContent")
        told = time.mktime(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
        assert abs(told - now) < 60, (utc, now)
        berlin = browser.run(
            "return new Date(arguments[0]).toLocaleTimeString('en-GB', {timeZone: 'Europe/Berlin'})", utc
        )
        assert shown == berlin != utc[11:19]
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})


def test_many_routes_and_policies_are_bounded(browser, invented_page):
    now = int(time.time())
    routes = {f"/r{number}": [number, 0, 1.0] for number in range(64)}
    policies = [{"name": f"p{number}", "per": "org", "limit": "1/s", "mode": "enforce"} for number in range(200)]
    invented_page.greeting = [
        ("hello", hello(now, routes=[f"/r{number}" for number in range(1000)], policies=policies)),
        ("history", {"samples": [sample(now - 1, allowed=1, routes=routes, policies={"p199": [1, 0, 0]})]}),
        ("state", state()),
    ]
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    until(lambda: len(browser.charts("routes")) == 24, "the charts")
    busiest = [f"/r{number}" for number in range(52, 64)]
    assert list(browser.charts("routes")) == [*busiest, *(f"{name}: latency" for name in busiest)]
    assert "p199" in browser.charts("policies") and len(browser.charts("policies")) == 12
    browser.unfold()
    until(lambda: len(browser.rows("route-table")) == 1000, "all routes as a table")


def test_an_idle_page_does_little(browser, invented_page):
    """A frame a sample, and none in between; charts that don't change aren't drawn again."""
    now = int(time.time()) // 5 * 5
    invented_page.greeting = [
        ("hello", hello(now)),
        ("history", {"samples": [sample(now - n) for n in range(899, -1, -1)]}),
        ("state", state()),
    ]
    browser.open(invented_page.port)
    browser.shows("status", "✓ Ready")
    browser.run(
        "window.drawn = 0; for (const plot of document.querySelectorAll('svg.plot'))"
        " new MutationObserver(() => window.drawn += 1).observe(plot, {childList: true})"
    )
    # What came first may be drawn in several.
    drawn = [-1]

    def rests() -> bool:
        before, drawn[0] = drawn[0], browser.run("return watched.frames")
        return before == drawn[0]

    until(rests, "a rest", pause=0.5)
    browser.run("window.drawn = 0")
    frames = browser.run("return watched.frames")
    for second in range(1, 5):
        invented_page.tell("sample", sample(now + second))
        until(lambda seen=frames + second: browser.run("return watched.frames") >= seen, "the frame of a sample")
    assert browser.run("return [watched.frames, window.drawn]") == [frames + 4, 0]
    assert len(invented_page.resumed) == 1


def test_who_wants_less_motion_gets_it(browser, invented_page):
    browser.look(**LOOKS["light"], **{"prefers-reduced-motion": "reduce"})
    now = int(time.time()) // 5 * 5
    invented_page.greeting = [
        ("hello", hello(now)),
        ("history", {"samples": [sample(now, allowed=9)]}),
        ("state", state()),
    ]
    browser.open(invented_page.port)
    browser.shows("requests-more", "9 in 15 min")
    legend = "return document.querySelector('#traffic .legend b').textContent"
    until(lambda: browser.run(legend) == "9/s", "the first drawing")
    invented_page.tell("sample", sample(now + 1, allowed=1))
    browser.shows("requests-more", "10 in 15 min")
    assert browser.run(legend) == "9/s"
    invented_page.tell("sample", sample(now + 5, allowed=2))
    until(lambda: browser.run(legend) == "2/s", "the next bin")


# ---- The files -------------------------------------------------------------------------------------------------------


def test_the_files_are_small_and_whole():
    files = {file.name: file.read_text() for file in FILES.glob("page.*")}
    assert set(files) == {"page.html", "page.css", "page.js"}
    assert sum(len(text.encode()) for text in files.values()) <= 60 * 1024
    for name, text in files.items():
        assert set(re.findall(r"https?://[^\s'\"<]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert all(len(line) <= 120 for line in text.splitlines()), name
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script>", files["page.html"])
    # Markup is never made of text.
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\.style\b", files["page.js"]
    )


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_stand_out_from_their_ground(theme):
    blocks = re.findall(r":root \{(.*?)\}", (FILES / "page.css").read_text(), re.S)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[theme]))
    for name in ("text", "quiet", "link"):
        assert min(contrast(colours[name], colours[ground]) for ground in ("card", "ground")) >= 4.5, name
    for name in ("good", "warn", "bad"):
        assert contrast(colours[name], colours[f"{name}-ground"]) >= 4.5, name
        assert contrast(colours[name], colours["card"]) >= 4.5, name
    for name in ("allowed", "denied", "refused", "failed", "second"):
        assert contrast(colours[name], colours["card"]) >= 3, name
