"""What HTTP/2 adds: streams to be reset, windows to be kept shut, frames to be garbled."""

import contextlib
import struct
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from e2e.hostile.disconnects import BIG, LEFT
from e2e.hostile.kind import abort, close, kind, read_for_a_moment, read_to_the_end
from e2e.hostile.malformed import raw
from e2e.hostile.readers import SHORT
from e2e.hostile.uploads import IDLE
from rig.version import is_since

STREAMS = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PUSH_PROMISE, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 4, 5, 6, 8, 9
GRPC = ("content-type", "application/grpc")


class Client:
    """Sends what it is told to, right or wrong, and opens no window unless it reads."""

    def __init__(self, target, connection, window=None):
        self._target, self.connection = target, connection
        lax = {"validate_outbound_headers": False, "normalize_outbound_headers": False}
        self.h2 = H2Connection(H2Configuration(header_encoding=None, **lax))
        if window is not None:
            self.h2.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.h2.initiate_connection()

    def ask(self, path, *headers, method="GET", end_stream=True):
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", self._target.host)]
        self.h2.send_headers(stream, [*pseudo, *headers], end_stream)
        return stream

    def upload_in_part(self, *headers, path="/"):
        stream = self.ask(path, *headers, method="POST", end_stream=False)
        self.h2.send_data(stream, b"half of it")
        self.flush()
        return stream

    def hang(self):
        """With streams in flight."""
        streams = [self.ask("/hang") for _ in range(STREAMS)]
        self.flush()
        time.sleep(0.03)
        return streams

    def reset(self, *streams, code=ErrorCodes.CANCEL):
        for stream in streams:
            self.h2.reset_stream(stream, code)
        self.flush()

    def flush(self, *frames):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.sendall(self.h2.data_to_send() + b"".join(frames))

    def wait_for(self, *events):
        while data := self.connection.recv(65536):
            if any(isinstance(each, events) for each in self.h2.receive_data(data)):
                return
            self.flush()


@contextlib.contextmanager
def connected(target, **options):
    with target.connect(receive_buffer=4096) as connection:
        yield Client(target, connection, **options)


def http2(*says, name=None, **needs):
    """Registers a function that uses a client."""

    def register(function):
        def attempt(target):
            with connected(target) as client:
                function(client)

        kind(*says, name=name or function.__name__, **needs)(attempt)
        return function

    return register


RESET = "http2.remote_reset"


@http2(RESET)
def resets_its_streams(client):
    client.reset(*client.hang())


@http2(RESET)
def resets_its_streams_at_once(client):
    client.reset(*(client.ask("/hang") for _ in range(STREAMS)))


# Before Envoy 1.39 it is told as any other reset.
@http2(None, RESET)
def resets_its_streams_for_no_reason(client):
    """NO_ERROR: Envoy has no details for that."""
    client.reset(*client.hang(), code=ErrorCodes.NO_ERROR)


@http2(RESET, LEFT)
def resets_streams_without_end(client):
    client.reset(*(client.ask("/hang") for _ in range(100)))
    read_for_a_moment(client.connection)


@http2(RESET)
def resets_a_stream_in_its_upload(client):
    stream = client.upload_in_part()
    time.sleep(0.03)
    client.reset(stream)


@http2(RESET)
def resets_a_stream_in_its_response(client):
    stream = client.ask(BIG)
    client.flush()
    client.wait_for(DataReceived)
    client.reset(stream)
    read_for_a_moment(client.connection)


@http2(RESET, http2=True)
def cancels_a_grpc_call(client):
    stream = client.ask("/hang", GRPC, ("grpc-timeout", "30m"), method="POST")
    client.flush()
    time.sleep(0.03)
    client.reset(stream)


@http2(LEFT)
def goes_away_with_many_streams(client):
    client.hang()
    client.h2.close_connection()
    client.flush()


@http2(LEFT)
def closes_with_many_streams(client):
    client.hang()
    close(client.connection)


@http2(LEFT)
def aborts_with_many_streams(client):
    client.hang()
    abort(client.connection)


@http2("response_timeout", name="never_opens_its_window_until_the_routes_timeout", route={"timeout": SHORT})
@http2("stream_idle_timeout", name="never_opens_its_window_until_the_idle_timeout", route=IDLE)
def never_opens_its_window(client):
    client.ask(BIG)
    client.flush()
    time.sleep(0.3)


@kind("via_upstream", LEFT, route=IDLE)
def has_no_window_at_all(target):
    with connected(target, window=0) as client:
        client.ask("/")
        client.flush()
        time.sleep(0.3)


@http2("via_upstream")
def uploads_slowly_in_a_stream(client):
    stream = client.upload_in_part()
    for _ in range(6):
        time.sleep(0.06)
        client.h2.send_data(stream, b"slowly")
        client.flush()
    client.h2.end_stream(stream)
    client.flush()
    client.wait_for(StreamEnded, StreamReset)


@http2("stream_idle_timeout", name="stalls_the_upload_of_a_stream", route=IDLE)
def stalls(client):
    client.upload_in_part()
    client.wait_for(StreamEnded, StreamReset)


@http2("stream_idle_timeout", route=IDLE, http2=True)
def stalls_a_grpc_stream(client):
    client.upload_in_part(GRPC, path="/grpc/0")
    client.wait_for(StreamEnded, StreamReset)


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def misjudges(length):
    def attempt(client):
        stream = client.ask("/", ("content-length", str(length)), method="POST", end_stream=False)
        client.flush(frame(DATA, b"some", flags=1, stream=stream))
        read_for_a_moment(client.connection)

    return attempt


# Envoy resets the stream, and says that the client did.
http2(RESET, name="sends_less_than_its_content_length")(misjudges(100))
http2(RESET, name="sends_more_than_its_content_length")(misjudges(2))

FAILED = "codec_error:The_user_callback_function_failed"
FLOODED = "codec_error:Too_many_control_frames_in_the_outbound_queue."
FRAMES = {
    "data_on_no_stream": (FAILED, frame(DATA, b"x")),
    "garbled_headers": (FAILED, frame(HEADERS, b"\xff" * 20, flags=5, stream=101)),
    "a_frame_too_large": (FAILED, frame(DATA, b"x" * 20000, stream=1)),
    "a_lone_continuation": (FAILED, frame(CONTINUATION, stream=1)),
    "a_promise": (FAILED, frame(PUSH_PROMISE, struct.pack(">I", 2), flags=4, stream=1)),
    "a_window_beyond_bounds": (FAILED, frame(WINDOW_UPDATE, struct.pack(">I", 2**31 - 1))),
    "bad_settings": (FAILED, frame(SETTINGS, struct.pack(">HI", 4, 2**32 - 1))),
    "http1_in_between": (FAILED, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    "pings_without_end": (FLOODED, frame(PING, b"x" * 8) * 20000),
    "settings_without_end": (FLOODED, frame(SETTINGS) * 20000),
}
# Envoy 1.36 does not mind.
if is_since("1.37"):
    FRAMES["data_after_the_end"] = (FAILED, frame(DATA, b"x", stream=1))


def breaks_the_protocol(frames):
    """With streams in flight."""

    def attempt(client):
        client.hang()
        client.flush(frames)
        read_to_the_end(client.connection)

    return attempt


for name, (says, frames) in FRAMES.items():
    http2(says, "http2.unknown.nghttp2.error", name=f"sends_{name}")(breaks_the_protocol(frames))

# No stream ever comes of these.
kind("downstream_remote_disconnect", name="sends_half_a_preface")(raw(PREFACE[:10]))
kind(name="sends_a_bogus_preface")(raw(PREFACE[:-6] + b"XX\r\n\r\n"))
kind(name="sends_a_preface_and_garbage")(raw(PREFACE + b"\xff" * 100))

INVALID = "http2.invalid.header.field"
TOO_MANY = "http2.too_many_headers"
LISTS = {
    "a_name_in_upper_case": (INVALID, [("X-Upper", "x")]),
    "a_connection_header": (INVALID, [("connection", "close")]),
    "nul_in_a_value_of_http2": (INVALID, [("x-nul", "a\0b")]),
    "a_line_in_a_value": (INVALID, [("x-line", "a\r\nb: c")]),
    "two_paths": (INVALID, [(":path", "/x")]),
    "a_status": (INVALID, [(":status", "503")]),
    "a_late_method": (INVALID, [("x", "x"), (":method", "PUT")]),
    "too_many_headers_of_http2": (TOO_MANY, [(f"x-{number}", "x") for number in range(150)]),
    "headers_too_large_of_http2": ("http2.header_list_size_too_large", [(f"x-{n}", "x" * 1000) for n in range(80)]),
    "a_value_of_http2_that_is_no_utf8": ("via_upstream", [("x-latin", b"\xff\xfe")]),
}


def asks(*headers, **options):
    def attempt(client):
        client.ask("/", *headers, **options)
        client.flush()
        read_for_a_moment(client.connection)

    return attempt


for name, (says, headers) in LISTS.items():
    # What Envoy before 1.37, and before 1.38, says of some of them.
    http2(says, "http2.violation.of.messaging.rule", TOO_MANY, name=f"sends_{name}")(asks(*headers))
http2("via_upstream", name="sends_a_method_that_http2_allows")(asks(method="BREW"))
