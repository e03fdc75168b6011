"""What the cache costs: the time of a reply that comes from it, and the memory of all that are kept."""

import pathlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.words import trip
from rig.config import bootstrap, cluster, connection_manager, plugin
from rig.origin import answer, origin
from rig.wait import wait_until

KIB, MIB = 1 << 10, 1 << 20
END = b"the end\n"

# Other processes disturb some rounds, hardly all.
ROUNDS, REQUESTS = 8, 1000
MEASURED = f"/{4 * KIB}/"

KEYS, CLIENTS, AT_ONCE = 100_000, 16, 50
BUDGET = 8 * MIB
# Beyond the budget there is the memory of each worker's VM, which grows with the copies in flight and never shrinks,
# what the allocator rounds up, and what Envoy needs for its first clients: some 3 MiB, however many keys there are.
OVERHEAD = 6 * MIB
# By which Envoy's own memory wavers; with 50 bytes lost per key, the second half of them would take more.
WAVER = 2 * MIB
# Each all but fills a slot; the second number says of how many keys one is that long.
LENGTHS = {3_600: 1, 15_800: 100, 65_000: 200, 256 * KIB: 1000}


@pytest.fixture
def upstream(run):
    """`/4096/whatever` has a body of so many bytes."""
    bodies = [answer(f"/{length}/", 200, END.decode().rjust(length, "x")) for length in (4 * KIB, *LENGTHS)]
    return run(origin(*bodies, answer("/status/503", 503, "503 from the upstream\n")), concurrency=1)


@pytest.fixture
def cached(run, upstream):
    config = bootstrap(
        cluster("backend", upstream),
        plugin=plugin(opens_for="5m", fallback=[{"cache": {}}]) | {"cache": {"max_bytes": BUDGET}},
    )
    connection_manager(config, "proxy")["access_log"] = []
    return run(config)


def ask(connection, *paths):
    """For all at once; they are answered one after the other."""
    connection.sendall(b"".join(b"GET %s HTTP/1.1\r\nhost: lean\r\n\r\n" % path.encode() for path in paths))
    read, left = b"", len(paths)
    while left:
        read = read[1 - len(END) :] + connection.recv(MIB)
        left -= read.count(END)


def milliseconds(connection):
    """The median and the 99th percentile of the round in which the latter was least."""
    return min((timed(connection) for _ in range(ROUNDS)), key=lambda times: times[1])


def timed(connection):
    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        ask(connection, MEASURED)
        times.append(1000 * (time.perf_counter() - begun))
    times.sort()
    return times[REQUESTS // 2], times[REQUESTS * 99 // 100]


def test_a_cached_reply_takes_less_than_a_millisecond(cached, capsys):
    def hits():
        return cached.metric("fallback_cache_hit")

    with cached.connect() as connection:
        ask(connection, MEASURED)
        from_upstream = milliseconds(connection)
        trip(cached)
        wait_until(lambda: ask(connection, MEASURED) or hits())
        before = hits()
        from_cache = milliseconds(connection)
        assert hits() == before + ROUNDS * REQUESTS

    with capsys.disabled():
        print("\n4 KiB, p50 and p99: {:.2f} and {:.2f} ms from the cache,".format(*from_cache), end=" ")
        print("{:.2f} and {:.2f} ms from the upstream,".format(*from_upstream), end=" ")
        ratios = (ours / theirs for ours, theirs in zip(from_cache, from_upstream, strict=True))
        print("ratios {:.2f} and {:.2f}".format(*ratios))
    assert from_cache[1] < 1


def path(key):
    return f"/{max(length for length, every in LENGTHS.items() if key % every == 0)}/{key}"


def ask_for(proxy, keys):
    def crowd(number):
        with proxy.connect() as connection:
            for first in keys[number * AT_ONCE :: CLIENTS * AT_ONCE]:
                ask(connection, *(path(key) for key in range(first, first + AT_ONCE)))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(crowd, range(CLIENTS)))


def memory(proxy):
    """In bytes: what is resident, and what of it is allocated."""
    status = pathlib.Path(f"/proc/{proxy.pid}/status").read_text()
    [resident] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    return resident * KIB, int(proxy.admin.get("/memory").json()["allocated"])


def test_memory_is_bounded_however_many_keys_there_are(cached, capsys):
    resident, allocated = memory(cached)
    ask_for(cached, range(KEYS // 2))
    half, is_full = memory(cached)
    ask_for(cached, range(KEYS // 2, KEYS))
    end, _ = memory(cached)

    with capsys.disabled():
        print(f"\n{KEYS} keys, {BUDGET / MIB:.0f} MiB of cache:", end=" ")
        print(f"{(end - resident) / MIB:.1f} MiB more are resident, {(end - half) / MIB:.1f} of them since half time")
    assert is_full - allocated > BUDGET * 3 / 4
    assert end - resident < BUDGET + OVERHEAD
    assert end - half < WAVER
