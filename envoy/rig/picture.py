"""Charts as SVG, drawn alike."""

import contextlib

import matplotlib
from matplotlib.figure import Figure


@contextlib.contextmanager
def svg(file, width, height):
    """A figure, which is saved at the end of the block. Text is text, and the same figures give the same bytes."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fusebox", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(file, metadata={"Date": None})
