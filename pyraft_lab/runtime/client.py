"""A live client: it drives `pyraft_lab.client` on an event loop, with clocks, randomness and a transport.

Waiting calls from all loops and threads are collected and handed over together, and so are their results: one hop each
way for any number of calls. A write that returns was applied exactly once (dissertation §6.3).
"""

import itertools
import random
import secrets
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from pyraft_lab.arguments import bounded_list, instance, integer, seconds
from pyraft_lab.client.requests import Request
from pyraft_lab.client.state import Limits, Read, Write
from pyraft_lab.command import MAX_BYTES, encode, encode_all
from pyraft_lab.engine.events import ReadPolicy, read_policy
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import BadCommand
from pyraft_lab.loop_thread import LoopOwner
from pyraft_lab.runtime.client_driver import ClientDriver
from pyraft_lab.session import MAX_ANSWERS

SECONDS_PER_COMMAND = 1 / 5000
"""Seconds that each command of a batch adds to the deadline of its call."""

MOST_COMMAND_BYTES = 16 << 20
"""Bytes of the largest command a client sends, unless it is made with another ``max_bytes``."""


class Transport(Protocol):
    """How a client reaches nodes; it raises the errors of :class:`~pyraft_lab.runtime.raft.Raft`."""

    def nodes(self) -> Sequence[NodeId]:
        """The nodes the client may ask."""

    async def ask(self, node: NodeId, request: Request, /) -> Any:
        """Send ``request`` to ``node`` and return its reply (:mod:`pyraft_lab.client.requests`)."""

    def check(self, query: Any, /) -> None:
        """Raise ``BadCommand`` if a query cannot be sent to a node."""


class Client:
    """One session with a cluster; a call raises ``Timeout`` after ``deadline`` seconds.

    A batch gets one more second for each 5,000 commands. One attempt ends after ``attempt`` seconds, later attempts
    last longer. ``max_bytes`` is the size of the largest command; a larger one is refused before anything is sent.

    ``chance`` makes its id and the lengths of its waits; with a seed they are the same in every run.

    With ``home`` (a loop thread) calls may be awaited from any loop: they run on that thread, next to the transport.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        deadline: float = 10.0,
        attempt: float = 1.0,
        max_bytes: int = MOST_COMMAND_BYTES,
        home: LoopOwner | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.deadline = deadline
        self._chance = None if chance is None else instance("chance", chance, random.Random)
        self._max_bytes = integer("max_bytes", max_bytes, 1, MAX_BYTES)
        self._attempt = seconds("attempt", attempt, 1e-6)
        self._transport, self._home = transport, home
        self._loop: LoopOwner | None = None
        self._driver = self._new_driver()
        self._calls = itertools.count(1)

    @property
    def id(self) -> int:
        """The id of this client's session in the log."""
        return self._driver.id

    @property
    def deadline(self) -> float:
        """Seconds after which a call gives up; may be changed."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = seconds("deadline", deadline)

    async def write(self, value: Any) -> Any:
        """Replicate one command, exactly once; the machine's answer (``BadCommand`` if the machine refuses it)."""
        command = self._checked(encode(value))
        return await self._result(Write(next(self._calls), (command,)), None)

    async def write_many(self, values: Iterable[Any]) -> list[Any]:
        """Replicate commands in order, each exactly once; returns the results in the same order."""
        commands = encode_all(bounded_list("values", values, MAX_ANSWERS))
        if not commands:
            return []
        self._checked(max(commands, key=len))
        results: list[Any] = await self._result(Write(next(self._calls), commands), len(commands))
        return results

    async def read(self, query: Any, *, policy: ReadPolicy = "index") -> Any:
        """The machine's linearizable answer to ``query``.

        With ``"index"`` the leader first confirms its leadership with a majority. With ``"lease"`` it does not; that is
        correct only if all clocks run equally fast within ``Config.clock_drift``.
        """
        self._transport.check(query)
        return await self._result(Read(next(self._calls), query, read_policy(policy)), None)

    def _checked(self, command: bytes) -> bytes:
        if len(command) > self._max_bytes:
            limit = f"max_bytes={self._max_bytes} of this client is the limit"
            raise BadCommand(
                f"it has {len(command)} bytes, but {limit}; split it, or raise max_bytes (up to {MAX_BYTES})"
            )
        return command

    def _result(self, call: Write | Read, count: int | None) -> Awaitable[Any]:
        """The result of a call, which runs on the loop thread; a list if the call has a ``count``."""
        longer = 0 if count is None else count * SECONDS_PER_COMMAND
        home = self._home or self._visited()
        return self._driver.call(call, count, self._deadline + longer, home)

    def _visited(self) -> LoopOwner:
        """Without ``home``: the loop of the first call; after that loop ends, a new session on the current loop."""
        if self._loop is None:
            self._loop = LoopOwner()
        elif self._loop.is_closed:
            self._loop, self._driver = LoopOwner(), self._new_driver()
        return self._loop

    def _new_driver(self) -> ClientDriver:
        chance = random.Random() if self._chance is None else self._chance
        id = secrets.randbits(48) if self._chance is None else chance.getrandbits(48)
        return ClientDriver(id, self._transport, attempt=self._attempt, limits=Limits(), chance=chance)
