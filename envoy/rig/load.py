"""Requests at a steady rate, whatever becomes of those before: what a proxy's clients together are like."""

import asyncio
import collections
import concurrent.futures
import contextlib
import threading
import time

from rig.crowd import LENGTH, outcome
from rig.wait import wait_until


class Load:
    """Runs while its `with` block does; who still waits then is sent away.

    `replies` counts by status, or by what x-circuit-breaker says, and as "broken" those that did not come to their end;
    `sent` is how many requests there were.
    """

    def __init__(self, port, host, rate, path="/"):
        self.replies = collections.Counter()
        self.sent = 0
        self._port, self._host, self._rate, self._path = port, host, rate, path
        self._times = collections.defaultdict(list)
        self._enough, self._all_sent, self._is_over = (threading.Event() for _ in range(3))
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        self._end = self._thread.submit(lambda: asyncio.run(self._run()))
        return self

    def __exit__(self, *_):
        self._enough.set()
        self._is_over.set()
        self._end.result()

    def end(self, timeout=20):
        """Sends no more, and waits for the replies to what was sent."""
        self._enough.set()
        self._all_sent.wait()
        wait_until(lambda: self.replies.total() == self.sent, timeout)

    def first(self, reply, since, timeout=10):
        """When such a reply first came after a point in time, which may be still to come."""
        return wait_until(lambda: next((each for each in self._times[reply] if each > since), None), timeout)

    async def _run(self):
        clients = set()
        begun = time.monotonic()
        while not self._enough.is_set():
            await asyncio.sleep(begun + self.sent / self._rate - time.monotonic())
            self.sent += 1
            client = asyncio.ensure_future(self._client())
            clients.add(client)
            client.add_done_callback(clients.discard)
        self._all_sent.set()
        while clients and not self._is_over.is_set():
            await asyncio.sleep(0.01)
        for client in clients:
            client.cancel()

    async def _client(self):
        try:
            what = await self._ask()
        except (OSError, asyncio.IncompleteReadError):
            what = "broken"
        self._times[what].append(time.monotonic())
        self.replies[what] += 1

    async def _ask(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer):
            writer.write(f"GET {self._path} HTTP/1.1\r\nhost: {self._host}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(LENGTH.search(head)[1]))
        return outcome(head)
