"""Each scenario over time: how long replies took, and the states of the circuits."""

import collections

from matplotlib.patches import Patch

from rig import picture

STATES = {"open": "#e45756", "half-open": "#eeca3b"}
OUTAGE = "#888888"


def draw(runs, file):
    with picture.svg(file, 8, 2.6 * len(runs)) as figure:
        axes = figure.subplots(2 * len(runs), 1, height_ratios=[4, 1] * len(runs))
        for run, above, below in zip(runs, axes[::2], axes[1::2], strict=True):
            draw_latencies(run, above)
            draw_states(run, below)
            below.sharex(above)
            above.tick_params(labelbottom=False)
        axes[-1].set_xlabel("seconds")
        lines = axes[0].get_lines()[:3]
        patches = [Patch(color=color, label=state) for state, color in STATES.items()]
        figure.legend(handles=[*lines, *patches], loc="outside upper right", ncols=3, frameon=False, fontsize=7)


def draw_latencies(run, axes):
    upstream = [(reply.time, reply.milliseconds) for reply, entry in run.pairs if entry.kind == "upstream"]
    rejected = [pair for pair in run.pairs if not pair[1].was_admitted()]
    seen = [(reply.time, reply.milliseconds) for reply, _ in rejected if reply.user is not None]
    logged = [(reply.time, entry.milliseconds) for reply, entry in rejected]
    plot(axes, run, upstream, color="#4c78a8", label="from the upstream: median", marker=".")
    plot(axes, run, seen, color="#f58518", label="rejections and fallbacks, as users saw them: longest", of=max)
    plot(axes, run, logged, color="#54a24b", label="the same, by Envoy: longest", of=max)
    axes.axhline(100, color="black", linewidth=0.6, linestyle=":")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_yticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    axes.set_ylim(0, 2000)
    axes.set_ylabel("ms")
    axes.set_title(f"{run.scenario.name}: {run.scenario.users:,} users", loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def plot(axes, run, points, color, label, of=None, marker=None):
    """A point a second; none for seconds without a reply."""
    by_second = collections.defaultdict(list)
    for time, milliseconds in points:
        by_second[int(time - run.begun)].append(milliseconds)
    of = of or (lambda values: sorted(values)[len(values) // 2])
    seconds = range(round(run.scenario.seconds))
    values = [of(by_second[each]) if by_second[each] else float("nan") for each in seconds]
    axes.plot(seconds, values, color=color, label=label, linewidth=1, marker=marker, markersize=3)


def draw_states(run, axes):
    rows = [("upstream down", [(begun, ended, OUTAGE) for begun, ended in run.outages])]
    rows += [(circuit, spans(transitions)) for circuit, transitions in run.transitions.items()]
    for place, (_, bars) in enumerate(rows):
        for begun, ended, color in bars:
            # What a probe takes is too short to be seen otherwise.
            axes.broken_barh([(begun - run.begun, ended - begun)], (place + 0.1, 0.8), color=color, linewidth=0.5)
    axes.set_yticks([place + 0.5 for place in range(len(rows))], [name for name, _ in rows], fontsize=7)
    axes.set_ylim(len(rows), 0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)


def spans(transitions):
    """While it was open, and while it was half-open."""
    ends = [each["at"] for each in transitions[1:]]
    return [
        (each["at"], end, STATES[each["to"]])
        for each, end in zip(transitions, ends, strict=False)
        if each["to"] in STATES
    ]
