"""Words that several commands share: which cluster, which broker, how to be let in, how much to say."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import PyraftError
from pyraft_lab.network.address import Address, Certificates, word
from pyraft_lab.network.passwords import HELP

OVER, FAILED = 0, 1
"""Exit codes: all went well, something did not; argparse itself exits with 2 for words that make no sense."""


def parser(name: str, about: str, examples: str) -> argparse.ArgumentParser:
    """A command's face, with examples below the options."""
    return argparse.ArgumentParser(
        prog=f"pyraft-lab {name}",
        description=about,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cluster(face: argparse.ArgumentParser, *, named: bool = True) -> None:
    """Which cluster around which broker."""
    if named:
        face.add_argument("--cluster", type=_checked(cluster), default="demo", help="its name (default demo)")
    face.add_argument(
        "--broker",
        type=_checked(broker),
        required=True,
        metavar="URL",
        help=f"mqtt://[user:password@]host:1883, or mqtts; {HELP}",
    )
    add_certificates(face)


def add_certificates(face: argparse.ArgumentParser) -> None:
    """Files for TLS."""
    face.add_argument("--cafile", metavar="FILE", help="the authority that signed the broker's certificate, for mqtts")
    face.add_argument("--certfile", metavar="FILE", help="a certificate of one's own, if the broker asks for one")
    face.add_argument("--keyfile", metavar="FILE", help="its key")


def certificates(chosen: argparse.Namespace) -> Certificates:
    """The files that were named."""
    return Certificates(authority=chosen.cafile, certificate=chosen.certfile, key=chosen.keyfile)


def cluster(text: str) -> str:
    """A name that may stand in a topic."""
    return word("cluster", text)


def cluster_name(text: str) -> str:
    """The same, for a word of its own."""
    return _checked(cluster)(text)


def broker(text: str) -> str:
    """A URL of a broker."""
    Address.parse(text)
    return text


def config(text: str) -> Config:
    """Knobs as a JSON object; what is not said stays as it is by default."""
    try:
        return msgspec.json.decode(text, type=Config).validated()
    except (msgspec.MsgspecError, PyraftError) as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def nodes(text: str) -> tuple[int, ...]:
    """Several node ids: ``1,2,3``."""
    ids = tuple(node(part) for part in text.split(","))
    if len(set(ids)) < len(ids):
        raise argparse.ArgumentTypeError(f"{text}: a node is named twice")
    return ids


def node(text: str) -> int:
    """One node id, from 1."""
    if not text.strip().isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no node: nodes are numbered from 1")
    return int(text)


def count(text: str) -> int:
    """How many: 0 or more."""
    if not text.strip().isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of nodes")
    return int(text)


def share(text: str) -> float:
    """A probability."""
    if not 0 <= _number(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share: between 0 and 1")
    return float(text)


def factor(text: str) -> float:
    """How many times slower."""
    if not 1 <= _number(text) <= 1000:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no pace: 1 is as usual, 20 is twenty times slower, 1000 the slowest"
        )
    return float(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def value(text: str) -> Any:
    """JSON if it is JSON, else the text itself: ``3`` is a number, ``three`` a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def add_log_level(face: argparse.ArgumentParser) -> None:
    """How much is said on standard error."""
    levels = ("debug", "info", "warning", "error")
    face.add_argument("--log-level", choices=levels, default="info", help="how much to say (default info)")


def log_to_stderr(level: str) -> None:
    """Let the package's loggers speak."""
    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING
    )
    logging.getLogger("pyraft_lab").setLevel(level.upper())


def run(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of ``work``; an error of ours in one line on standard error."""
    try:
        return asyncio.run(work)
    except* PyraftError as failed:
        sys.stderr.write(f"pyraft-lab: {_first(failed)}\n")
    return FAILED


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _checked(read: Callable[[str], str]) -> Callable[[str], str]:
    """The errors of our own gates in argparse's manner."""

    def checked(text: str) -> str:
        try:
            return read(text)
        except PyraftError as wrong:
            raise argparse.ArgumentTypeError(str(wrong)) from None

    return checked


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
