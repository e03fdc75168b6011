"""A bare HTTP/2 client, for what others do not do: reset a stream, or set any header."""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamEnded, StreamReset


class Http2:
    def __init__(self, connection, authority):
        self._connection, self._authority = connection, authority
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()

    def send(self, method, path, headers=(), end_stream=True):
        stream = self._h2.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "http", ":authority": self._authority, ":path": path}
        self._h2.send_headers(stream, [*pseudo.items(), *headers], end_stream=end_stream)
        self._flush()
        return stream

    def reset(self, stream):
        self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        self._flush()

    def read(self):
        """Until a stream ends."""
        while True:
            data = self._connection.recv(65536)
            assert data, "the connection closed"
            events = self._h2.receive_data(data)
            self._flush()
            if any(isinstance(each, (StreamEnded, StreamReset)) for each in events):
                return

    def _flush(self):
        self._connection.sendall(self._h2.data_to_send())
