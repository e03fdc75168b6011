"""What has to hold of the soak, and whether it does."""

import statistics

from load.result import Result
from load.soak.cycle import DOWN
from load.soak.run import SETTLED
from load.soak.stage import ANSWERING

MIB = 1 << 20
# By which Envoy's own memory wavers on a busy machine; hardly a byte for each of five million requests.
GROWTH_MIB = 2
DELIBERATE = ("rejected 503", "cache 200", "respond 200")


def results(run):
    return [
        memory_is_flat(run),
        all_was_counted(run),
        *(counts_agree(run, circuit) for circuit in run.metrics),
        *(opens_and_recovers(run, circuit) for circuit in run.metrics),
        nothing_is_stuck(run),
        nothing_crashed(run),
    ]


def memory_is_flat(run):
    resident = growth([each.resident for each in run.samples])
    allocated = growth([each.allocated for each in run.samples])
    text = f"Envoy's memory grew by less than {GROWTH_MIB} MiB in the second half"
    measured = f"{resident:+.2f} MiB of what is resident, {allocated:+.2f} of what is allocated"
    return Result(text, measured, max(resident, allocated) < GROWTH_MIB)


def growth(memory):
    """From just after half time to the end, over a tenth of the run each, in MiB."""
    tenth = max(1, len(memory) // 10)
    half = memory[len(memory) // 2 :][:tenth]
    return (statistics.mean(memory[-tenth:]) - statistics.mean(half)) / MIB


def all_was_counted(run):
    got = sum(each.total() for each in run.replies.values())
    called = sum(run.calls.values())
    measured = f"{got:,} by wrk, {run.requests:,} by Envoy; {called:,} to the upstream, {run.answered:,} by it"
    holds = got == run.requests and called == run.answered
    return Result("every request was answered, and counted alike", measured, holds)


def counts_agree(run, circuit):
    """What fusebox counted, what wrk counted, and what Envoy sent to the upstream."""
    counts, replies = run.metrics[circuit], run.replies[circuit]
    admitted = sum(counts[each] for each in SETTLED)
    answered = counts["fallback_cache_hit"] + counts["fallback_respond"]
    # Those that had been admitted, and failed.
    replaced = run.failed[circuit] if circuit == ANSWERING else 0
    pairs = {
        "rejected": (counts["rejected"] + replaced, sum(replies[each] for each in DELIBERATE)),
        "cached replies": (counts["fallback_cache_hit"], replies["cache 200"]),
        "fixed replies": (counts["fallback_respond"], replies["respond 200"]),
        "admitted": (admitted, run.calls[circuit]),
        "well": (admitted - run.failed[circuit], replies["upstream 200"]),
        "failed": (run.failed[circuit] - replaced, replies["upstream 503"]),
        "all": (counts["rejected"] + admitted, replies.total()),
    }
    wrong = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    measured = f"{admitted:,} admitted, {counts['rejected']:,} rejected, {answered:,} given a fallback"
    return Result(
        f"{circuit}: fusebox counted what wrk and the upstream did",
        measured + (f"; {wrong}, {run.without_cluster}" if wrong else ""),
        not wrong and not run.without_cluster["untracked"] and not run.without_cluster["bad_records"],
    )


def opens_and_recovers(run, circuit):
    expected = run.cycles if circuit in DOWN else 0
    changes = [line for line in run.log.splitlines() if f"state change circuit={circuit} " in line]
    trips = sum(" from=closed to=open " in line for line in changes)
    closings = sum(" to=closed " in line for line in changes)
    counts = run.metrics[circuit]
    is_told = counts["opened"] == counts["half_opened"] and counts["closed"] == closings
    return Result(
        f"{circuit}: tripped once in each outage, and closed once after it",
        f"{trips} and {closings} of {expected}, {counts['opened'] - trips} failed probes",
        trips == closings == expected and is_told,
    )


def nothing_is_stuck(run):
    still_open = sum(each["state"] != "closed" for each in run.circuits.values())
    gauges = sum(each["state"] for each in run.metrics.values())
    probes = sum(len(each["probes"]) for each in run.circuits.values())
    timeouts = sum(each["probe_timeouts"] for each in run.metrics.values())
    measured = f"{still_open} circuits open, {probes} probes in flight, {timeouts} lost, {run.active} requests active"
    return Result("in the end nothing is stuck", measured, not still_open + gauges + probes + timeouts + run.active)


def nothing_crashed(run):
    errors = [line for line in run.log.splitlines() if "[error]" in line or "[critical]" in line]
    return Result("Envoy's log has no error", "; ".join(errors) or "none", not errors)
