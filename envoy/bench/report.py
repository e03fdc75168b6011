"""The results in Markdown and in JSON."""

import dataclasses
import json

from bench.figures import LOADS
from bench.subjects import CLOSED, EMPTY

HEAD = """\
| | CPU µs | to no filter | added µs (middle half) | to empty filter | p50 ms | to no filter | p99 ms | to no filter |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""


def markdown(facts, rounds, seconds, loads, rows, footprints, results, chart):
    return "\n".join(
        [
            "# What a request costs\n",
            f"![CPU time relative to no filter]({chart})\n",
            explanation(rounds, seconds),
            *(f"## {plural(workers)}\n\n{table(by_name)}" for workers, by_name in rows.items()),
            "## Targets\n",
            targets(results),
            "## The module\n",
            module(footprints),
            "## Measured on\n",
            *(f"- {name}: {value}" for name, value in facts.items()),
            "- load of the machine (1 minute): {:.1f} before, {:.1f} at the end".format(*loads),
            "",
        ]
    )


def explanation(rounds, seconds):
    return f"""\
CPU time of the Envoy under test per request (all threads, as the kernel counts it), and latency as wrk sees it, with 16
connections that ask as fast as they are answered: latencies are those of an Envoy that is never idle. Medians over
{rounds} rounds of {seconds} s for each row. Ratios and what is added are to the same load without a filter in the same
round: the same share of failures, the same reply, as many clusters.
"""


def plural(workers):
    return f"{workers} worker" + "s" * (workers > 1)


def table(rows):
    return HEAD + "".join(line(load, rows[load.row]) for load in LOADS)


def line(load, row):
    if load.row == load.reference:
        return f"| {load.row} | {row.cpu:.1f} | | | | {row.p50 / 1000:.2f} | | {row.p99 / 1000:.2f} | |\n"
    cells = [
        load.row,
        f"{row.cpu:.1f}",
        f"{row.cpu_ratio:.2f}",
        "{:+.1f} ({:+.1f} to {:+.1f})".format(row.added, *row.spread),
        f"{row.added_ratio:.2f}",
        f"{row.p50 / 1000:.2f}",
        f"{row.p50_ratio:.2f}",
        f"{row.p99 / 1000:.2f}",
        f"{row.p99_ratio:.2f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def targets(results):
    lines = ["| target | workers | at most | measured | |", "|---|--:|--:|--:|---|"]
    for each in results:
        verdict = "holds" if each.holds else "**misses**"
        lines.append(f"| {each.text} | {each.workers} | {each.limit} | {each.measured:.2f} | {verdict} |")
    return "\n".join(lines) + "\n"


def module(footprints):
    names = {EMPTY: "the filter that does nothing", CLOSED: "fusebox"}
    lines = [
        "| | ready later by ms | CPU ms for that | CPU ms in a second of rest | MiB | MiB more for a second worker |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, each in footprints.items():
        numbers = f"{each.ready:.0f} | {each.cpu:.0f} | {each.idle:.1f} | {each.memory:.1f} | {each.another_worker:.1f}"
        lines.append(f"| {names[name]} | {numbers} |")
    return "\n".join(lines) + """

Beyond an Envoy without a filter, with one worker. Ready later: from its start until it says so; for the most part that
is V8, which compiles the whole module, on several threads. Memory: what is resident and not mapped from a file, after
the load.
"""


def as_json(facts, loads, rounds, rows, footprints, results):
    plain = {
        "measured_on": facts | {"load_before": loads[0], "load_at_the_end": loads[1]},
        "rows": {workers: {name: vars(row) for name, row in by_name.items()} for workers, by_name in rows.items()},
        "footprints": {name: vars(each) for name, each in footprints.items()},
        "targets": [vars(each) for each in results],
        "rounds": [dataclasses.asdict(each) for each in rounds],
    }
    return json.dumps(plain, indent=1) + "\n"
