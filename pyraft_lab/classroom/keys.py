"""Keyboard input beside a moving picture: single keys of a terminal, whole lines of anything else."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

OnInput = Callable[[str], None]
ENTER, BACKSPACE = ("\n", "\r"), ("\x7f", "\b")


def is_terminal() -> bool:
    """Whether both standard input and output are a terminal, and single keys can be read."""
    return sys.stdin.isatty() and sys.stdout.isatty() and find_spec("termios") is not None


@contextmanager
def keys(hear: OnInput) -> Iterator[None]:
    """Pass every key to ``hear``, at once and without echo; Ctrl-C still interrupts."""
    import termios  # only where this kind of terminal exists
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for key in os.read(handle, 1024).decode(errors="ignore"):
            hear(key)

    loop.add_reader(handle, read)
    try:
        yield
    finally:
        loop.remove_reader(handle)
        termios.tcsetattr(handle, termios.TCSADRAIN, before)


async def lines() -> "asyncio.Queue[str | None]":
    """The lines of standard input as they come; ``None`` is their end."""
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError):  # the loop has ended first
            for line in _read_lines(sys.stdin.fileno()):
                loop.call_soon_threadsafe(queue.put_nowait, line.strip())
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="lines", daemon=True).start()
    return queue


def _read_lines(handle: int) -> Iterator[str]:
    """Read lines directly from the system: Python's own lock on standard input would crash the exit."""
    rest = b""
    while got := os.read(handle, 1 << 16):
        *whole, rest = (rest + got).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


class LineEditor:
    """A line while it is typed: it takes keys, and calls ``entered`` at Enter."""

    def __init__(self, entered: OnInput) -> None:
        self.text = ""
        self._entered = entered

    def on_key(self, key: str) -> None:
        """Handle one key."""
        if key in ENTER:
            text, self.text = self.text.strip(), ""
            self._entered(text)
        elif key in BACKSPACE:
            self.text = self.text[:-1]
        elif key.isprintable():
            self.text += key
