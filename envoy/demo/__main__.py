import argparse
import pathlib
import signal
import sys
import tempfile

from demo.traffic import StoryFailed, Traffic
from rig.config import bootstrap, cluster, plugin
from rig.proxy import Proxy
from rig.upstream import Upstream

OPEN_SECONDS = 4
ENDINGS = {signal.SIGINT, signal.SIGTERM}


def tell(proxy, upstream):
    traffic = Traffic(proxy, upstream)

    heading("All is well. The circuit is closed, requests pass untouched.")
    proxy.get()
    traffic.keep_on(1.5)
    expect(proxy.circuit()["state"] == "closed", "the circuit is closed while all is well")

    heading("The upstream breaks: it answers 503. After 5 failures in a row the circuit opens.")
    upstream.does("status/503")
    traffic.until(lambda state: state == "open", at_most=10)

    heading("Open: Envoy rejects at once, and the upstream is left alone. See the calls stand still.")
    calls = upstream.calls
    traffic.keep_on(1.5)

    heading(f"The upstream is repaired. The circuit learns of it when its wait of {OPEN_SECONDS} s is over.")
    upstream.does("status/200")
    traffic.until(lambda state: state != "open", at_most=OPEN_SECONDS + 10)

    heading("Half-open: one request is the probe. It succeeds, and the circuit closes.")
    traffic.until(lambda state: state == "closed", at_most=10)
    expect(upstream.calls == calls + 1, "from the opening to the closing nothing but one probe reached the upstream")

    heading("All is well again.")
    traffic.keep_on(1)
    expect(proxy.metric("opened") == 1, "the circuit opened once")


def heading(text):
    print(f"\n\n{text}\n")


def expect(claim, text):
    if not claim:
        raise StoryFailed(f"this is not so: {text}")


def show_around(proxy, upstream):
    print(f"""
Try it yourself:

  curl -i {proxy.url}/
  curl -X PUT --data status/503 {upstream.control_url}/behaviour     # break the upstream; or: hang, reset, close
  curl -X PUT --data status/200 {upstream.control_url}/behaviour     # repair it
  curl {proxy.status_url}
  curl '{proxy.admin_url}/stats?filter=circuit_breaker'

Ctrl-C ends it.""")


def leave(*_):
    """Ends the children on the way out, which a second signal (make passes its own on) must not cut short."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    sys.exit(1)


def main():
    arguments = argparse.ArgumentParser(prog="demo")
    arguments.add_argument("--once", action="store_true", help="exit when the story is told")
    once = arguments.parse_args().once

    for each in ENDINGS:
        signal.signal(each, leave)
    with tempfile.TemporaryDirectory() as directory, Upstream() as upstream:
        config = bootstrap(cluster("backend", upstream), plugin=plugin(opens_for=f"{OPEN_SECONDS}s"))
        with Proxy(config, pathlib.Path(directory) / "envoy") as proxy:
            try:
                tell(proxy, upstream)
            except StoryFailed as failure:
                sys.exit(f"\n{failure}\n\n{proxy.log()}")
            if not once:
                show_around(proxy, upstream)
                signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
                signal.sigwait(ENDINGS)


main()
