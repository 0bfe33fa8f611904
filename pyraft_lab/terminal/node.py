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
pyraft-lab node --id 4 --broker mqtt://localhost --data data/4     a learner, after add-learner 4"""


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or Ctrl-C, then return 0; 1 if the node cannot go on."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.peers and not chosen.init:
        parser.error("--peers goes with --init, on one node only; the others learn the voters from it")
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
    """Stop when standard input ends, which happens when the parent process ends in any way.

    It reads below Python's own buffer, because a waiting thread would hold its lock. An interpreter that ends, for
    example after a failure of the node, would crash on that lock instead of reporting the failure.
    """
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would crash the interpreter's exit
            pass
        with suppress(RuntimeError):  # the loop has ended first
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="leash", daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(
        "node", "One node of a cluster, durable in its directory: kill -9 loses no acknowledged write.", EXAMPLES
    )
    parser.add_argument("--id", type=options.node, required=True, metavar="N", help="this node's id, from 1")
    options.add_cluster(parser)
    parser.add_argument(
        "--data",
        type=options.directory,
        required=True,
        metavar="DIR",
        help="the directory of its disk; it is created if necessary",
    )
    parser.add_argument("--peers", type=options.nodes, metavar="1,2,3", help="with --init: the first voters")
    parser.add_argument(
        "--init", action="store_true", help="initialize the cluster, unless this node knows one; on one node only"
    )
    parser.add_argument("--weather", action="store_true", help="accept a teacher's faults on this node's links")
    parser.add_argument("--no-trace", action="store_true", help="publish no trace, even for a follower")
    parser.add_argument(
        "--config",
        type=options.config_over(SLOW_NETWORK),
        metavar="JSON",
        help="settings: '{\"heartbeat_interval\": 0.1}'",
    )
    parser.add_argument("--leash", action="store_true", help="stop when standard input ends")
    options.add_log_level(parser)
    return parser
