"""The results in Markdown and in JSON."""

import collections
import dataclasses
import json

from load import measured_on, result
from load.criteria import BOUND_MS
from load.figures import latencies

MIB = 1 << 20
NAMES = {
    "upstream": "from the upstream",
    "rejected": "rejection",
    "cache": "fallback: cached reply",
    "respond": "fallback: fixed reply",
    "replaced": "fallback in place of a failure",
}
HEAD = """\
| | replies | p50 | p95 | p99 | max | by Envoy: p50 | p95 | p99 | max |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def markdown(facts, loads, open_policy, runs, results, chart):
    return "\n".join(
        [
            "# Under many users\n",
            f"![Latency and states over time]({chart})\n",
            explanation(open_policy),
            *(section(run, results[run.scenario.name]) for run in runs),
            measured_on.markdown(facts, loads),
        ]
    )


def explanation(open_policy):
    return f"""\
Locust's users ask an assistant (`envoy/assistant.yaml`), which has fallbacks, and the same without any, every 1 to 3 s.
Its upstream takes 0.2 s to answer, and now and then it is down. Circuits open for {open_policy["duration"]},
and for up to {open_policy["max_duration"]} when probes fail.

Milliseconds as the users saw them, and by Envoy's access log. Locust is one Python process for all users, beside Envoy
on the same cores: a reply that waits for it looks late. So whether rejections and fallbacks take less than
{BOUND_MS} ms is judged by Envoy's log, which has whole milliseconds and begins when Envoy reads the request; and, with
what comes before that, by a witness, which is one more client in a process that does little else. A fallback in place
of a failure of the upstream comes when that has failed, and takes as long.
"""


def section(run, results):
    scenario = run.scenario
    outages = ", ".join(each.kind for each in scenario.outages)
    memory = " to ".join(f"{each.memory / MIB:.0f}" for each in (run.samples[0], run.samples[-1]))
    return f"""\
## {scenario.name.capitalize()}

{scenario.users:,} users, {scenario.users_a_second} more each second, {scenario.seconds} s, outages: \
{outages}. Envoy's memory: {memory} MiB.

{HEAD}{table(run)}
{result.table(results)}"""


def table(run):
    return "".join(
        f"| {NAMES[kind]} | {seen.count:,} | {times(seen)} | {times(logged)} |\n"
        for kind, (seen, logged) in latencies(run).items()
        if seen and logged
    )


def times(latency):
    return " | ".join(f"{each:.0f}" for each in (latency.p50, latency.p95, latency.p99, latency.longest))


def as_json(facts, loads, runs, results):
    plain = {
        "measured_on": facts | {"load_before": loads[0], "load_at_the_end": loads[1]},
        "scenarios": [described(run, results[run.scenario.name]) for run in runs],
    }
    return json.dumps(plain, indent=1) + "\n"


def described(run, results):
    replies = collections.Counter(f"{each.of} {each.kind} {each.status}" for each in run.replies)
    return {
        "scenario": dataclasses.asdict(run.scenario),
        "results": [vars(each) for each in results],
        "latencies": {
            kind: {"users": seen and vars(seen), "envoy": logged and vars(logged)}
            for kind, (seen, logged) in latencies(run).items()
        },
        "replies": dict(sorted(replies.items())),
        "metrics": run.metrics,
        "outages": [[since(run, at) for at in each] for each in run.outages],
        "transitions": {
            circuit: [[since(run, each["at"]), each["to"], each["reason"]] for each in transitions]
            for circuit, transitions in run.transitions.items()
        },
        "memory": [[since(run, each.time), each.memory] for each in run.samples[::25]],
    }


def since(run, at):
    return round(at - run.begun, 3)
