"""Make standard input, output and error safe: closed streams, broken pipes, limited character sets."""

import io
import os
import sys
from contextlib import suppress

BROKEN = 141
"""A shell's exit code for a command whose reader went away: 128 plus the number of SIGPIPE."""


LOSSLESS = {"strict", "surrogateescape"}
"""Error handlers that raise for a character that cannot be printed."""


def prepare() -> None:
    """Open missing streams, and print a character that the encoding lacks as its number.

    A closed stream becomes the null device, so that no later socket or file gets its number and its output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in LOSSLESS and mode == "w":
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Flush the output; ``BrokenPipeError`` if its reader is gone."""
    sys.stdout.flush()


def drop_output() -> None:
    """Drop waiting output, because nobody reads standard output any more; the exit must not flush it either."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def print_error(words: str) -> None:
    """Print one line on standard error, if it is open."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"pyraft-lab: {' '.join(words.split())}\n")
        sys.stderr.flush()
