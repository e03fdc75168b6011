"""HTTP/2 without TLS. Replies are small: none waits for flow control."""

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Http2:
    def __init__(self, connection, answer):
        self._connection = connection
        self._answer = answer
        self._requests = {}
        self._tasks = {}
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})

    def receive(self, data):
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._requests[event.stream_id] = dict(event.headers)
            elif isinstance(event, DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                exchange = Exchange(self, event.stream_id, self._requests.pop(event.stream_id))
                self._tasks[event.stream_id] = asyncio.ensure_future(self._serve(exchange))
            elif isinstance(event, StreamReset) and event.stream_id in self._tasks:
                self._tasks[event.stream_id].cancel()
        self.flush()

    async def _serve(self, exchange):
        try:
            await self._answer(exchange)
        finally:
            del self._tasks[exchange.stream_id]

    def cancel(self):
        for task in self._tasks.values():
            task.cancel()

    def flush(self):
        self._connection.write(self._h2.data_to_send())


class Exchange:
    def __init__(self, codec, stream_id, headers):
        self.connection = codec._connection
        self.stream_id = stream_id
        self.method, self.path = headers[":method"], headers[":path"]
        self.head = "\r\n".join(f"{name}: {value}" for name, value in headers.items()).encode()
        self._codec, self._h2 = codec, codec._h2

    def respond(self, status, headers, body):
        headers = headers + [("content-length", str(len(body)))]
        self._send_headers(status, headers, end_stream=not body)
        if body:
            self._h2.send_data(self.stream_id, body, end_stream=True)
        self._codec.flush()

    def respond_in_part(self, status, headers, body, length):
        self._send_headers(status, headers + [("content-length", str(length))], end_stream=False)
        self.send(body)

    def begin(self, headers):
        self._send_headers(200, headers, end_stream=False)
        self._codec.flush()

    def send(self, data):
        self._h2.send_data(self.stream_id, data)
        self._codec.flush()

    def end(self, trailers=()):
        if trailers:
            self._h2.send_headers(self.stream_id, trailers, end_stream=True)
        else:
            self._h2.end_stream(self.stream_id)
        self._codec.flush()

    def reset(self, code=ErrorCodes.INTERNAL_ERROR):
        self._h2.reset_stream(self.stream_id, code)
        self._codec.flush()

    def _send_headers(self, status, headers, end_stream):
        self._h2.send_headers(self.stream_id, [(":status", str(status)), *headers], end_stream=end_stream)
