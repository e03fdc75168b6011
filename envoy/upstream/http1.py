"""HTTP/1.1, as far as a proxy's requests need it: keep-alive, bodies with a length or in chunks, no pipelining."""

import asyncio
import http
import re

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


class Http1:
    def __init__(self, connection, answer):
        self._connection = connection
        self._answer = answer
        self._buffer = b""
        self._task = None

    def receive(self, data):
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or not self._is_complete(head + b"\r\n", body):
            return
        self._buffer = b""
        self._task = asyncio.ensure_future(self._answer(Exchange(self._connection, head, body)))

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

    def respond(self, status, headers, body, trailers=()):
        assert not trailers, "trailers are for HTTP/2"
        self.respond_in_part(status, headers, body, len(body))

    def respond_in_part(self, status, headers, body, length):
        lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.connection.write(head if self.method == "HEAD" else head + body)
