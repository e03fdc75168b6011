"""What the tests say."""

import httpx
import pytest

from rig.wait import wait_until


def trip(proxy, host=None):
    """Opens a circuit of the default policy."""
    for _ in range(5):
        assert proxy.get("/status/503", host=host).text == "503 from the upstream\n"


# A verdict falls in the log callback, just after the reply: what is asked right then, on another thread, may be early.
def wait_for_state(proxy, state, circuit="backend", timeout=15):
    return wait_until(lambda: proxy.circuit(circuit)["state"] == state and proxy.circuit(circuit), timeout)


def get_whatever_comes(proxy, path="/"):
    """A GET that may end in a broken reply."""
    try:
        return proxy.get(path)
    except httpx.TransportError:
        return None


def get_anew(proxy, path="/"):
    """On a new connection: the old ones stay with the configuration they began with."""
    return httpx.get(f"{proxy.url}{path}")


def assert_is_as_before(before, after):
    """Two statuses of a circuit that has not moved."""
    for unchanged in ("state", "generation", "reason"):
        assert after[unchanged] == before[unchanged]
    # Reckoned at each look from two clocks that are read one after the other, and given in whole milliseconds.
    assert after["opened_at"] == pytest.approx(before["opened_at"], abs=0.002)


def assert_rejected(response, circuit="backend", state="open", retry_after=range(1, 31)):
    """The reply of interface version 1, to the letter."""
    assert response.status_code == 503
    seconds = response.headers["retry-after"]
    assert int(seconds) in retry_after
    assert response.headers["x-circuit-breaker"] == state
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": f'circuit breaker for upstream cluster "{circuit}" is {state}; the service is temporarily unavailable',
        "circuit": circuit,
        "state": state,
        "retry_after": int(seconds),
    }
