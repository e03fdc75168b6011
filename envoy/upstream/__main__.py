import argparse
import asyncio
import json

from upstream import control
from upstream.server import Upstream


async def main():
    arguments = argparse.ArgumentParser(prog="upstream")
    arguments.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    arguments.add_argument("--control", type=int, default=8081, help="0 takes a free one")
    arguments.add_argument("--host", default="127.0.0.1")
    chosen = arguments.parse_args()

    upstream = Upstream(chosen.host, chosen.port)
    await upstream.listen()
    control_port = await control.listen(upstream, chosen.host, chosen.control)
    print(json.dumps({"port": upstream.port, "control": control_port}), flush=True)
    await asyncio.Event().wait()


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
