"""``pyraft-lab`` commands in processes of their own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def commands(*, stderr: int) -> Iterator[Start]:
    """Starts commands whose ``stderr`` goes there (``subprocess.PIPE``, ``DEVNULL``), and ends those that are left."""
    running: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pyraft_lab", *words]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()
