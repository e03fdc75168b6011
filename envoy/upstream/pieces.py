"""Bodies that come piece by piece, and the ways in which they end or do not."""

import asyncio
import re


async def events(exchange, upstream, headers, seconds):
    """Ten a second for so long, or `events/inf`."""
    exchange.begin([("content-type", "text/event-stream"), *headers])
    now = asyncio.get_running_loop().time
    end = now() + float(seconds)
    while now() < end:
        exchange.send(b"data: something happened\n\n")
        await asyncio.sleep(0.1)
    exchange.end()


async def big(exchange, upstream, headers, length):
    """For clients that read slowly. HTTP/1 only: no flow control is kept."""
    exchange.respond(200, headers, b"x" * int(length))


async def trailers(exchange, upstream, headers):
    """A body, and the query as trailers after it."""
    exchange.begin([])
    exchange.send(b"200 from the upstream\n")
    exchange.end(headers)


async def until_closed(exchange, upstream, headers):
    """A body without length or chunks: it ends where the connection does."""
    exchange.send_head(200, [("connection", "close"), *headers])
    exchange.connection.write(b"200 from the upstream\n")
    exchange.connection.close()


async def stall(exchange, upstream, headers):
    """Half of the body, and then nothing more."""
    exchange.respond_in_part(200, headers, b"half of it", length=1000)
    await asyncio.Event().wait()


async def truncate(exchange, upstream, headers):
    """FIN in the middle of the body. The wait lets the headers get through on their own."""
    exchange.respond_in_part(200, headers, b"half of it", length=1000)
    await asyncio.sleep(0.05)
    exchange.connection.close()


async def truncate_chunks(exchange, upstream, headers):
    """FIN after a chunk that is not the last."""
    exchange.begin(headers)
    exchange.send(b"half of it")
    await asyncio.sleep(0.05)
    exchange.connection.close()


async def reset_midway(exchange, upstream, headers):
    """RST in the middle of the body: of the stream in HTTP/2, of the connection in HTTP/1.

    When the control port says `release`: it would overtake what has not been read by then.
    """
    exchange.respond_in_part(200, headers, b"half of it", length=1000)
    await upstream.released.wait()
    exchange.reset()


GRPC = [("content-type", "application/grpc")]
EMPTY_MESSAGE = b"\0" * 5


async def grpc(exchange, upstream, headers, code="0"):
    """An empty message, then the status in trailers."""
    begin_grpc(exchange, headers)
    exchange.end([("grpc-status", code)])


async def grpc_trailers_only(exchange, upstream, headers, code="0"):
    exchange.respond(200, GRPC + [("grpc-status", code)] + headers, b"")


async def grpc_late(exchange, upstream, headers, seconds):
    """OK after so long; DEADLINE_EXCEEDED where the caller's deadline comes first: servers keep it themselves."""
    timeout = re.search(rb"^grpc-timeout: (\d+)m\r?$", exchange.head, re.MULTILINE)
    deadline = int(timeout[1]) / 1000 if timeout else float("inf")
    await asyncio.sleep(min(float(seconds), deadline))
    await grpc_trailers_only(exchange, upstream, headers, "0" if float(seconds) <= deadline else "4")


async def grpc_without_status(exchange, upstream, headers):
    begin_grpc(exchange, headers)
    exchange.end()


async def grpc_reset_midway(exchange, upstream, headers):
    begin_grpc(exchange, headers)
    await asyncio.sleep(0.05)
    exchange.reset()


def begin_grpc(exchange, headers):
    exchange.begin(GRPC + headers)
    exchange.send(EMPTY_MESSAGE)


BEHAVIOURS = (
    *(events, big, trailers, until_closed, stall, truncate, truncate_chunks, reset_midway),
    *(grpc, grpc_trailers_only, grpc_late, grpc_without_status, grpc_reset_midway),
)
