"""The status page as a browser shows it."""

import hashlib
import re

import httpx
import pytest
from selenium.common.exceptions import JavascriptException

from e2e.browser import Browser
from e2e.words import trip, wait_for_state
from rig.config import cluster, plugin
from rig.wait import wait_until

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\"></td><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.stop()


@pytest.fixture
def browser(chromium):
    """A browser that has nothing to complain of; a test that knows better looks at the complaints itself."""
    yield chromium
    complaints = chromium.complaints()
    chromium.driver.get("about:blank")
    assert complaints == []


def test_a_browser_gets_the_page_and_a_program_json(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())

    page = httpx.get(proxy.status_url, headers=HTML)
    head = httpx.head(proxy.status_url, headers=HTML)
    json = httpx.get(proxy.status_url)

    assert page.status_code == head.status_code == json.status_code == 200
    assert page.headers["content-type"] == head.headers["content-type"] == "text/html; charset=utf-8"
    assert json.headers["content-type"] == "application/json"
    assert page.headers["vary"] == head.headers["vary"] == json.headers["vary"] == "accept"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"].split("; ")
    assert re.fullmatch(r"script-src 'sha256-.{43}='", policy[1])
    assert re.fullmatch(r"style-src 'sha256-.{43}='", policy[2])
    assert [each for each in policy if "-src 'sha256-" not in each] == [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
    assert page.text.startswith("<!doctype html>")
    assert head.text == ""


def test_what_becomes_of_a_circuit_shows_by_itself_and_on_top(start, upstream, second_upstream, browser):
    configuration = plugin(opens_for="4s")
    proxy = start(cluster("a", upstream), cluster("z", second_upstream), plugin=configuration)
    proxy.get(host="a")
    proxy.get(host="z")
    browser.open(proxy.status_url, circuits=2)
    assert browser.states() == {"a": "closed", "z": "closed"}
    assert browser.names() == ["a", "z"]

    trip(proxy, host="z")

    wait_until(lambda: browser.states()["z"] == "open")
    assert browser.names() == ["z", "a"]
    assert "5 consecutive failures" in browser.row("z")
    assert re.search(r"\bin [1-4] s\b", browser.row("z"))
    assert browser.text("#summary") == "1 open, 0 half-open, 1 closed"
    wait_until(lambda: browser.states()["z"] == "half-open")
    proxy.get(host="z")
    wait_until(lambda: browser.states()["z"] == "closed")
    wait_until(lambda: browser.driver.title == "0 open – circuit breakers")


def test_circuits_that_fail_come_before_those_that_do_not(start, upstream, second_upstream, browser):
    proxy = start(cluster("a", upstream), cluster("z", second_upstream), plugin=plugin())
    proxy.get(host="a")
    for _ in range(2):
        proxy.get("/status/503", host="z")

    browser.open(proxy.status_url, circuits=2)

    assert browser.names() == ["z", "a"]
    wait_until(lambda: "2 / 2" in browser.row("z"))


def test_rates_are_those_of_the_last_seconds(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()
    browser.open(proxy.status_url, circuits=1)

    def rate():
        proxy.get()
        return re.fullmatch(r"\d+(\.\d)?", browser.text(".requests")) and float(browser.text(".requests"))

    wait_until(lambda: rate() and rate() > 1)
    wait_until(lambda: browser.text(".requests") == "0")


def test_a_row_opens_to_its_details_by_the_keyboard(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin(opens_for="20s"))
    proxy.get()
    browser.open(proxy.status_url, circuits=1)
    assert not browser.one(".more").is_displayed()

    browser.press("backend")

    wait_until(lambda: re.search(r"generation\s+0", browser.row("backend")))
    assert browser.one(".name").get_attribute("aria-expanded") == "true"
    trip(proxy)
    wait_until(lambda: re.search(r"generation\s+1", browser.row("backend")))
    assert "closed → open: 5 consecutive failures" in browser.row("backend")
    assert browser.row("backend").count("503 via_upstream") == 5
    browser.one("summary").click()
    assert '"duration": "20s"' in browser.row("backend")
    browser.press("backend")
    assert not browser.one(".more").is_displayed()
    assert browser.one(".name").get_attribute("aria-expanded") == "false"


def test_a_hostile_name_is_text_and_no_more(start, upstream, second_upstream, browser):
    names = [HOSTILE, "x" * 900, "new\nline \u202eright to left", "'\"&lt;"]
    configuration = plugin(opens_for="20s") | {"circuits": {name: {} for name in names}}
    proxy = start(cluster(HOSTILE, upstream), cluster("tame", second_upstream), plugin=configuration)
    trip(proxy)
    browser.open(proxy.status_url, circuits=len(names))

    assert browser.names()[0] == HOSTILE
    assert set(browser.names()) == set(names)
    browser.press(HOSTILE)
    wait_until(lambda: re.search(r"generation\s+1", browser.row(HOSTILE)))
    assert browser.all("table img, table script") == []
    assert browser.driver.title == "1 open – circuit breakers"
    for width in (1280, 412):
        browser.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), width
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_should_markup_slip_in_the_browser_refuses_it(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()
    browser.open(proxy.status_url, circuits=1)

    with pytest.raises(JavascriptException, match="TrustedHTML"):
        browser.run("document.body.innerHTML = '<p>'")
    browser.run("document.querySelector('h1').setAttribute('style', 'color: red')")

    markup, style = browser.complaints()
    assert "TrustedHTML" in markup["message"]
    assert "style-src 'sha256-" in style["message"]


def test_it_says_since_when_the_proxy_is_out_of_reach(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()
    browser.open(proxy.status_url, circuits=1)
    assert browser.text("#trouble") == ""

    proxy.stop()

    wait_until(lambda: re.match(r"Cannot reach the proxy since \d\d:\d\d:\d\d ", browser.text("#trouble")))
    assert browser.names() == ["backend"]
    assert browser.driver.title == "unreachable – circuit breakers"
    complaints = browser.complaints()
    assert complaints != []
    assert all("ERR_CONNECTION_REFUSED" in each["message"] for each in complaints)


def test_nobody_is_asked_while_nobody_looks(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()
    browser.open(proxy.status_url, circuits=1)
    browser.run("const ask = fetch; window.asked = 0; window.fetch = (...how) => (asked++, ask(...how))")
    wait_until(lambda: browser.run("return asked") >= 2)

    # Hidden is what this says, however a browser without a screen takes it.
    browser.run("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
    asked = browser.run("return asked")
    with pytest.raises(AssertionError):
        wait_until(lambda: browser.run("return asked") > asked + 1, timeout=3)

    browser.run("delete document.hidden")
    wait_until(lambda: browser.run("return asked") > asked + 1)


def test_where_there_is_no_control_the_dialog_says_so(start, upstream, browser):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    proxy.get()
    browser.open(proxy.status_url, circuits=1)

    browser.offer_override("backend")
    browser.force("some token", "open", "maintenance")

    wait_until(lambda: browser.text("form .problem"))
    assert proxy.circuit()["state"] == "closed"
    [complaint] = browser.complaints()
    assert "405" in complaint["message"]


def test_who_has_the_token_forces_a_state_and_ends_that(start, upstream, browser):
    configuration = plugin()
    configuration["status"]["control_token_sha256"] = hashlib.sha256(b"right").hexdigest()
    proxy = start(cluster("backend", upstream), plugin=configuration)
    proxy.get()
    browser.open(proxy.status_url, circuits=1)

    browser.offer_override("backend")
    browser.force("wrong", "open", "maintenance")
    wait_until(lambda: browser.text("form .problem"))
    assert proxy.circuit()["state"] == "closed"
    [complaint] = browser.complaints()
    assert "401" in complaint["message"]

    browser.force("right", "open", "maintenance & <b>more</b>, 100 %")
    wait_for_state(proxy, "open")
    assert proxy.circuit()["override"]["reason"] == "maintenance & <b>more</b>, 100 %"
    wait_until(lambda: browser.states()["backend"] == "open")
    wait_until(lambda: "maintenance & <b>more</b>, 100 %" in browser.row("backend"))
    assert not browser.one("dialog").is_displayed()

    # The token is still there, and nowhere but there.
    browser.one("#all").click()
    browser.one("[name=end]").click()
    wait_until(lambda: proxy.circuit()["override"] is None)
    assert "right" not in browser.driver.current_url
    assert browser.run("return localStorage.length + sessionStorage.length + document.cookie.length") == 0
