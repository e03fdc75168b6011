"""The circuits that are soaked, and the upstream that fails them, each in its own outages."""

from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.origin import answer, origin

STEADY, PLAIN, CACHED, ANSWERING = CIRCUITS = "steady", "plain", "cached", "answering"
POLICIES = {
    STEADY: {},
    PLAIN: {},
    CACHED: {"fallback": [{"cache": {}}]},
    ANSWERING: {"fallback": [{"respond": {"json": {"answer": None}}, "on": ["rejected", "failed"]}]},
}
LONGEST_WAIT = 1
# What the cached circuit is asked for is more than fits.
BUDGET = "4MiB"
BODY, PATHS = "x" * 3000, {CACHED: 3000}


def upstream():
    answers = []
    for circuit in CIRCUITS:
        answers.append(answer(f"/{circuit}/", 503, "down\n", percentage=0, runtime_key=runtime_key(circuit)))
        answers.append(answer(f"/{circuit}/", 200, BODY if circuit == CACHED else "well\n"))
    return origin(*answers)


def runtime_key(circuit):
    """With which the share of the circuit's requests that fail is set."""
    return f"fail.{circuit}"


def config(upstream):
    policies = {"circuits": POLICIES, "cache": {"max_bytes": BUDGET}}
    made = bootstrap(
        *(cluster(circuit, upstream) for circuit in CIRCUITS),
        plugin=plugin("500ms", open={"max_duration": f"{LONGEST_WAIT}s"}) | policies,
    )
    connection_manager(made, "proxy")["access_log"] = []
    return made
