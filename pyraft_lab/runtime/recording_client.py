"""A client that records its calls, their results and times, for a linearizability check.

>>> client = RecordingClient(cluster.client, name="ann", notes=notes)  # doctest: +SKIP
>>> await client.write({"op": "put", "key": "x", "value": 1})  # doctest: +SKIP
>>> notes  # doctest: +SKIP
[Operation(client='ann', call=12.01, returned=12.02, input=('put', 'x', 1), output=None)]
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pyraft_lab.errors import BadCommand
from pyraft_lab.history import Operation
from pyraft_lab.runtime.client import Client

T = TypeVar("T")
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "put": ("value",),
    "get": (),
    "append": ("value",),
    "cas": ("old", "new"),
    "delete": (),
    "incr": ("by",),
}
"""The input of each kind of key-value command besides its key, in the order that a history uses."""
DEFAULTS: Mapping[str, Any] = {"by": 1}
"""What a command may leave out."""


class RecordingClient:
    """A key-value client that records its calls in ``notes``; a call that fails has an unknown outcome."""

    def __init__(
        self, client: Client, *, name: int | str, notes: list[Operation], now: Callable[[], float] = time.monotonic
    ) -> None:
        self.client, self.name = client, name
        self._notes, self._now = notes, now

    async def write(self, command: Mapping[str, Any]) -> Any:
        """Replicate a command; see :class:`~pyraft_lab.machine.KeyValue` for its forms."""
        asked = (command["op"], command["key"], *_arguments(command))
        return await self._noted(asked, self.client.write(dict(command)))

    async def read(self, key: int | str) -> Any:
        """The linearizable value of a key; ``None`` if the key does not exist."""
        return await self._noted(("get", key), self.client.read(key))

    async def _noted(self, asked: tuple[Any, ...], call: Awaitable[T]) -> T:
        called = self._now()
        try:
            answer = await call
        except BadCommand:  # the machine refused it, so nothing happened
            raise
        except BaseException:
            self._notes.append(Operation(self.name, called, None, asked))
            raise
        self._notes.append(Operation(self.name, called, self._now(), asked, answer))
        return answer


def _arguments(command: Mapping[str, Any]) -> tuple[Any, ...]:
    given = {**DEFAULTS, **command}
    return tuple(given[field] for field in ARGUMENTS[command["op"]])
