"""Whatever an upstream says, a client gets just that, or what comes next in the chain; and no filter traps."""

import base64
import contextlib
import gzip

import pytest

from e2e.hostile.kind import Target, read_to_the_end
from e2e.replies import ANNOTATED, BROKEN, GZIP, JSON, KEPT, NOT_KEPT, REFUSED, Said, json, reply
from e2e.words import wait_for_state
from rig.config import HTTP_OPTIONS, bootstrap, cluster, connection_manager, plugin, protocol
from rig.proxy import Proxy
from rig.upstream import Upstream
from rig.wait import wait_until

NAMES = [*KEPT, *NOT_KEPT, *BROKEN, *REFUSED, *ANNOTATED, "gzip"]
CHAIN = [{"cache": {"annotate_json": {"/cached": True}}}, {"respond": {"body": "sorry"}}]
LIMITS = {"max_response_headers_kb": 8192, "max_headers_count": 10000}
# The filter is started afresh when it traps, so only the log tells.
TRAPPED = ("[error]", "[critical]", "Function: ")


@pytest.fixture(scope="module")
def upstream():
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def proxy(upstream, tmp_path_factory):
    options = protocol(http_protocol_options={})
    options["typed_extension_protocol_options"][HTTP_OPTIONS]["common_http_protocol_options"] = LIMITS
    chain = [each | {"on": ["rejected", "failed"]} for each in CHAIN]
    policy = plugin(opens_for="1m", trip={"consecutive_failures": 5}, fallback=chain)
    config = bootstrap(*(cluster(name, upstream, **options) for name in NAMES), plugin=policy)
    # How long a client is left that does not close.
    connection_manager(config, "proxy")["delayed_close_timeout"] = "0.01s"
    with Proxy(config, tmp_path_factory.mktemp("replies") / "envoy") as proxy:
        yield proxy
        print(proxy.log())


@pytest.fixture
def circuit(proxy, upstream, name):
    circuit = Circuit(proxy, upstream, name)
    yield circuit
    assert proxy.admin.get("/ready").status_code == 200
    assert not [line for line in proxy.log().splitlines() if any(word in line for word in TRAPPED)]


class Circuit:
    """That has seen nothing yet, and what its upstream says."""

    def __init__(self, proxy, upstream, name):
        self._proxy, self._upstream = proxy, upstream
        self._target = Target(proxy.port, name)

    def says(self, data, then=""):
        self._upstream.does(f"raw/{base64.urlsafe_b64encode(data).decode()}{then}")

    def ask(self, *lines):
        return Said(self._target.ask("/", *lines))

    def wait_for(self, metric):
        wait_until(lambda: self._proxy.metric(metric, self._target.host) == 1)

    def trip(self):
        for _ in range(5):
            self._target.ask("/status/503")
        wait_for_state(self._proxy, "open", self._target.host)
        wait_until(lambda: all(said.is_own for said in self.ask_both_workers(path="/status/404")))

    def ask_both_workers(self, *lines, path="/"):
        """Connections take turns on them, as long as they are open."""
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self._target.connect()) for _ in range(2)]
            for connection in connections:
                connection.sendall(self._target.head(path, "connection: close", *lines))
            return [Said(read_to_the_end(connection)) for connection in connections]


def assert_sorry(said):
    assert (said.status, said.body, said.of(b"x-circuit-breaker-fallback")) == (200, b"sorry", [b"respond"])


def assert_kept(said):
    assert said.is_complete and said.of(b"x-circuit-breaker-fallback") == [b"cache"]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_comes_back_as_it_came(circuit, name):
    circuit.says(KEPT[name])
    first = circuit.ask()
    assert first.is_complete and first.status == 200 and not first.is_own
    circuit.wait_for("successes")
    circuit.trip()

    for again in circuit.ask_both_workers():
        assert_kept(again)
        assert again.lasting == first.lasting


@pytest.mark.parametrize("name", NOT_KEPT)
def test_what_is_not_kept_passes(circuit, name):
    circuit.says(NOT_KEPT[name], then="/close" if name == "a_body_that_ends_with_the_connection" else "")
    first = circuit.ask()
    assert first.is_complete and first.lasting == Said(NOT_KEPT[name]).lasting
    circuit.wait_for("successes")
    circuit.trip()

    for again in circuit.ask_both_workers():
        assert_sorry(again)


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_off_is_not_kept(circuit, name):
    circuit.says(BROKEN[name], then="/close")
    assert not circuit.ask().is_complete
    circuit.wait_for("failures")
    circuit.trip()

    for again in circuit.ask_both_workers():
        assert_sorry(again)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_reply_is_replaced(circuit, name):
    circuit.says(REFUSED[name])
    assert_sorry(circuit.ask())
    circuit.wait_for("failures")
    circuit.trip()

    for again in circuit.ask_both_workers():
        assert_sorry(again)


@pytest.mark.parametrize("name", ANNOTATED)
def test_json_is_annotated_however_it_is_made(circuit, name):
    before, after = ANNOTATED[name]
    circuit.says(json(before))
    assert circuit.ask().body == before
    circuit.wait_for("successes")
    circuit.trip()

    for again in circuit.ask_both_workers():
        assert_kept(again)
        assert again.body == after and not again.of(b"etag")


@pytest.mark.parametrize("name", ["gzip"])
def test_what_is_encoded_comes_back_as_it_came_to_who_accepts_it(circuit, name):
    body = gzip.compress(b'{"said": 1}')
    circuit.says(reply(GZIP, content_type=JSON, body=body))
    first = circuit.ask("accept-encoding: gzip")
    circuit.wait_for("successes")
    circuit.trip()

    for accepted in ("gzip", "br, x-gzip;q=0.1", "*"):
        for again in circuit.ask_both_workers(f"accept-encoding: {accepted}"):
            assert_kept(again)
            assert again.lasting == first.lasting and again.body == body
    for refused in ("br", "gzip;q=0, *", "gzip;q=nonsense", ""):
        for again in circuit.ask_both_workers(f"accept-encoding: {refused}"):
            assert_sorry(again)
