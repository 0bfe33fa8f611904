"""Options that several commands share: cluster, broker, login, log level.

Every value is checked while the command line is parsed, so nothing has happened when one is refused.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from pyraft_lab import arguments
from pyraft_lab.did_you_mean import did_you_mean
from pyraft_lab.engine.config import FORMER_NAMES, Config
from pyraft_lab.errors import MissingExtra, PyraftError, first_error
from pyraft_lab.extras import require
from pyraft_lab.network.address import Address, Certificates, topic_word
from pyraft_lab.network.passwords import HELP

if TYPE_CHECKING:
    from pyraft_lab.sim.workload import Load

V = TypeVar("V")
S = TypeVar("S", Config, "Load")
OVER, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes: success, failure, Ctrl-C; argparse itself exits with 2 for invalid arguments."""
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
"""Hosts at which no other machine can connect."""
LARGEST_NODE, MOST_SERVERS, MOST_SEEDS = 2**31 - 1, 99, 10_000_000
LONGEST, LARGEST_SEED = 1_000_000.0, 2**63 - 1


Refused = argparse.ArgumentTypeError
"""The error for an invalid argument; argparse adds the name of the option."""


class OptionParser(argparse.ArgumentParser):
    """Parse a command's arguments; report an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help, and exit with 2."""
        line = " ".join(message.split())
        self.exit(2, f"{self.prog}: error: {line}; see {self.prog} --help\n")


def parser(name: str, about: str, examples: str) -> argparse.ArgumentParser:
    """A parser for a command, with examples below the options."""
    return OptionParser(
        prog=f"pyraft-lab {name}",
        description=about,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_cluster(face: argparse.ArgumentParser, *, named: bool = True, required: bool = True) -> None:
    """Add the options for the cluster and its broker."""
    if named:
        face.add_argument("--cluster", type=cluster, default="demo", help="the name of the cluster (default demo)")
    face.add_argument(
        "--broker",
        type=broker,
        required=required,
        metavar="URL",
        help=f"mqtt://[user:password@]host:1883, or mqtts; ws://host:9001/mqtt, or wss; {HELP}",
    )
    add_certificates(face)


def add_certificates(face: argparse.ArgumentParser) -> None:
    """Add the options for TLS files."""
    face.add_argument(
        "--cafile",
        type=old_file,
        metavar="FILE",
        help="for mqtts and wss: the authority that signed the broker's certificate",
    )
    face.add_argument(
        "--certfile", type=old_file, metavar="FILE", help="a client certificate, if the broker asks for one"
    )
    face.add_argument("--keyfile", type=old_file, metavar="FILE", help="the key of the client certificate")


def certificates(chosen: argparse.Namespace) -> Certificates:
    """The TLS files from the options."""
    return Certificates(authority=chosen.cafile, certificate=chosen.certfile, key=chosen.keyfile)


# Names and places


def cluster(text: str) -> str:
    """A cluster name, valid in a topic."""
    return _gated(lambda: topic_word("cluster", text))


def account(text: str) -> str:
    """An account name, valid in a topic."""
    return _gated(lambda: topic_word("name", text))


def accounts(text: str) -> tuple[str, ...]:
    """Account names: ``ann,bob``."""
    names = tuple(account(part.strip()) for part in text.split(","))
    if len(set(names)) < len(names):
        raise Refused(f"{shown(text)} names an account twice")
    return names


def broker(text: str) -> str:
    """The URL of a broker."""
    _gated(lambda: Address.parse(text))
    return text


def _gated(read: Callable[[], V]) -> V:
    """Convert this package's errors to argparse's."""
    try:
        return read()
    except PyraftError as wrong:
        raise Refused(str(wrong)) from None


def directory(text: str) -> Path:
    """A directory, whatever is there; ``.`` by its whole name, because it cannot be told from an empty one."""
    return Path.cwd() if text == "." else _gated(lambda: arguments.directory("directory", text))


def old_file(text: str) -> str:
    """A file that can be read."""
    try:
        Path(text).open("rb").close()
    except (OSError, ValueError) as wrong:
        raise Refused(f"{shown(text)} cannot be read: {_why(wrong)}") from None
    return text


def new_file(*suffixes: str, needs: Sequence[str] = ()) -> Callable[[str], Path]:
    """A file to be written: with one of the suffixes, in a writable place, with the packages it needs installed."""

    def read(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise Refused(f"{shown(text)} must end in {' or '.join(suffixes)}")
        _require(path.suffix, needs)
        _be_writable(path)
        return path

    return read


def _require(suffix: str, needs: Sequence[str]) -> None:
    try:
        require(*(name for name in needs if suffix != ".jsonl"))
    except MissingExtra as missing:
        raise Refused(str(missing)) from None


def _be_writable(path: Path) -> None:
    """Try to write the file, because nothing else is reliable; a file that did not exist is removed again."""
    try:
        is_new = not path.exists()
        if not is_new and not path.is_file():
            raise Refused(f"{shown(str(path))} is not a file")
        path.open("ab").close()
        if is_new:
            path.unlink()
    except (OSError, ValueError) as wrong:
        raise Refused(f"{shown(str(path))} cannot be written: {_why(wrong)}") from None


def _why(wrong: Exception) -> str:
    return (wrong.strerror if isinstance(wrong, OSError) else "") or str(wrong)


# Numbers


def nodes(text: str) -> tuple[int, ...]:
    """Node ids: ``1,2,3``."""
    ids = tuple(node(part) for part in text.split(","))
    if len(set(ids)) < len(ids):
        raise Refused(f"{shown(text)}: a node appears twice")
    return ids


def node(text: str) -> int:
    """One node id, from 1."""
    number = _whole(text)
    if number is None or not 1 <= number <= LARGEST_NODE:
        raise Refused(f"{shown(text)} is not a node: nodes are numbered from 1")
    return number


def count(what: str, least: int, most: int) -> Callable[[str], int]:
    """A whole number from ``least`` to ``most``; ``what`` names it in the error."""

    def read(text: str) -> int:
        number = _whole(text)
        if number is None or not least <= number <= most:
            rule = f"a whole number from {least} to {most}"
            raise Refused(f"{shown(text)} is not {what}: give {rule}")
        return number

    return read


servers = count("a number of servers", 1, MOST_SERVERS)
seed = count("a seed", 0, LARGEST_SEED)


def _whole(text: str) -> int | None:
    """A whole number in plain digits, or ``None``: ``int`` accepts more, and refuses very long ones."""
    digits = text.strip()
    is_number = digits.isascii() and digits.lstrip("-").isdigit() and digits.count("-") <= 1 and len(digits) <= 20
    return int(digits) if is_number else None


def seeds(text: str) -> Sequence[int]:
    """``0:200`` as a range, ``3,14,15`` as a list."""
    first, colon, stop = text.partition(":")
    if not colon:
        return [_seed(part, text) for part in text.split(",")]
    chosen = range(_seed(first or "0", text), _seed(stop, text))
    if not chosen:
        raise Refused(f"there are no seeds in {shown(text)}: FIRST must be below STOP, as in 0:100")
    if len(chosen) > MOST_SEEDS:
        raise Refused(f"{shown(text)} are more than {MOST_SEEDS:,} seeds")
    return chosen


def _seed(part: str, text: str) -> int:
    number = _whole(part)
    if number is None or not 0 <= number <= LARGEST_SEED:
        raise Refused(f"{shown(text)} is neither FIRST:STOP nor a list of seeds as 3,14,15")
    return number


def seconds(text: str) -> float:
    """A positive, finite time in seconds."""
    number = _number(text)
    if not 0 < number <= LONGEST:
        raise Refused(f"{shown(text)} is not a time: give seconds above 0, at most {LONGEST:,.0f}")
    return number


def share(text: str) -> float:
    """A probability."""
    number = _number(text)
    if not 0 <= number <= 1:
        raise Refused(f"{shown(text)} is not a share: give a number from 0 to 1")
    return number


def factor(text: str) -> float:
    """A factor by which clocks are slower."""
    number = _number(text)
    if not 1 <= number <= 1000:
        raise Refused(
            f"{shown(text)} is not a pace: 1 is the usual pace, 20 is twenty times slower, 1000 is the slowest"
        )
    return number


def delay(shortest: str, longest: str) -> tuple[float, float]:
    """A range of message delays: two times in seconds, the shortest first."""
    pair = (_number(shortest), _number(longest))
    if not 0 <= pair[0] <= pair[1] <= 60:
        raise Refused(
            f"{shown(f'{shortest} {longest}')} is not a delay: give the shortest and the longest, from 0 to 60 seconds"
        )
    return pair


def _number(text: str) -> float:
    try:
        number = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        number = None
    if number is None or not isfinite(number):
        raise Refused(f"{shown(text)} is not a number") from None
    return number


# Settings


def config_over(usual: Config) -> Callable[[str], Config]:
    """Settings as a JSON object; settings that it does not name keep the ``usual`` values."""

    def read(text: str) -> Config:
        told = _object(text, '{"heartbeat_interval": 0.1}')
        return _changed(usual, {FORMER_NAMES.get(name, name): value for name, value in told.items()})

    return read


def load(text: str) -> "Load":
    """The load of clients as a JSON object; what it does not name keeps its default."""
    from pyraft_lab.sim.workload import Load  # most commands start without it

    return _changed(Load(), _object(text, '{"clients": 2, "lease": 0.5}'))


def _object(text: str, example: str) -> dict[str, Any]:
    try:
        told = arguments.from_json(text, object)
    except msgspec.MsgspecError:
        told = None
    if not isinstance(told, dict):
        raise Refused(f"{shown(text)} is not a JSON object such as {example}")
    return told


def _changed(usual: S, told: dict[str, Any]) -> S:
    known = msgspec.structs.asdict(usual)
    for name in told:
        if name not in known:
            raise Refused(f"{shown(name)} {did_you_mean(name, known)}")
    try:
        return msgspec.convert(known | told, type(usual)).validated()
    except (msgspec.MsgspecError, PyraftError) as wrong:
        raise Refused(str(wrong)) from None


def shown(text: str) -> str:
    """A typed argument in quotes, shortened if it is long."""
    return repr(text if len(text) <= 60 else f"{text[:50]}…")


# Running


def add_log_level(face: argparse.ArgumentParser) -> None:
    """Add the option for the log level on standard error."""
    levels = ("debug", "info", "warning", "error")
    face.add_argument("--log-level", choices=levels, default="info", help="how much to log (default info)")


def log_to_stderr(level: str) -> None:
    """Print the package's log on standard error."""
    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING
    )
    logging.getLogger("pyraft_lab").setLevel(level.upper())


def run(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of ``work``; of several errors at once the first is raised."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    except asyncio.CancelledError:
        return INTERRUPTED


class Stop(asyncio.Event):
    """Set by the first SIGTERM or Ctrl-C; ``code`` is the exit code of the command."""

    code = OVER


def stop_on_signals() -> Stop:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C interrupts the clean end."""
    stop, loop, work = Stop(), asyncio.get_running_loop(), asyncio.current_task()
    assert work is not None, "called by the work itself"

    def interrupt() -> None:
        if stop.code == INTERRUPTED:
            work.cancel()
        stop.code = INTERRUPTED
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    return stop
