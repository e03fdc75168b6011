"""Places where no server is."""

import errno
import select
import socket


class Refusing:
    """A port that is taken, and on which nobody listens."""

    def __init__(self):
        self._socket = bound()
        self.port = self._socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


class Full:
    """A port whose queue of connections is full and not served: what comes is neither accepted nor refused."""

    def __init__(self):
        self._sockets = [bound()]
        self._sockets[0].listen(0)
        self.port = self._sockets[0].getsockname()[1]
        while self._takes_one_more():
            pass

    def _takes_one_more(self):
        waiting = socket.socket()
        self._sockets.append(waiting)
        waiting.setblocking(False)
        assert waiting.connect_ex(("127.0.0.1", self.port)) in (0, errno.EINPROGRESS)
        _, connected, _ = select.select([], [waiting], [], 0.2)
        return bool(connected)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self._sockets:
            each.close()


def bound():
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made
