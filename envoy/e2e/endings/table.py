"""The table of endings, and what its words mean for a circuit's metrics."""

import json

from rig.config import ENVOY_DIRECTORY

TABLE = json.loads((ENVOY_DIRECTORY.parent / "tests" / "endings.json").read_text())
ROWS = {row["id"]: row for row in TABLE}
METRICS = {"success": "successes", "failure": "failures", "nothing": "ignored", "slow": "slow"}


def counted(row):
    """How far which metrics of the circuit move: all others stay."""
    counts = ROWS[row]["counts"]
    return {} if counts == "not seen" else {METRICS[word]: 1 for word in counts.split(", ")}
