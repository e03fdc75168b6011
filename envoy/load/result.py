"""A criterion, and whether it holds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    text: str
    measured: str
    holds: bool


def table(results):
    lines = ["| criterion | measured | |", "|---|---|---|"]
    for each in results:
        lines.append(f"| {each.text} | {each.measured} | {'holds' if each.holds else '**misses**'} |")
    return "\n".join(lines) + "\n"
