"""The ways a configuration reaches the filter, and what happens to a bad one."""

import pytest

from e2e.words import assert_rejected, trip
from rig.config import STATUS_PATH, STRING, as_struct, bootstrap, cluster
from rig.proxy import Exited

HALF_OF_FOUR = {
    "defaults": {
        "trip": {"failure_ratio": {"ratio": 0.5, "minimum_requests": 4, "window": "10s"}},
        "open": {"duration": "20s", "jitter": 0.05, "multiplier": 1.5},
        "reject": {"body": None},
    },
    "status": {"path": STATUS_PATH},
}


@pytest.mark.parametrize("form", [lambda plugin: plugin, as_struct], ids=["string", "struct"])
@pytest.mark.parametrize("file_name", ["envoy.json", "envoy.yaml"])
def test_json_text_and_struct_say_the_same(run, upstream, form, file_name):
    """Envoy makes strings of the numbers of a Struct in YAML."""
    proxy = run(bootstrap(cluster("backend", upstream), plugin=form(HALF_OF_FOUR)), file_name=file_name)

    for status in (200, 503, 200, 503):
        assert proxy.get(f"/status/{status}").text == f"{status} from the upstream\n"

    assert_rejected(proxy.get(), retry_after=range(15, 22))


def test_no_configuration_guards_with_the_defaults(start, upstream):
    proxy = start(cluster("backend", upstream), plugin=None)

    trip(proxy)

    assert_rejected(proxy.get(), retry_after=range(20, 34))


@pytest.mark.parametrize(
    "plugin, complaint",
    [
        (
            {"circuits": {"backend": {"trip": {"failure_ratio": {"ratio": 1.5}}}}},
            "circuits.backend.trip.failure_ratio.ratio: 1.5 is out of range, expected more than 0 and at most 1",
        ),
        ({"defaults": {"open": {"duration": "soon"}}}, "defaults.open.duration: "),
        ({"defaults": {"opne": {}}}, "opne"),
    ],
)
@pytest.mark.parametrize("form", [lambda plugin: plugin, as_struct], ids=["string", "struct"])
def test_envoy_does_not_start_with_a_bad_configuration_and_says_why(run, upstream, form, plugin, complaint):
    with pytest.raises(Exited) as exited:
        run(bootstrap(cluster("backend", upstream), plugin=form(plugin)))

    [line, *_] = [each for each in str(exited.value).splitlines() if complaint in each]
    assert "expected" in line


def test_text_that_is_no_json_is_refused(run, upstream):
    with pytest.raises(Exited):
        run(bootstrap(cluster("backend", upstream), plugin={"@type": STRING, "value": "open: 30s"}))
