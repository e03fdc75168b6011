"""One TCP connection: finds out which protocol is spoken, and ends in the ways that a failing server's connections do."""

import asyncio
import socket
import struct

from upstream.http1 import Http1
from upstream.http2 import PREFACE, Http2

TLS_HANDSHAKE = b"\x16"


class Connection(asyncio.Protocol):
    def __init__(self, answer, connections):
        self._answer = answer
        self._connections = connections
        self._beginning = b""
        self._codec = None

    def connection_made(self, transport):
        self._transport = transport
        self.write = transport.write
        self.close = transport.close
        self._connections.add(self)

    def data_received(self, data):
        if self._codec:
            return self._codec.receive(data)
        self._beginning += data
        if self._beginning.startswith(TLS_HANDSHAKE):
            # Who speaks no TLS says so in the words that it has.
            self.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return self.close()
        if self._beginning.startswith(PREFACE):
            self._codec = Http2(self, self._answer)
        elif not PREFACE.startswith(self._beginning):
            self._codec = Http1(self, self._answer)
        if self._codec:
            self._codec.receive(self._beginning)

    def connection_lost(self, error):
        self._connections.discard(self)
        if self._codec:
            self._codec.cancel()

    def reset(self):
        """RST: what closing does when the socket lingers for no time."""
        linger = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
