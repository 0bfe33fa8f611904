"""``pyraft-lab broker``: a broker for the classroom, until it is interrupted."""

import argparse
import asyncio
from collections.abc import Sequence

from pyraft_lab.network import broker
from pyraft_lab.terminal import words

EXAMPLES = """pyraft-lab broker
pyraft-lab broker --port 1883 --host 0.0.0.0     for everybody in this network"""


def main(arguments: Sequence[str]) -> int:
    """Start one, print its URL, wait for SIGTERM or Ctrl-C."""
    chosen = _face().parse_args(arguments)
    return words.run(_serve(chosen))


async def _serve(chosen: argparse.Namespace) -> int:
    stop = words.stop_on_signals()
    running = await asyncio.to_thread(lambda: broker.start(port=chosen.port, host=chosen.host, kind=chosen.kind))
    with running:
        print(running.url, flush=True)
        await stop.wait()
    return words.OVER


def _face() -> argparse.ArgumentParser:
    face = words.parser(
        "broker", "A broker: mosquitto if it is installed, else an embedded one. Prints its URL.", EXAMPLES
    )
    face.add_argument("--port", type=int, default=0, metavar="N", help="0 picks a free one (default)")
    face.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine only)")
    face.add_argument("--kind", choices=("mosquitto", "embedded"), help="take this one")
    return face
