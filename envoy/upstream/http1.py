"""HTTP/1.1, as far as a proxy's requests need it: keep-alive, bodies with a length or in chunks, no pipelining."""

import asyncio
import http
import re

from upstream import behaviours

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
EXPECTS = re.compile(rb"\r\nexpect: *100-continue\r\n", re.IGNORECASE)


class Http1:
    def __init__(self, connection, answer):
        self._connection = connection
        self._answer = answer
        self._buffer = b""
        self._task = None
        self._has_continued = False

    def receive(self, data):
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        exchange = Exchange(self._connection, head, body)
        if not self._is_complete(head + b"\r\n", body) and not behaviours.is_early(exchange.path):
            return self._ask_for_the_body(head + b"\r\n")
        self._buffer = b""
        self._has_continued = False
        self._task = asyncio.ensure_future(self._answer(exchange))

    def _ask_for_the_body(self, head):
        if EXPECTS.search(head) and not self._has_continued:
            self._has_continued = True
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _is_complete(self, head, body):
        if CHUNKED.search(head):
            return body.endswith(b"0\r\n\r\n")
        length = LENGTH.search(head)
        return len(body) >= (int(length[1]) if length else 0)

    def cancel(self):
        if self._task:
            self._task.cancel()


class Exchange:
    def __init__(self, connection, head, body):
        self.connection = connection
        self.reset = connection.reset
        self.head, self.body = head, body
        self.method, self.path, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")

    def respond(self, status, headers, body):
        self.respond_in_part(status, headers, body, len(body))

    def respond_in_part(self, status, headers, body, length):
        self.send_head(status, [("content-length", length), *headers])
        if self.method != "HEAD":
            self.connection.write(body)

    def begin(self, headers):
        self.send_head(200, [("transfer-encoding", "chunked"), *headers])

    def send(self, data):
        self.connection.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self, trailers=()):
        self.connection.write(b"0\r\n" + lines(trailers))

    def send_head(self, status, headers):
        """All that there is of an interim or a switching response."""
        phrase = http.HTTPStatus(status).phrase
        self.connection.write(f"HTTP/1.1 {status} {phrase}\r\n".encode() + lines(headers))


def lines(headers):
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1") + b"\r\n"
