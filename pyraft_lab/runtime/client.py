"""A client: finds the leader, follows hints, tries again within its session until the deadline.

A command that may have happened is sent again under the same serial number, and the machine applies it once
(dissertation §6.3); so what ``write`` returns happened exactly once.
"""

import asyncio
import itertools
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from pyraft_lab.arguments import listed, seconds
from pyraft_lab.command import encode
from pyraft_lab.engine.events import ReadPolicy, read_policy
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import (
    Fatal,
    NetworkFailed,
    NotInitialized,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    QuorumNotEnough,
    Timeout,
    UnknownNode,
)
from pyraft_lab.home import Home
from pyraft_lab.session import MOST_ANSWERS

T = TypeVar("T")
PASSING = (
    *(NotLeader, NotInitialized, OutcomeUnknown, Overloaded, QuorumNotEnough, NetworkFailed, Fatal, TimeoutError),
    UnknownNode,  # it was killed between the look at who is up and the question
)
"""What another node, or the same one a little later, may do better."""
LONGER = 1 / 5000
"""Seconds that each command of a batch adds to an attempt and to the deadline."""


class Door(Protocol):
    """How a client reaches nodes; errors are those of :class:`~pyraft_lab.runtime.node.Raft`."""

    def nodes(self) -> Sequence[NodeId]:
        """Whom one may ask."""

    async def write(self, node: NodeId, commands: Sequence[bytes]) -> Sequence[Any]:
        """Have ``node`` replicate encoded commands; their results."""

    async def read(self, node: NodeId, query: Any, policy: ReadPolicy) -> Any:
        """Have ``node`` answer a query linearizably."""

    async def index(self, node: NodeId) -> Index:
        """An index that ``node`` knows to be committed, linearizably."""


class Client:
    """One session with a cluster; ``deadline`` is how long a call tries before it gives up with ``Timeout``.

    A batch has a second more for each 5,000 commands: to send it again while it is being committed helps nobody.

    With a ``home`` calls may be awaited from any loop: they run there, next to the door.
    """

    def __init__(self, door: Door, *, deadline: float = 10.0, attempt: float = 1.0, home: Home | None = None) -> None:
        self.id = secrets.randbits(48)
        self.deadline = deadline
        self._attempt = seconds("attempt", attempt, 1e-6)
        self._door, self._home = door, home
        self._serials = itertools.count(1)
        self._open: dict[int, None] = {}
        self._since: Index | None = None
        self._leader: NodeId | None = None

    @property
    def deadline(self) -> float:
        """Seconds that a call tries before it gives up; may be changed."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = seconds("deadline", deadline)

    async def write(self, value: Any) -> Any:
        """Replicate one command, exactly once; returns the machine's answer (``BadCommand`` if it refuses)."""
        (result,) = await self.write_many([value])
        return result

    async def write_many(self, values: Iterable[Any]) -> list[Any]:
        """Replicate commands in one round trip; results in order."""
        return await self._at_home(self._write_many(listed("values", values, MOST_ANSWERS)))

    async def read(self, query: Any, *, policy: ReadPolicy = "index") -> Any:
        """What the machine says to ``query``, linearizably.

        By ``"index"`` the leader asks a majority first; by ``"lease"`` it asks nobody, and that rests on clocks that
        run equally fast within ``Config.clock_drift``.
        """
        read_policy(policy)
        return await self._at_home(self._until_done("a read", lambda node: self._door.read(node, query, policy)))

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        return await (work if self._home is None else self._home.run(work))

    async def _write_many(self, values: Sequence[Any]) -> list[Any]:
        if self._since is None:
            for value in values:
                encode(value)  # what no node could read is refused before anybody is asked
            self._since = await self._until_done("opening a session", self._door.index)
        serials = [next(self._serials) for _ in values]
        self._open.update(dict.fromkeys(serials))
        try:
            done = next(iter(self._open), 1) - 1
            commands = [
                encode(value, client=self.id, serial=serial, done=done, since=self._since)
                for value, serial in zip(values, serials, strict=True)
            ]
            longer = len(commands) * LONGER
            return list(await self._until_done("a write", lambda node: self._door.write(node, commands), longer))
        finally:
            for serial in serials:
                del self._open[serial]

    async def _until_done(self, what: str, act: Callable[[NodeId], Awaitable[T]], longer: float = 0.0) -> T:
        """Try one node after the other, the one that is said to lead first, until one succeeds."""
        last: BaseException | None = None
        try:
            async with asyncio.timeout(self.deadline + longer):
                for hops in itertools.count():
                    try:
                        node = self._whom_to_ask(last)
                        async with asyncio.timeout(self._attempt + longer):
                            result = await act(node)
                    except PASSING as failed:
                        last = failed
                        await self._pause(failed, hops)
                    else:
                        self._leader = node
                        return result
        except TimeoutError:
            pass
        raise Timeout(f"{what} (last: {last or 'nobody answered'})", self.deadline + longer) from last

    def _whom_to_ask(self, last: BaseException | None) -> NodeId:
        """The leader a refusal named; else the last one that served us; else anybody."""
        known = self._door.nodes()
        if not known:
            raise NotLeader(None, "no node is up")
        best = last.leader if isinstance(last, NotLeader) else self._leader if last is None else None
        return random.choice(known) if best is None or best not in known else best

    async def _pause(self, failed: BaseException, hops: int) -> None:
        """A hint is followed at once; without one, or in a circle of hints, an election needs its time."""
        if isinstance(failed, NotLeader) and failed.leader is not None and hops % 3 != 2:
            return
        await asyncio.sleep(random.uniform(0.01, 0.03))
