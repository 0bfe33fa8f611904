"""``pyraft-lab node``: one real node in its own process."""

import argparse
import asyncio
import os
import threading
from collections.abc import Sequence
from contextlib import suppress

from pyraft_lab.runtime.process import SLOW_NETWORK, NodeOptions, serve
from pyraft_lab.terminal import options
from pyraft_lab.trace.export import LogExporter

EXAMPLES = """pyraft-lab node --id 1 --broker mqtt://localhost --data data/1 --peers 1,2,3 --init
pyraft-lab node --id 2 --broker mqtt://localhost --data data/2
pyraft-lab node --id 4 --broker mqtt://localhost --data data/4     a learner, once it is added"""

STDIN = 0


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or Ctrl-C; 0 then, 1 where the node cannot go on."""
    chosen = _parser().parse_args(arguments)
    options.log_to_stderr(chosen.log_level)
    seat = NodeOptions(
        id=chosen.id,
        broker=chosen.broker,
        cluster=chosen.cluster,
        data=chosen.data,
        initial_voters=(chosen.peers or (chosen.id,)) if chosen.init else (),
        certificates=options.certificates(chosen),
        accepts_faults=chosen.weather,
        traced=not chosen.no_trace,
        config=chosen.config or SLOW_NETWORK,
    )
    return options.run(_serve(seat, leashed=chosen.leash))


async def _serve(seat: NodeOptions, *, leashed: bool) -> int:
    stop = options.stop_on_signals()
    if leashed:
        _end_with_stdin(stop)
    await serve(seat, stop, observers=[LogExporter()])
    return stop.code


def _end_with_stdin(stop: asyncio.Event) -> None:
    """Stop when standard input ends, which it does when the process ends that started this one, however that dies.

    It is read past Python's own buffer, whose lock a waiting thread would hold: then an interpreter that ends, because
    the node failed for instance, finds the lock taken and dies of that instead of saying why.
    """
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock, held at the end, would make a crash of every error
            pass
        with suppress(RuntimeError):  # the loop has ended first
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="leash", daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(
        "node", "One node of a cluster, durable in its directory: kill -9 loses nothing acknowledged.", EXAMPLES
    )
    parser.add_argument("--id", type=options.node, required=True, metavar="N", help="which node this is")
    options.add_cluster(parser)
    parser.add_argument(
        "--data", type=options.directory, required=True, metavar="DIR", help="its disk; made where it does not exist"
    )
    parser.add_argument("--peers", type=options.nodes, metavar="1,2,3", help="with --init: who votes at first")
    parser.add_argument(
        "--init", action="store_true", help="found the cluster, unless this node knows one; on one node only"
    )
    parser.add_argument("--weather", action="store_true", help="let a teacher's faults spoil this node's links")
    parser.add_argument("--no-trace", action="store_true", help="publish no trace, even if somebody follows")
    parser.add_argument(
        "--config",
        type=options.config_over(SLOW_NETWORK),
        metavar="JSON",
        help="knobs: '{\"heartbeat_interval\": 0.1}'",
    )
    parser.add_argument("--leash", action="store_true", help="stop when standard input ends")
    options.add_log_level(parser)
    return parser
