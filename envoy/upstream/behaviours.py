"""What the server can be told to do: `name/argument`, as a behaviour for all requests or as the path of one."""

import asyncio
import base64
import json
from urllib.parse import parse_qsl, urlsplit

from h2.errors import ErrorCodes

from upstream import pieces


async def status(exchange, upstream, headers, code="200"):
    body = b"" if code in ("204", "304") else f"{code} from the upstream\n".encode()
    exchange.respond(int(code), headers, body)


async def echo(exchange, upstream, headers):
    """The request's head as the body."""
    exchange.respond(200, headers, exchange.head)


async def repeat(exchange, upstream, headers):
    """The request's body as the body."""
    exchange.respond(200, headers, exchange.body)


async def record(exchange, upstream, headers, part="body"):
    """Keeps the request's body, or with `record/head` its head: the control port gives them all."""
    upstream.recorded.append(getattr(exchange, part).decode())
    await status(exchange, upstream, headers)


async def assistant(exchange, upstream, headers, token="secret"):
    """Takes its time to answer the question in the request's body, if the proxy's own token comes with it."""
    if f"\r\nauthorization: Bearer {token}\r\n".encode() not in exchange.head + b"\r\n":
        return await status(exchange, upstream, headers, "401")
    await asyncio.sleep(0.2)
    answer = f"All there is to say about: {json.loads(exchange.body)['query']}"
    body = {"answer": answer, "metadata": {"from_fallback": False, "fallback_source": None}}
    exchange.respond(200, [("content-type", "application/json"), *headers], json.dumps(body).encode())


async def delay(exchange, upstream, headers, seconds, *behaviour):
    """`delay/0.5`, or `delay/0.5/status/503`."""
    await asyncio.sleep(float(seconds))
    await do(behaviour, exchange, upstream, headers)


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


async def garbage(exchange, upstream, headers):
    exchange.connection.write(b"\x00this is no HTTP\r\n\r\n")
    exchange.connection.close()


async def raw(exchange, upstream, headers, encoded, *then):
    """These bytes, in URL-safe base64, whatever they are; with `raw/.../close` FIN behind them. HTTP/1 only."""
    exchange.connection.write(base64.urlsafe_b64decode(encoded))
    if then == ("close",):
        exchange.connection.close()


async def refuse_stream(exchange, upstream, headers):
    """HTTP/2 alone has words for it: not begun, so safe to send again."""
    exchange.reset(ErrorCodes.REFUSED_STREAM)


async def large_headers(exchange, upstream, headers, kibibytes):
    padding = [(f"x-padding-{number}", "x" * 1024) for number in range(int(kibibytes))]
    exchange.respond(200, padding + headers, b"")


async def early_hints(exchange, upstream, headers):
    exchange.send_head(103, [("link", "</style.css>; rel=preload")])
    await status(exchange, upstream, headers)


async def early(exchange, upstream, headers):
    """Answers without waiting for the request's body."""
    await status(exchange, upstream, headers)


async def upgrade(exchange, upstream, headers, *then):
    """Switches to a WebSocket, which stays open, or with `upgrade/close` does not."""
    exchange.send_head(101, [("connection", "Upgrade"), ("upgrade", "websocket"), *headers])
    if then == ("close",):
        # The wait lets the headers get through on their own.
        await asyncio.sleep(0.05)
        exchange.connection.close()


async def first(exchange, upstream, headers, count, *behaviour):
    """`first/2/status/503`: so for that many calls of this path, and 200 for those that come after."""
    is_over = upstream.calls[exchange.path.partition("?")[0]] > int(count)
    await do(() if is_over else behaviour, exchange, upstream, headers)


async def flap(exchange, upstream, headers, seconds, *behaviour):
    """`flap/0.2/status/503`: so for that long, then 200 for as long, and so on."""
    is_down = int(asyncio.get_running_loop().time() / float(seconds)) % 2
    await do(behaviour if is_down else (), exchange, upstream, headers)


async def do(behaviour, exchange, upstream, headers):
    function, arguments, _ = parse("/".join(behaviour) or "status/200")
    await function(exchange, upstream, headers, *arguments)


HERE = (
    *(status, echo, repeat, record, assistant, delay, hold, hang, reset, close, garbage, raw, refuse_stream),
    *(large_headers, early_hints, early, upgrade, first, flap),
)
BEHAVIOURS = {each.__name__.replace("_", "-"): each for each in (*HERE, *pieces.BEHAVIOURS)}


def parse(text):
    """`delay/0.5?retry-after=7` as (function, arguments, headers); None where the text names no behaviour."""
    url = urlsplit(text)
    name, *arguments = url.path.strip("/").split("/")
    function = BEHAVIOURS.get(name)
    return function and (function, arguments, parse_qsl(url.query))


def is_early(path):
    named = parse(path)
    return bool(named) and named[0] is early
