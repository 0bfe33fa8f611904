"""The command line: a table of commands, each imported only when it is chosen."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, NoReturn, cast

try:
    from pyraft_lab import __version__
    from pyraft_lab.errors import PyraftError
    from pyraft_lab.extras import needed
    from pyraft_lab.terminal import options, streams
except KeyboardInterrupt:  # these are half of the time in which a command starts
    print("pyraft-lab: interrupted", file=sys.stderr)
    sys.exit(130)

EXAMPLES = """examples:
  pyraft-lab lab                           open the guide in JupyterLab
  pyraft-lab lab --no-browser --port 8899  only serve it; JupyterLab's own options are passed on
  pyraft-lab simulate --faults heavy       one simulated cluster with faults, and the verdict
  pyraft-lab check --mutant ignores-logs   a Raft with a mistake, and the shortest run that shows it
  pyraft-lab inspect data/1                what node 1 keeps on its disk, and whether it is intact
"""


class Command(NamedTuple):
    """One command of `pyraft-lab`: its line of help, and the `module:function` that takes its arguments."""

    help: str
    target: str

    def run(self, arguments: Sequence[str]) -> int:
        """Import the function, call it, and return its exit code."""
        module, function = self.target.split(":")
        act = cast("Callable[[Sequence[str]], int]", vars(import_module(module))[function])
        return act(arguments)


COMMANDS: Mapping[str, Command] = {
    "demo": Command("live nodes elect, write, lose their leader and recover", "pyraft_lab.terminal.demo:main"),
    "check": Command("many simulated clusters, or a search for a mutant's mistake", "pyraft_lab.terminal.check:main"),
    "explore": Command("every possible run of a small cluster", "pyraft_lab.terminal.explore:main"),
    "lab": Command("open the guide in JupyterLab", "pyraft_lab.lab.launch:launch"),
    "node": Command("one real node in its own process", "pyraft_lab.terminal.node:main"),
    "client": Command("write, read and operate a running cluster", "pyraft_lab.terminal.client:main"),
    "broker": Command("a broker: mosquitto, or an embedded one", "pyraft_lab.terminal.broker:main"),
    "watch": Command("a live dashboard of a running cluster", "pyraft_lab.terminal.watch:main"),
    "simulate": Command("one simulated cluster and its verdict", "pyraft_lab.terminal.simulate:main"),
    "join": Command("one node in a classroom's cluster, automatic or played by hand", "pyraft_lab.classroom.join:main"),
    "teach": Command("for the teacher: show a classroom, fill seats, inject faults", "pyraft_lab.classroom.teach:main"),
    "blank": Command("for the teacher: the chapters as notebooks to hand out", "pyraft_lab.terminal.blank:main"),
    "grade": Command("for the teacher: mark a folder of executed notebooks", "pyraft_lab.terminal.grade:main"),
    "bench": Command("throughput and latency on this machine", "pyraft_lab.terminal.bench:main"),
    "inspect": Command("print and verify what a node keeps in its data directory", "pyraft_lab.storage.inspect:main"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is printed in at most one line."""
    streams.prepare()
    if arguments is None:
        signal.signal(signal.SIGTERM, _end)
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            streams.flush()
    except KeyboardInterrupt:
        return _failed("interrupted", options.INTERRUPTED)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # the exit code of a shell for Ctrl-C
            return streams.BROKEN
        raise
    except BrokenPipeError:
        streams.drop_output()
        return streams.BROKEN
    except PyraftError as failed:
        return _failed(str(failed), options.FAILED)
    except OSError as failed:
        return _failed(str(failed), options.FAILED)


def _end(number: int, _: object) -> NoReturn:
    """End a command on SIGTERM by an exception, so that it cleans up; a node handles the signal by itself."""
    sys.exit(128 + number)


def _failed(why: str, code: int) -> int:
    streams.print_error(why)
    return code


def _run(arguments: Sequence[str]) -> int:
    face = parser()
    for word in arguments:
        if not is_text(word):
            face.error(f"{word[:40]!r} is not text in UTF-8; check how this terminal writes it")
    chosen = face.parse_args(arguments)
    with needed():
        code = COMMANDS[chosen.command].run(chosen.rest)
    if code == options.INTERRUPTED:
        streams.print_error("interrupted")
    return code


def is_text(word: str) -> bool:
    """Whether an argument is valid text: bytes that are not UTF-8 reach Python as lone surrogates."""
    return "\0" not in word and not any("\ud800" <= letter <= "\udfff" for letter in word)


def parser() -> argparse.ArgumentParser:
    """Parse the words before a command's own arguments, which the command parses by itself."""
    face = options.OptionParser(
        prog="pyraft-lab",
        description="A complete, teachable Raft.\n\ncommands:\n" + "\n".join(help_lines()),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    face.add_argument("--version", action="version", version=f"pyraft-lab {__version__}")
    face.add_argument("command", choices=COMMANDS, metavar="command", help="one of the commands above")
    face.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="...", help="the command's own options; see pyraft-lab COMMAND --help"
    )
    return face


def help_lines() -> list[str]:
    """The table of commands, one line each."""
    return [f"  {name:<10} {command.help}" for name, command in COMMANDS.items()]
