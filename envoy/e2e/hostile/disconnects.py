"""Disconnects in every phase, and in both ways that TCP has."""

import socket
import time

from e2e.hostile.kind import abort, close, kind, read_to_the_end

BIG = "/big/1000000"
LEFT = "downstream_remote_disconnect"


def after_connecting(target, connection):
    pass


def in_the_request_line(target, connection):
    connection.sendall(b"GET /ha")


def in_the_headers(target, connection):
    connection.sendall(target.head("/hang")[:-10])


def right_after_the_headers(target, connection):
    connection.sendall(target.head("/hang"))


def while_the_upstream_hangs(target, connection):
    connection.sendall(target.head("/hang"))
    time.sleep(0.03)


def in_the_upload(target, connection):
    connection.sendall(target.head("/", "content-length: 1000", method="POST") + b"half of it")
    time.sleep(0.03)


def in_the_chunked_upload(target, connection):
    connection.sendall(target.head("/", "transfer-encoding: chunked", method="POST") + b"a\r\nhalf o")
    time.sleep(0.03)


def before_reading_the_response(target, connection):
    connection.sendall(target.head("/"))
    connection.recv(1, socket.MSG_PEEK)


def in_the_response(target, connection):
    connection.sendall(target.head(BIG))
    connection.recv(1000)


PHASES = {
    after_connecting: [],
    in_the_request_line: [LEFT],
    in_the_headers: [LEFT],
    right_after_the_headers: [LEFT],
    while_the_upstream_hangs: [LEFT],
    in_the_upload: [LEFT],
    in_the_chunked_upload: [LEFT],
    before_reading_the_response: ["via_upstream", LEFT],
    in_the_response: [LEFT],
}


def leaves(phase, end):
    def attempt(target):
        with target.connect() as connection:
            phase(target, connection)
            end(connection)

    return attempt


for phase, says in PHASES.items():
    for end in (close, abort):
        kind(*says, name=f"{end.__name__}s_{phase.__name__}")(leaves(phase, end))


@kind(LEFT)
def half_closes_and_waits(target):
    """Envoy takes the FIN of one direction for the end of both."""
    with target.connect() as connection:
        connection.sendall(target.head("/delay/0.05"))
        connection.shutdown(socket.SHUT_WR)
        read_to_the_end(connection)
