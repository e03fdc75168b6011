import pytest

from rig.config import bootstrap
from rig.proxy import Proxy
from rig.upstream import Upstream


@pytest.fixture
def upstream():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def second_upstream():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
def run(tmp_path):
    """Starts Envoy with a configuration. Its log is printed in the end: pytest shows that where the test failed."""
    running = []

    def run(config, **options):
        proxy = Proxy(config, tmp_path / f"envoy-{len(running)}", **options)
        running.append(proxy)
        return proxy

    yield run
    for proxy in running:
        proxy.stop()
        print(proxy.log())


@pytest.fixture
def start(run):
    """Starts Envoy with these clusters; see `bootstrap`."""

    def start(*clusters, concurrency=2, **options):
        return run(bootstrap(*clusters, **options), concurrency=concurrency)

    return start
