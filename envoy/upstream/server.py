"""The listening socket, the behaviour in force and the counts."""

import asyncio
import collections
import socket

from upstream import behaviours
from upstream.connection import Connection


class Upstream:
    def __init__(self, host, port):
        self.host, self.port = host, port
        self.behaviour = "status/200"
        self.released = asyncio.Event()
        self.connections = set()
        self.in_flight = 0
        self.forget()
        self._server = None
        self._reserved = None

    def forget(self):
        self.calls = collections.Counter()
        self.recorded = []
        self.max_in_flight = self.in_flight

    async def answer(self, exchange):
        self.calls[exchange.path.partition("?")[0]] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            function, arguments, headers = behaviours.parse(exchange.path) or behaviours.parse(self.behaviour)
            await function(exchange, self, headers, *arguments)
        finally:
            self.in_flight -= 1

    def release(self):
        """Lets go what `hold` holds now; what comes later is held again."""
        self.released.set()
        self.released = asyncio.Event()

    def kill_connections(self):
        for connection in list(self.connections):
            connection.reset()

    async def listen(self):
        if self._server:
            return
        if self._reserved:
            self._reserved.close()
        listening = self._bind()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self.answer, self.connections), sock=listening, backlog=1024
        )

    def refuse(self):
        """Refuses connections until `listen`. Bound but not listening, the port stays ours meanwhile."""
        if not self._server:
            return
        self._server.close()
        self._server = None
        self._reserved = self._bind()
        self.kill_connections()

    def _bind(self):
        # asyncio sends without delay only on a socket that says that it is TCP, and so do those that it accepts.
        bound = socket.socket(proto=socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self.host, self.port))
        self.port = bound.getsockname()[1]
        return bound
