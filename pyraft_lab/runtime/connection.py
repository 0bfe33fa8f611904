"""A client without ``await``, for scripts and notebook cells: it has a thread and an event loop of its own.

>>> with connect("mqtt://localhost", cluster="demo") as kv:  # doctest: +SKIP
...     kv.put("x", 1)
...     kv.get("x")
1
"""

from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from pyraft_lab.arguments import integer, seconds, text
from pyraft_lab.command import MAX_BYTES
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.errors import Fatal, PyraftError
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.runtime.client import MOST_COMMAND_BYTES, Client
from pyraft_lab.runtime.remote import Remote

CLOSED = Fatal("this connection has been closed; connect() again")


def connect(
    url: str, *, cluster: str = "demo", deadline: float = 10.0, max_bytes: int = MOST_COMMAND_BYTES
) -> "Connection":
    """A client without ``await`` for the cluster at this broker; use it in a ``with`` block.

    A call raises ``Timeout`` after ``deadline`` seconds. ``max_bytes`` and the other errors are those of
    :class:`~pyraft_lab.runtime.client.Client`. ``NetworkFailed`` says why the broker cannot be reached. In a browser
    that cannot suspend a call, ``PyraftError`` says to await :meth:`Remote.connect` instead.
    """
    return Connection(
        text("url", url),
        cluster=text("cluster", cluster),
        deadline=seconds("deadline", deadline),
        max_bytes=integer("max_bytes", max_bytes, 1, MAX_BYTES),
    )


class Connection:
    """A client whose calls block until they are done; several threads may share one."""

    def __init__(self, url: str, *, cluster: str, deadline: float, max_bytes: int) -> None:
        self._url, self._cluster = url, cluster
        self._deadline, self._max_bytes = deadline, max_bytes
        self._thread: LoopThread | None = None
        self._client: Client | None = None
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise PyraftError("this connection is already open; use it, or call connect() again")
        self._thread = LoopThread(f"client of {self._cluster}")
        self._thread.start()
        try:
            self._client = self._thread.home.wait(self._open())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and end its thread; a second call is no error."""
        thread, self._thread, self._client = self._thread, None, None
        if thread is not None:
            try:
                thread.home.wait(self._stack.aclose())
            finally:
                thread.stop(CLOSED)

    def write(self, value: Any) -> Any:
        """Replicate one command, exactly once; the machine's answer (``BadCommand`` if the machine refuses it)."""
        return self._wait(lambda client: client.write(value))

    def write_many(self, values: Iterable[Any]) -> list[Any]:
        """Replicate commands in order, each exactly once; returns the results in the same order."""
        results: list[Any] = self._wait(lambda client: client.write_many(values))
        return results

    def read(self, query: Any, *, policy: ReadPolicy = "index") -> Any:
        """The machine's linearizable answer to ``query``."""
        return self._wait(lambda client: client.read(query, policy=policy))

    def put(self, key: str | int, value: Any) -> None:
        """Set a key of the key-value machine."""
        self.write({"op": "put", "key": key, "value": value})

    def get(self, key: str | int) -> Any:
        """The linearizable value of a key; ``None`` if the key does not exist."""
        return self.read(key)

    async def _open(self) -> Client:
        self._stack = AsyncExitStack()
        remote = await self._stack.enter_async_context(Remote.connect(self._url, cluster=self._cluster))
        await remote.catch_up()
        return remote.client(deadline=self._deadline, max_bytes=self._max_bytes)

    def _wait(self, call: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
        if self._thread is None or self._client is None:
            raise PyraftError("this connection is not open; use it inside 'with connect(...) as kv:'")
        return self._thread.home.wait(call(self._client))
