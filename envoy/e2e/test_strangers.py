"""No reply ever reaches somebody it was not meant for, whatever was said to whom, and whoever races with whom."""

import collections
import random
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from rig.config import cluster, plugin
from rig.wait import wait_until

CREDENTIALS = ("authorization", "cookie", "x-api-key")
LANGUAGE = "accept-language"

# What a page says about itself, and by which headers of the request it differs.
KEPT = {
    "public": ({"cache-control": "public"}, ()),
    "translated": ({"cache-control": "public", "vary": "Accept-Language"}, (LANGUAGE,)),
    "by_cookie": ({"cache-control": "public, max-age=60", "vary": "cookie"}, ("cookie",)),
    "personal": ({}, CREDENTIALS),
    "both": ({"vary": " accept-language ,, "}, (*CREDENTIALS, LANGUAGE)),
    "brief": ({"cache-control": "max-age=60, must-revalidate"}, CREDENTIALS),
}
NEVER_KEPT = {
    "private": ({"cache-control": "public, private"}, CREDENTIALS),
    "secret": ({"cache-control": "no-store"}, CREDENTIALS),
    "login": ({"cache-control": "public", "set-cookie": "session=1; Secure"}, CREDENTIALS),
    "mixed": ({"cache-control": "public", "vary": "accept-language, *"}, CREDENTIALS),
    # It varies on what the filter never saw.
    "local": ({"cache-control": "public", "vary": "x-place"}, CREDENTIALS),
}
PAGES = KEPT | NEVER_KEPT


def lua(name, source):
    type_ = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    return {"name": name, "typed_config": {"@type": type_, "default_source_code": {"inline_string": source}}}


MOVED = lua(
    "moved",
    """
    function envoy_on_request(request)
      local path = request:headers():get(":path")
      request:headers():replace(":path", (path:gsub("^/old/", "/")))
    end""",
)
# After it nothing in the request tells who asks, nor for what; what is to be answered only the test knows.
HIDDEN = lua(
    "hidden",
    """
    function envoy_on_request(request)
      local headers = request:headers()
      for _, name in ipairs({"authorization", "cookie", "x-api-key"}) do
        headers:remove(name)
      end
      headers:replace("x-place", "here")
      headers:replace(":path", headers:get("x-test-answer"))
    end""",
)


class Asked:
    def __init__(self, rng):
        self.method = rng.choice(["GET", "GET", "GET", "HEAD"])
        self.page = rng.choice(list(PAGES))
        self.place = (rng.choice(["a.example", "b.example"]), f"/{self.page}?number={rng.randrange(2)}")
        self.is_old = rng.random() < 0.5
        self.headers = {name: f"{name}-{rng.randrange(3)}" for name in CREDENTIALS if rng.random() < 0.25}
        if rng.random() < 0.5:
            self.headers[LANGUAGE] = rng.choice(["de", "fr"])

        about, differs_by = PAGES[self.page]
        self.told = repr((*self.place, {name: self.headers.get(name) for name in differs_by}))
        # The behaviour of the upstream that tells it.
        self.answer = "/echo?" + urllib.parse.urlencode({"x-told": self.told, **about})

    def send(self, client, answer):
        host, path = self.place
        headers = {**self.headers, "host": host, "x-test-answer": answer}
        return client.request(self.method, f"/old{path}" if self.is_old else path, headers=headers)

    def is_answered_by(self, reply):
        echoed = f"GET {self.answer} HTTP/1.1\r\n" if self.method == "GET" else ""
        return reply.headers["x-told"] == self.told and reply.text.startswith(echoed)


@pytest.mark.parametrize(
    "keyed",
    [
        {},
        {"per_authorization": True},
        {"vary_on": ["cookie", "x-api-key"]},
        {"per_authorization": True, "vary_on": ["cookie", "x-api-key"]},
    ],
    ids=["by_default", "per_authorization", "vary_on", "by_all"],
)
def test_no_reply_crosses_users(start, upstream, keyed):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    policy = plugin(
        opens_for="1m",
        trip={"consecutive_failures": 50},
        fallback=[{"cache": {"refresh_after": "0s", **keyed}, "on": ["rejected", "failed"]}],
    )
    # So small that keys have to make room for each other.
    policy["cache"] = {"max_bytes": "2MiB"}
    proxy = start(cluster("backend", upstream), plugin=policy, earlier_filters=[MOVED], later_filters=[HIDDEN])

    def wander(number, failing):
        """The pages that were served from the cache to one who asks with ever other names."""
        rng = random.Random(seed + number)
        served = collections.Counter()
        with httpx.Client(base_url=proxy.url, timeout=30) as client:
            for _ in range(100):
                asked = Asked(rng)
                reply = asked.send(client, "/status/503" if rng.random() < failing else asked.answer)
                if reply.status_code == 200:
                    assert asked.is_answered_by(reply), (asked.place, asked.headers, reply.headers)
                    served[asked.page] += reply.headers.get("x-circuit-breaker-fallback") == "cache"
        return +served

    def served_to_all(failing):
        with ThreadPoolExecutor(8) as pool:
            return sum(pool.map(lambda number: wander(number, failing), range(8)), collections.Counter())

    def fails_until_open():
        assert proxy.get(headers={"x-test-answer": "/status/503"}).status_code == 503
        return proxy.circuit()["state"] == "open"

    while_closed = served_to_all(failing=0.3)
    assert proxy.circuit()["state"] == "closed"
    wait_until(fails_until_open)
    while_open = served_to_all(failing=0)

    print(while_closed, while_open)
    assert while_closed.keys() <= KEPT.keys() and while_open.keys() == KEPT.keys()
    assert while_closed.total() > 10 and while_open.total() > 100
    assert all(proxy.connections_of_worker(worker) for worker in (0, 1))
