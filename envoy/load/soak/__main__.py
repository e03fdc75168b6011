"""Soaks fusebox, and leaves the results in load/results; exits with 1 if a criterion is missed."""

import argparse
import pathlib
import sys
import tempfile

from load import result
from load.soak import chart, criteria, report
from load.soak.run import run
from rig import machine

RESULTS = pathlib.Path(__file__).parents[1] / "results"


def main():
    arguments = parse()
    before = machine.load()
    with tempfile.TemporaryDirectory() as directory:
        done = run(arguments.requests, arguments.minutes * 60, pathlib.Path(directory), tell)
    results = criteria.results(done)

    facts, loads = machine.facts() | {"wrk": machine.wrk_version()}, (before, machine.load())
    RESULTS.mkdir(exist_ok=True)
    soak = RESULTS / ("quick-soak.md" if arguments.quick else "soak.md")
    picture = soak.with_suffix(".svg")
    chart.draw(done, picture)
    soak.write_text(report.markdown(facts, loads, done, results, picture.name))
    soak.with_suffix(".json").write_text(report.as_json(facts, loads, done, results))
    print(f"\n{report.table(done)}\n{result.table(results)}\nThis is {soak}, with a chart and more figures beside it.")
    sys.exit(not all(each.holds for each in results))


def parse():
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000_000, help="ends with the first cycle that has so many")
    parser.add_argument("--minutes", type=float, default=5, help="or that is over after so long")
    parser.add_argument("--quick", action="store_true", help="whether it works, in half a minute")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.minutes = 0.3
    return arguments


def tell(cycles, samples):
    last = samples[-1]
    megabytes = last.resident / criteria.MIB
    print(f"{last.time:5.0f} s, cycle {cycles:3}: {last.requests:10,} requests, {megabytes:.1f} MiB", flush=True)


main()
