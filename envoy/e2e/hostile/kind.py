"""What a kind is, the register of all of them, and what they attack."""

import contextlib
import dataclasses
import socket
import struct
import typing

KINDS = []


@dataclasses.dataclass(frozen=True)
class Kind:
    """Its name is that of a circuit, a cluster and a virtual host, which are its alone."""

    name: str
    # Once, on a connection of its own.
    attempt: typing.Callable
    # What the access log may give as the details, so that the client did what is meant; nothing: no request was seen.
    says: set
    # What differs in the route's action.
    route: dict = dataclasses.field(default_factory=dict)
    # Whether the upstream is to be spoken to in HTTP/2.
    http2: bool = False
    # What the router has to be told to listen to such a client.
    router: dict = dataclasses.field(default_factory=dict)


def kind(*says, name=None, **needs):
    """Registers a function that makes one attempt."""

    def register(function):
        KINDS.append(Kind(name or function.__name__, function, set(says), **needs))
        return function

    return register


class Target:
    """A virtual host."""

    def __init__(self, port, host):
        self.host = host
        self._port = port

    @contextlib.contextmanager
    def connect(self, receive_buffer=None):
        with socket.socket() as connection:
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(10)
            connection.connect(("127.0.0.1", self._port))
            yield connection

    def head(self, path, *lines, method="GET"):
        """A request's, to its end."""
        lines = (f"{method} {path} HTTP/1.1", f"host: {self.host}", *lines)
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def ask(self, path, *lines, method="GET", body=b""):
        """The answer, to its end."""
        with self.connect() as connection:
            connection.sendall(self.head(path, "connection: close", *lines, method=method) + body)
            return read_to_the_end(connection)


def read_to_the_end(connection):
    read = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            read += part
    return read


def read_for_a_moment(connection):
    """Where the end may never come."""
    connection.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        read_to_the_end(connection)


def close(connection):
    """FIN; or RST, where something has come that was not read."""
    connection.close()


def abort(connection):
    """RST: what closing does when the socket lingers for no time."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
