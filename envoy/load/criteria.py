"""What has to hold of a run, and whether it does."""

import collections

from load import figures
from load.result import Result
from load.run import SETTLED
from load.stage import PLAIN

BOUND_MS = 100
# In seconds: until all workers know of a trip, on a busy machine too; and, beyond the longest wait, until the circuit
# is closed again, for which a request has to come and be answered.
OBEYED, CLOSED = 0.05, 1


def results(run, longest_wait):
    return [
        everybody_came(run),
        all_was_answered(run),
        deliberate_replies_are_fast(run),
        rejections_are_fast_for_a_client(run),
        every_5xx_is_deliberate(run),
        *(opens_and_recovers(run, circuit, longest_wait) for circuit in run.transitions),
        *(counts_agree(run, circuit) for circuit in run.transitions),
        status_answers(run),
        nothing_is_stuck(run),
        nothing_crashed(run),
    ]


def everybody_came(run):
    users = len({each.user for each in run.replies if each.user is not None})
    return Result("all users came and stayed", f"{users} of {run.scenario.users}", users == run.scenario.users)


def all_was_answered(run):
    kinds = collections.Counter(each.kind for each in run.replies)
    measured = f"{len(run.replies):,} replies, {kinds['broken']} broken, {kinds['wrong']} wrong"
    return Result("every request was answered, with what it asked for", measured, not kinds["broken"] + kinds["wrong"])


def deliberate_replies_are_fast(run):
    """By Envoy's clock: Locust's has in it what its one process waits for itself."""
    slowest = max((each.milliseconds for each in run.entries if not each.was_admitted()), default=None)
    text = f"every rejection and fallback took less than {BOUND_MS} ms, by Envoy's access log"
    return Result(text, f"at most {slowest} ms", slowest is not None and slowest < BOUND_MS)


def rejections_are_fast_for_a_client(run):
    """By the witness's clock, which has in it what a request waits for Envoy: Envoy's own begins when it reads it."""
    seen = figures.witnessed(run)
    text = f"99 of 100 rejections took the witness less than {BOUND_MS} ms"
    measured = (
        f"p50 {seen.p50:.1f}, p99 {seen.p99:.1f}, at most {seen.longest:.1f} ms of {seen.count}" if seen else "none"
    )
    return Result(text, measured, bool(seen) and seen.p99 < BOUND_MS)


def every_5xx_is_deliberate(run):
    """A rejection, or the upstream's own failure: of a probe, or before the circuit was open."""
    seen = [each for each in run.replies if each.status >= 500 and each.kind == "upstream"]
    failures = [each for each in run.entries if each.status >= 500 and each.kind == "upstream"]
    excused = [each for each in failures if is_excused(run, each)]
    measured = (
        f"{sum(each.kind == 'rejected' for each in run.replies)} rejections, {len(excused)} failures of the upstream, "
        f"{sum(each.says == 'probe' for each in excused)} of them probes; {len(failures) - len(excused)} others"
    )
    holds = len(seen) == len(failures) == len(excused)
    return Result("every 5xx was a rejection, a probe, or before the circuit was open", measured, holds)


def is_excused(run, entry):
    answered = entry.time + entry.milliseconds / 1000
    was_down = any(begun <= answered and entry.time <= ended for begun, ended in run.outages)
    was_closed = state_at(run.transitions[entry.circuit], entry.time - OBEYED) == "closed"
    return was_down and (was_closed or entry.says == "probe")


def state_at(transitions, moment):
    states = [each["to"] for each in transitions if each["at"] <= moment]
    return states[-1] if states else "closed"


def opens_and_recovers(run, circuit, longest_wait):
    transitions = run.transitions[circuit]
    trips = [each["at"] for each in transitions if each["from"] == "closed"]
    closings = [each["at"] for each in transitions if each["to"] == "closed"]
    delays = [closed - ended for closed, (_, ended) in zip(closings, run.outages, strict=False)]
    in_their_outages = all(begun <= at <= ended for at, (begun, ended) in zip(trips, run.outages, strict=False))
    in_time = all(0 <= each <= longest_wait + CLOSED for each in delays)
    counts = run.metrics[circuit]
    all_seen = counts["opened"] == counts["half_opened"] and counts["closed"] == len(closings)
    measured = f"{len(trips)} and {len(closings)} of {len(run.outages)}, {counts['opened'] - len(trips)} failed probes"
    if delays:
        measured += f"; closed after {min(delays):.1f} to {max(delays):.1f} s"
    return Result(
        f"{circuit}: tripped once in each outage, and closed once after it",
        measured,
        len(trips) == len(closings) == len(run.outages) and in_their_outages and in_time and all_seen,
    )


def counts_agree(run, circuit):
    """What fusebox counted, what the users counted, and what the access log has."""
    counts = run.metrics[circuit]
    replies = collections.Counter(each.kind for each in run.replies if each.of == circuit)
    entries = [each for each in run.entries if each.circuit == circuit]
    admitted = sum(each.was_admitted() for each in entries)
    settled = sum(counts[each] for each in SETTLED)
    pairs = [
        (len(entries), replies.total()),
        (sum(reply.status == entry.status for reply, entry in run.pairs if reply.of == circuit), replies.total()),
        (settled, admitted),
        (counts["rejected"], len(entries) - admitted),
        (counts["fallback_cache_hit"], replies["cache"]),
        (counts["fallback_respond"], replies["respond"]),
    ]
    # Of a probe whose failure was replaced the log says by what.
    if circuit == PLAIN:
        pairs.append((counts["rejected"], replies["rejected"]))
        pairs.append((counts["probes"], sum(each.says == "probe" for each in entries)))
    measured = f"{settled:,} admitted, {counts['rejected']:,} rejected"
    holds = all(ours == theirs for ours, theirs in pairs) and not run.untracked
    if not holds:
        measured += f"; {pairs}, {run.untracked} untracked"
    return Result(f"{circuit}: fusebox counted what its clients did", measured, holds)


def status_answers(run):
    statuses = [each.status for each in run.replies if each.of == "status"]
    well = sum(status == 200 for status in statuses)
    return Result("the status was always there", f"{well} of {len(statuses)}", 0 < well == len(statuses))


def nothing_is_stuck(run):
    states = {name: each["state"] for name, each in run.circuits.items()}
    return Result(
        "in the end all circuits are closed",
        ", ".join(f"{name} {state}" for name, state in states.items()),
        set(states.values()) == {"closed"},
    )


def nothing_crashed(run):
    errors = [line for line in run.log.splitlines() if "[error]" in line or "[critical]" in line]
    return Result("Envoy's log has no error", "; ".join(errors) or "none", not errors)
