"""Many clients at once, each on a connection of its own, sending one request after the other."""

import asyncio
import collections
import concurrent.futures
import re
import threading

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")
CIRCUIT_BREAKER = re.compile(rb"\r\nx-circuit-breaker: (\S+)\r\n")


class Crowd:
    """Runs while its `with` block does.

    `replies` counts by status, or by what x-circuit-breaker says; `waiting` is how many clients wait for a reply.
    """

    def __init__(self, port, clients, path, requests_each=None):
        self.replies = collections.Counter()
        self.waiting = 0
        self._port, self._clients, self._path, self._requests_each = port, clients, path, requests_each
        self._enough = threading.Event()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)

    def __enter__(self):
        self._end = self._thread.submit(lambda: asyncio.run(self._run()))
        return self

    def __exit__(self, *_):
        self.send_no_more()
        self._end.result()

    def send_no_more(self):
        """What was sent is still waited for."""
        self._enough.set()

    async def _run(self):
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        sent = 0
        while not self._enough.is_set() and sent != self._requests_each:
            sent += 1
            self.waiting += 1
            writer.write(f"GET {self._path} HTTP/1.1\r\nhost: crowd\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(LENGTH.search(head)[1]))
            self.waiting -= 1
            self.replies[outcome(head)] += 1
        writer.close()


def outcome(head):
    """What a reply is counted by."""
    said = CIRCUIT_BREAKER.search(head)
    return said[1].decode() if said else int(head.split(b" ", 2)[1])
