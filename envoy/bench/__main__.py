"""Measures, tells how far it is, and leaves the results in bench/results."""

import argparse
import pathlib
import sys
import tempfile

from bench import chart, figures, lua, report, rounds, targets
from bench.claims import NotSo
from bench.envoys import start
from bench.filters import EMPTY_MODULE
from bench.upstream import upstream
from rig import machine

RESULTS = pathlib.Path(__file__).with_name("results")


def main():
    arguments = parse()
    before = machine.load()
    try:
        with tempfile.TemporaryDirectory() as directory:
            done = measure(arguments, pathlib.Path(directory))
    except NotSo as error:
        sys.exit(f"\nthis is not what was to be measured: {error}")
    loads = before, machine.load()

    rows, footprints = figures.rows(done), figures.footprints(done)
    results, facts = targets.results(rows), measured_on()
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / ("quick.md" if arguments.quick else "latest.md")
    picture = latest.with_suffix(".svg")
    chart.draw(rows, picture)
    text = report.markdown(facts, arguments.rounds, arguments.seconds, loads, rows, footprints, results, picture.name)
    latest.write_text(text)
    latest.with_suffix(".json").write_text(report.as_json(facts, loads, done, rows, footprints, results))
    print(f"\n{text}\nThis is {latest}, with a chart and every sample beside it.")
    sys.exit(arguments.strict and not all(each.holds for each in results))


def parse():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="whether it works, in two minutes; figures mean little")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="how long each time")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (2 if arguments.quick else 7)
    arguments.seconds = arguments.seconds or (0.4 if arguments.quick else 1)
    arguments.warm_up = 0.2 if arguments.quick else 0.3
    return arguments


def measured_on():
    return machine.facts() | {"wrk": machine.wrk_version(), "empty.wasm": machine.module(EMPTY_MODULE)}


def measure(arguments, directory):
    total = arguments.rounds * len(rounds.WORKERS) * len(figures.LOADS)
    measured = 0

    def tell(number, workers, load, sample):
        nonlocal measured
        measured += 1
        place = f"{measured:3} of {total}, round {number + 1} of {arguments.rounds}, {report.plural(workers):9}"
        print(f"{place}  {load.row:40} {sample.cpu:6.1f} µs  p50 {sample.p50 / 1000:6.2f} ms", flush=True)

    with start(upstream(), 1, directory / "upstream") as origin:
        lua.check(origin, directory)
        return rounds.run(origin, directory, arguments.rounds, arguments.warm_up, arguments.seconds, tell)


main()
