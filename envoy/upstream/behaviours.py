"""What the server can be told to do: `name/argument`, as a behaviour for all requests or as the path of one."""

import asyncio
from urllib.parse import parse_qsl, urlsplit


async def status(exchange, upstream, headers, code="200"):
    exchange.respond(int(code), headers, f"{code} from the upstream\n".encode())


async def echo(exchange, upstream, headers):
    """The request's head as the body."""
    exchange.respond(200, headers, exchange.head)


async def delay(exchange, upstream, headers, seconds):
    await asyncio.sleep(float(seconds))
    await status(exchange, upstream, headers)


async def hold(exchange, upstream, headers, code="200"):
    """Answers when the control port says `release`."""
    await upstream.released.wait()
    await status(exchange, upstream, headers, code)


async def hang(exchange, upstream, headers):
    await asyncio.Event().wait()


async def reset(exchange, upstream, headers):
    """RST before any header: of the stream in HTTP/2, of the connection in HTTP/1."""
    exchange.reset()


async def close(exchange, upstream, headers):
    """FIN before any header."""
    exchange.connection.close()


async def truncate(exchange, upstream, headers):
    """FIN in the middle of the body. The wait lets the headers get through on their own."""
    exchange.respond_in_part(200, headers, b"half of it", length=1000)
    await asyncio.sleep(0.05)
    exchange.connection.close()


async def garbage(exchange, upstream, headers):
    exchange.connection.write(b"\x00this is no HTTP\r\n\r\n")
    exchange.connection.close()


async def grpc(exchange, upstream, headers, code="0"):
    """An empty message, then the status in trailers."""
    message = b"\0" * 5
    exchange.respond(200, GRPC + headers, message, trailers=[("grpc-status", code)])


async def grpc_trailers_only(exchange, upstream, headers, code="0"):
    exchange.respond(200, GRPC + [("grpc-status", code)] + headers, b"")


GRPC = [("content-type", "application/grpc")]
BEHAVIOURS = {
    each.__name__.replace("_", "-"): each
    for each in (status, echo, delay, hold, hang, reset, close, truncate, garbage, grpc, grpc_trailers_only)
}


def parse(text):
    """`delay/0.5?retry-after=7` as (function, arguments, headers); None where the text names no behaviour."""
    url = urlsplit(text)
    name, *arguments = url.path.strip("/").split("/")
    function = BEHAVIOURS.get(name)
    return function and (function, arguments, parse_qsl(url.query))
