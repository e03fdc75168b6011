"""Lets users come, one scenario after the other, and leaves the results in load/results; exits with 1 if a criterion is
missed."""

import argparse
import pathlib
import sys
import tempfile

from load import chart, criteria, report, result
from load.run import run
from load.scenarios import SCENARIOS
from rig import machine

RESULTS = pathlib.Path(__file__).with_name("results")
OPEN, LONGEST_WAIT = {"duration": "1s", "max_duration": "4s"}, 4
QUICK_OPEN, QUICK_LONGEST_WAIT = {"duration": "500ms", "max_duration": "1s"}, 1


def main():
    arguments = parse()
    before = machine.load()
    open_policy, longest_wait = (QUICK_OPEN, QUICK_LONGEST_WAIT) if arguments.quick else (OPEN, LONGEST_WAIT)
    runs, results = [], {}
    for scenario in SCENARIOS:
        shortened = scenario.quick(15) if arguments.quick else scenario.shortened(arguments.share)
        with tempfile.TemporaryDirectory() as directory:
            runs.append(run(shortened, open_policy, pathlib.Path(directory), teller(shortened)))
        results[scenario.name] = criteria.results(runs[-1], longest_wait)
        print(f"\n{result.table(results[scenario.name])}", flush=True)

    facts, loads = machine.facts() | {"Locust": machine.package("locust")}, (before, machine.load())
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / ("quick.md" if arguments.quick else "latest.md")
    picture = latest.with_suffix(".svg")
    chart.draw(runs, picture)
    latest.write_text(report.markdown(facts, loads, open_policy, runs, results, picture.name))
    latest.with_suffix(".json").write_text(report.as_json(facts, loads, runs, results))
    print(f"\nThis is {latest}, with a chart and more figures beside it.")
    sys.exit(not all(each.holds for of_one in results.values() for each in of_one))


def parse():
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="whether it works, in two minutes")
    parser.add_argument("--share", type=float, default=1 / 3, help="of the scenarios' times: 1 is 22 minutes in all")
    return parser.parse_args()


def teller(scenario):
    told = 0

    def tell(seconds, watch):
        nonlocal told
        if seconds >= told:
            told += 10
            states = ", ".join(f"{circuit} {state}" for circuit, state in watch.states.items())
            place = f"{scenario.name}, {scenario.users:,} users"
            print(f"{place:40} {seconds:4.0f} of {scenario.seconds} s  {states}", flush=True)

    return tell


main()
