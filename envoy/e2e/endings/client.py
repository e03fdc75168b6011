"""What the endings are brought about with."""

import contextlib

import grpc
import httpx
import pytest

from e2e.endings.http2 import Http2
from rig.wait import wait_until


class Client:
    """Of the virtual host of one ending."""

    def __init__(self, stage, ending):
        self.name, self.host = ending.name, ending.host
        self.proxy, self.upstream = stage.proxy, stage.upstream

    def send(self, method, path, headers=(), **options):
        return self.proxy.client.request(method, path, headers={"host": self.host, **dict(headers)}, **options)

    def get(self, path, headers=()):
        return self.send("GET", path, headers)

    def get_in_part(self, path):
        """A GET whose reply breaks off."""
        with pytest.raises(httpx.RemoteProtocolError):
            self.get(path)

    @contextlib.contextmanager
    def sends(self, request, *headers, body=b""):
        """A bare HTTP/1 connection on which a request was sent, or a part of one. It closes in the end."""
        with self.proxy.connect() as connection:
            connection.settimeout(20)
            head = "\r\n".join([f"{request} HTTP/1.1", f"host: {self.host}", *headers, "", ""])
            connection.sendall(head.encode() + body)
            yield connection

    @contextlib.contextmanager
    def http2(self):
        with self.proxy.connect() as connection:
            connection.settimeout(20)
            yield Http2(connection, self.host)

    def call(self, path, timeout=20):
        """The status of a gRPC call. Bytes go as they are: no protobuf compiler needed."""
        options = [("grpc.default_authority", self.host), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{self.proxy.port}", options=options) as channel:
            try:
                channel.unary_unary(path)(b"", timeout=timeout)
                return "OK"
            except grpc.RpcError as error:
                return error.code().name

    def wait_until_under_way(self):
        """Until the request is on its way to the upstream, or waits for more of itself."""
        wait_until(lambda: self.proxy.stat(f"cluster.{self.name}.upstream_rq_active") == 1)

    def metric(self, name):
        return self.proxy.metric(name, self.name)


def read(connection, until=None):
    """What comes, up to some bytes or to the end of the connection."""
    received = b""
    while until is None or until not in received:
        data = connection.recv(65536)
        if not data:
            assert until is None, received
            return received
        received += data
    return received


def an_ordinary_call(client):
    client.get("/status/200")
