"""The results of the soak in Markdown and in JSON."""

import json

from load import measured_on, result
from load.soak.stage import BUDGET, PATHS


def markdown(facts, loads, run, results, chart):
    return "\n".join(
        [
            "# Under many requests\n",
            f"![Memory and rate over time]({chart})\n",
            explanation(run),
            table(run),
            result.table(results),
            measured_on.markdown(facts, loads),
        ]
    )


def explanation(run):
    [(cached, paths)] = PATHS.items()
    return f"""\
{run.requests:,} requests in {run.seconds:.0f} s through four circuits on two workers, each asked by a wrk of its own
as fast as it answers, with an Envoy as the upstream. In each of {run.cycles} cycles all but the first are down for 3 s,
one after the other. `{cached}` is asked for {paths:,} paths, which is more than its cache of {BUDGET} keeps, so that
some rejected requests get a cached reply and others do not; `answering` has a fixed reply in place of rejections and of
failures. Resident memory is without what is mapped from files, allocated is what Envoy's allocator has given out.
"""


def table(run):
    lines = [
        "| circuit | requests | from the upstream | of it 503 | rejected | cached reply | fixed reply |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for circuit, replies in run.replies.items():
        counts = (
            replies.total(),
            replies["upstream 200"] + replies["upstream 503"],
            *(replies[kind] for kind in ("upstream 503", "rejected 503", "cache 200", "respond 200")),
        )
        lines.append(f"| {circuit} | {' | '.join(f'{count:,}' for count in counts)} |")
    return "\n".join(lines) + "\n"


def as_json(facts, loads, run, results):
    plain = {
        "measured_on": facts | {"load_before": loads[0], "load_at_the_end": loads[1]},
        "results": [vars(each) for each in results],
        "seconds": round(run.seconds, 1),
        "cycles": run.cycles,
        "replies": run.replies,
        "metrics": run.metrics | run.without_cluster,
        "samples": [[round(each.time, 1), each.requests, each.resident, each.allocated] for each in run.samples],
    }
    return json.dumps(plain, indent=1) + "\n"
