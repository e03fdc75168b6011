"""Prints what an lcov report says of src/, its tests left out. Fails below 95 %."""

import re
import sys
from collections import defaultdict
from pathlib import Path

LEAST = 95.0
# What only the tests have.
FOR_TESTS = {"encode.rs", "fixtures.rs", "fuzz.rs"}
TESTS = re.compile(r"^#\[cfg\(test\)\]\n(?:#.*\n)*(?:pub\S* )?mod \w+ \{$", re.MULTILINE)


def end_of_code(path: Path) -> int:
    """The unit tests are the end of a file."""
    text = path.read_text()
    tests = TESTS.search(text)
    return text.count("\n", 0, tests.start()) if tests else sys.maxsize


def read(report: Path, src: Path) -> dict[Path, dict[int, int]]:
    """Counts by file and line, the greatest where a line was compiled more than once."""
    files: dict[Path, dict[int, int]] = defaultdict(dict)
    lines: dict[int, int] = {}
    for entry in report.read_text().splitlines():
        kind, _, value = entry.partition(":")
        if kind == "SF":
            lines = files[Path(value)]
        elif kind == "DA":
            line, count = map(int, value.split(",")[:2])
            lines[line] = max(count, lines.get(line, 0))
    ours = {path.relative_to(src): lines for path, lines in files.items() if path.is_relative_to(src)}
    return {
        path: {line: count for line, count in lines.items() if line <= end}
        for path, lines in sorted(ours.items())
        if path.name not in FOR_TESTS
        for end in [end_of_code(src / path)]
    }


def main() -> None:
    report, *options = sys.argv[1:]
    files = read(Path(report), Path.cwd() / "src")
    row = "{:<36} {:>6} {:>7} {:>7}".format
    print(row("src/", "lines", "missed", "%"))
    every = missed = 0
    for path, lines in files.items():
        not_run = [line for line, count in lines.items() if not count]
        every, missed = every + len(lines), missed + len(not_run)
        if lines:
            print(row(str(path), len(lines), len(not_run), f"{100 * (1 - len(not_run) / len(lines)):.1f}"))
        if "--lines" in options:
            text = (Path("src") / path).read_text().splitlines()
            for line in not_run:
                print(f"    src/{path}:{line}: {text[line - 1].strip()}")
    if not every:
        sys.exit("the report names no file of src/")
    share = 100 * (1 - missed / every)
    print(row("total", every, missed, f"{share:.1f}"))
    if share < LEAST:
        sys.exit(f"the tests run {share:.1f} % of the lines, and are to run {LEAST:.0f} %")


if __name__ == "__main__":
    main()
