"""One more client, in a process that does little else: what it sees is not held up by the many users' one process."""

import itertools
import time

import httpx

from load.stage import PATHS, PLAIN
from load.swarm import Reply


class Witness:
    """Asks where nothing but a rejection takes the upstream's place."""

    def __init__(self, proxy):
        self.replies = []
        self._client = httpx.Client(base_url=proxy.url, timeout=30)
        self._numbers = itertools.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()

    def ask(self):
        asked = f"witness.{next(self._numbers)}"
        begun, at = time.perf_counter(), time.time()
        reply = self._client.post(PATHS[PLAIN], json={"query": "Is it well?"}, headers={"x-asked": asked})
        milliseconds = 1000 * (time.perf_counter() - begun)
        kind = "rejected" if "x-circuit-breaker" in reply.headers else "upstream"
        self.replies.append(Reply(at, milliseconds, None, asked, PLAIN, kind, reply.status_code))
