"""Standard input, output and error as a shell leaves them: closed, a pipe that ends early, few letters."""

import io
import os
import sys
from contextlib import suppress

BROKEN = 141
"""What a shell reports for a command whose reader went away: 128 and the number of SIGPIPE."""


LOSSLESS = {"strict", "surrogateescape"}
"""Ways to treat a character that cannot be shown in which it is an error."""


def prepare() -> None:
    """Let every stream be there, and let no character be an error: one that cannot be shown is written as its number.

    A stream that was closed becomes the null device, before a socket or a file gets its number and hears what was said.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 (as long as the process)
        elif isinstance(stream, io.TextIOWrapper) and stream.errors in LOSSLESS and mode == "w":
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write what waits; ``BrokenPipeError`` where nobody reads it any more."""
    sys.stdout.flush()


def drop_output() -> None:
    """Nobody reads standard output: let nothing that still waits for it be written, not even at the end."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def print_error(words: str) -> None:
    """One line on standard error, if anybody is there to read it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"pyraft-lab: {' '.join(words.split())}\n")
        sys.stderr.flush()
