"""What can run beside the caller: threads and processes where this Python has them, else one thing after the other.

A browser tab has one thread, no processes, and an event loop that never ends. What is there is found out by trying it,
never by the name of a platform.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeVar

from pyraft_lab.errors import NoProcesses, PyraftError

T = TypeVar("T")


class Suspend(Protocol):
    """Let the loop run while the caller waits for ``work``; its result."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T:
        """Wait for ``work``, which runs on the loop of the caller."""


class Serial(Executor):
    """An executor that runs every task at once in this process, for debugging and functions that do not pickle."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Call ``fn`` now; returns a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 (the future's ``result`` raises it)
            future.set_exception(error)
        return future


@contextmanager
def loop_set_aside() -> Iterator[None]:
    """Inside, no event loop counts as running, so that a loop of one's own may run to its end within a notebook's cell.

    The outer loop stands still meanwhile, as it does in any cell that computes.
    """
    outer = asyncio._get_running_loop()  # noqa: SLF001 (asyncio documents it for those who write loops)
    asyncio._set_running_loop(None)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)  # noqa: SLF001


@cache
def has_threads() -> bool:
    """Whether a thread can be started."""
    probe = threading.Thread(target=int, name="probe", daemon=True)
    try:
        probe.start()
    except RuntimeError:
        return False
    probe.join()
    return True


@cache
def has_processes() -> bool:
    """Whether processes can be started and awaited; a pool of them needs a thread that watches it."""
    try:
        import_module("_multiprocessing")  # a Python without processes lacks it
        import_module("multiprocessing")
    except ImportError:
        return False
    return has_threads()


def need_processes(instead: str) -> None:
    """Raise ``NoProcesses`` with what to do ``instead``, if no process can be started."""
    if not has_processes():
        raise NoProcesses(instead)


def one_worker(name: str) -> Executor:
    """An executor that runs one task after the other: in a thread of its own, or at once where there are no threads."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) if has_threads() else Serial()


def worker_processes() -> Executor:
    """An executor with a process for every core; where there are no processes, one that runs every task at once."""
    if not has_processes():
        return Serial()
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor()


async def to_thread(act: Callable[..., T], *arguments: Any) -> T:
    """``act(*arguments)`` in another thread, so that the loop goes on; where there are no threads, now."""
    return await asyncio.to_thread(act, *arguments) if has_threads() else act(*arguments)


def suspender() -> Suspend | None:
    """A function that waits on the caller's own event loop; ``None`` if this Python has none, as is usual.

    Pyodide has one in browsers that can suspend WebAssembly (JavaScript Promise Integration).
    """
    try:
        from pyodide.ffi import can_run_sync, run_sync
    except ImportError:
        return None
    found: Suspend | None = run_sync if can_run_sync() else None
    return found


def wait_here(work: Coroutine[Any, Any, T]) -> T:
    """Wait for ``work`` on the caller's own loop; ``PyraftError`` at once where that would never return."""
    suspend = suspender()
    if suspend is None:
        work.close()
        raise PyraftError(
            "this call would block the event loop that it waits for, forever: there are no other threads here; await "
            "the form of it that does not block, such as Remote.connect() in place of connect()"
        )
    return suspend(work)
