"""What each ending of a call counts as: tests/endings.json, row by row."""

import pytest

from e2e.endings.ending import ENDINGS
from e2e.endings.stage import staged
from e2e.endings.table import ROWS, counted


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with staged(tmp_path_factory.mktemp("endings") / "envoy") as stage:
        yield stage


def test_each_row_of_the_table_is_proven():
    assert {each.row for each in ENDINGS} == ROWS.keys()


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.name)
def test_an_ending_counts_as_the_table_says(stage, ending):
    client = stage.client(ending)
    requests = ending.requests
    if ending.given:
        ending.given(client)
        stage.logged(ending, 1)
        requests += 1
    before = stage.counts()

    ending.bring_about(client)

    logged = stage.logged(ending, requests)
    assert logged["details"].startswith(ending.details)
    assert (logged["status"], logged["flags"]) == (ending.status, ending.flags)
    assert ending.attempts in (None, logged["attempts"])
    expected = {f"{ending.name}.{metric}": by for metric, by in {**counted(ending.row), **ending.also}.items()}
    assert moved(before, stage.counts()) == expected


def moved(before, after):
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
