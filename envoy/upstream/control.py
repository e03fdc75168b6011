"""The control port: plain HTTP, so that curl is client enough."""

import asyncio
import json

from upstream import behaviours
from upstream.connection import Connection


async def listen(upstream, host, port):
    async def answer(exchange):
        request = f"{exchange.method} {exchange.path}"
        if request == "PUT /behaviour":
            behaviour = exchange.body.decode()
            if not behaviours.parse(behaviour):
                return exchange.respond(400, [], b"no such behaviour\n")
            upstream.behaviour = behaviour
        elif request == "POST /release":
            upstream.release()
        elif request == "POST /kill-connections":
            upstream.kill_connections()
        elif request == "POST /refuse":
            upstream.refuse()
        elif request == "POST /listen":
            await upstream.listen()
        elif request == "DELETE /counts":
            upstream.forget()
        elif request == "GET /recorded":
            return respond(exchange, upstream.recorded)
        elif request != "GET /counts":
            return exchange.respond(404, [], b"no such control\n")
        respond(exchange, counts(upstream))

    server = await asyncio.get_running_loop().create_server(lambda: Connection(answer, set()), host, port)
    return server.sockets[0].getsockname()[1]


def respond(exchange, document):
    exchange.respond(200, [("content-type", "application/json")], json.dumps(document).encode())


def counts(upstream):
    return {
        "calls": upstream.calls.total(),
        "calls_by_path": upstream.calls,
        "in_flight": upstream.in_flight,
        "max_in_flight": upstream.max_in_flight,
        "connections": len(upstream.connections),
        "behaviour": upstream.behaviour,
    }
