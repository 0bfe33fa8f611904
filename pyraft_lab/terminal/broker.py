"""``pyraft-lab broker``: a broker for the classroom, until it is interrupted."""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from pyraft_lab.errors import PyraftError
from pyraft_lab.network import broker, passwords
from pyraft_lab.network.access import Account, Part
from pyraft_lab.terminal import options

EXAMPLES = """pyraft-lab broker
pyraft-lab broker --port 1883 --host 0.0.0.0     for everybody in this network
pyraft-lab broker --port 1883 --ws-port 9001 --host 0.0.0.0
                                                 also for browsers: ws://host:9001/mqtt
pyraft-lab broker --nodes 1,2,3 --clients ann,bob --teacher eve
                                                 only for these: prints a URL with a password for each
pyraft-lab broker --cluster room7 --learners ann,bob --teacher eve
                                                 a room: these learners may join it, as any of its nodes;
                                                 so a learner can also end a node by taking its number
pyraft-lab broker --cafile ca.pem --certfile server.pem --keyfile server.key
                                                 encrypted: its URL begins with mqtts"""

CHECK_INTERVAL = 1.0
"""Seconds between two checks that the broker runs."""


def main(arguments: Sequence[str]) -> int:
    """Start a broker, print its URL, and wait for SIGTERM or Ctrl-C."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if (chosen.certfile or chosen.keyfile or chosen.cafile) and not (chosen.certfile and chosen.keyfile):
        parser.error("an encrypted broker needs both --certfile and --keyfile")
    return options.run(_serve(chosen))


async def _serve(chosen: argparse.Namespace) -> int:
    stop = options.stop_on_signals()
    for port in (chosen.port, *([] if chosen.ws_port is None else [chosen.ws_port])):
        await asyncio.to_thread(_check_place, chosen.host, port)
    guard = _access_control(chosen)
    _warn(chosen.host, guard)
    running = await asyncio.to_thread(
        lambda: broker.start(
            port=chosen.port, websocket_port=chosen.ws_port, host=chosen.host, kind=chosen.kind, access_control=guard
        )
    )
    with running:
        for url in filter(None, (running.url, running.websocket_url)):
            for account in guard.accounts:
                print(f"{account.part:<8} {account.name:<8} {account.url(url)}")
            if not guard.accounts:
                print(url)
        sys.stdout.flush()
        return await _look_after(running, stop)


def _warn(host: str, guard: broker.AccessControl) -> None:
    """Warn that other machines can reach a broker without accounts."""
    if not guard.accounts and host not in options.LOCAL_HOSTS:
        sys.stderr.write(
            "pyraft-lab: without accounts, everybody in this network can read and change every cluster of this broker; "
            "--nodes, --clients, --learners and --teacher restrict it to their accounts\n"
        )


def _check_place(host: str, port: int) -> None:
    """Raise ``CannotListen`` if the address cannot be used, in clearer words than the broker's own."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as failed:
        raise CannotListen(host, port, failed.strerror or str(failed)) from None


class CannotListen(PyraftError):
    """A broker cannot listen at this address."""

    def __init__(self, host: str, port: int, why: str) -> None:
        self.host, self.port = host, port
        todo = "choose another --port, or 0 for a free one" if port else "choose another --host"
        super().__init__(f"no broker can listen at {host}:{port}: {why}; {todo}")


async def _look_after(running: broker.Broker, stop: options.Stop) -> int:
    """Watch the broker until ``stop``; report it if the broker ends by itself, because clients only see no answer."""
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), CHECK_INTERVAL)
        if not stop.is_set() and not await asyncio.to_thread(running.answers):
            sys.stderr.write(f"pyraft-lab: {running} has ended; start another one on the same port\n")
            return options.FAILED
    return stop.code


def _access_control(chosen: argparse.Namespace) -> broker.AccessControl:
    """The accounts that may connect; everybody if none are named. Passwords stay the same as last time."""
    parts: list[tuple[Part, Sequence[str]]] = [
        ("node", [str(node) for node in chosen.nodes]),
        ("client", chosen.clients),
        ("learner", chosen.learners),
        ("teacher", chosen.teacher),
    ]
    named = [Account(name=name, part=part) for part, names in parts for name in names]
    tls = options.certificates(chosen) if chosen.certfile else None
    guard = broker.AccessControl(cluster=chosen.cluster, accounts=tuple(named), certificates=tls)
    return structs.replace(guard, accounts=_with_passwords(named, chosen)) if named else guard


def _with_passwords(named: Sequence[Account], chosen: argparse.Namespace) -> Sequence[Account]:
    path = chosen.passwords or passwords.password_file(chosen.cluster)
    known = passwords.get_or_create(path, [account.name for account in named])
    sys.stderr.write(f"pyraft-lab: the passwords are kept in {path}\n")
    return tuple(structs.replace(account, password=known[account.name]) for account in named)


def _parser() -> argparse.ArgumentParser:
    parser = options.parser(
        "broker", "A broker: mosquitto if it is installed, else an embedded one. Prints its URL.", EXAMPLES
    )
    parser.add_argument(
        "--port", type=options.count("a port", 0, 65535), default=0, metavar="N", help="0 picks a free one (default)"
    )
    parser.add_argument(
        "--ws-port",
        type=options.count("a port", 0, 65535),
        metavar="N",
        help="also listen here for WebSockets, for browsers; 0 picks a free one",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine only)")
    parser.add_argument("--kind", choices=("mosquitto", "embedded"), help="which broker to start")
    parser.add_argument(
        "--cluster", type=options.cluster, default="demo", help="the cluster of these accounts (default demo)"
    )
    parser.add_argument("--nodes", type=options.nodes, default=(), metavar="1,2,3", help="accounts for these nodes")
    parser.add_argument(
        "--clients", type=options.accounts, default=(), metavar="ann,bob", help="accounts for these clients"
    )
    parser.add_argument(
        "--learners",
        type=options.accounts,
        default=(),
        metavar="ann,bob",
        help="accounts that may join the room (join); each may speak as any node of the room",
    )
    parser.add_argument(
        "--teacher", type=options.accounts, default=(), metavar="eve", help="account that may teach: inject faults, too"
    )
    parser.add_argument(
        "--passwords",
        type=Path,
        metavar="FILE",
        help=f"the file with the accounts' passwords, kept between starts (default: the file that "
        f"{passwords.PASSWORDS} names, else one in the user's configuration directory)",
    )
    options.add_certificates(parser)
    return parser
