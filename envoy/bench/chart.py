"""The CPU time of each row, relative to the same load without a filter."""

from bench.figures import LOADS
from rig import picture

COLORS = {1: "#4c78a8", 2: "#9ecae9"}
HEIGHT = 0.38


def draw(rows, file):
    loads = [load for load in LOADS if load.row != load.reference]
    with picture.svg(file, 7.5, 0.36 * len(loads) + 0.9) as figure:
        axes = figure.subplots()
        for place, (workers, by_name) in enumerate(rows.items()):
            ratios = [by_name[load.row].cpu_ratio for load in loads]
            positions = [number + (place - 0.5) * HEIGHT for number in range(len(loads))]
            label = f"{workers} worker" + "s" * (workers > 1)
            bars = axes.barh(positions, ratios, HEIGHT, color=COLORS[workers], label=label)
            axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(range(len(loads)), [load.row for load in loads])
        axes.invert_yaxis()
        axes.set_xlabel("CPU time per request, no filter = 1")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.08, y=0.01)
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
