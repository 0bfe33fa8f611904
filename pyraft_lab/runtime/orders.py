"""What an operator may order a node to do: triggers that act once, and toggles that stay."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any

from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import (
    AllowRevert,
    Beat,
    BuildSnapshot,
    Configure,
    Elect,
    Event,
    PurgeLog,
    TransferLeader,
)
from pyraft_lab.engine.types import Index, NodeId, RequestId
from pyraft_lab.runtime.clock import Clock

Tell = Callable[[Event], None]
Order = Callable[[Callable[[RequestId], Event]], "Future[Any]"]


class Pending(Awaitable[None]):
    """An order that was given; await it to learn whether it could be carried out, or let it be."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wrap_future(self._future).__await__()


class Trigger:
    """Acts at once; what makes no sense at the moment does nothing. From any thread."""

    def __init__(self, tell: Tell, order: Order) -> None:
        self._tell, self._order = tell, order

    def elect(self, *, pre_vote: bool = False) -> None:
        """Campaign now; ``pre_vote`` asks first whether that could be won."""
        self._tell(Elect(pre_vote=pre_vote))

    def heartbeat(self) -> None:
        """Send a round of heartbeats now."""
        self._tell(Beat())

    def snapshot(self) -> None:
        """Build a snapshot now, unless one is being built."""
        self._tell(BuildSnapshot())

    def purge(self, upto: Index) -> None:
        """Forget entries up to ``upto``, as far as a snapshot covers them."""
        self._tell(PurgeLog(upto))

    def transfer_leader(self, to: NodeId) -> Pending:
        """Hand leadership to a voter (dissertation §3.10)."""
        return Pending(self._order(lambda request: TransferLeader(request, to)))

    def allow_next_revert(self, node: NodeId) -> Pending:
        """Vouch that ``node`` lost its log and may start again from nothing, once."""
        return Pending(self._order(lambda request: AllowRevert(request, node)))


class Runtime:
    """Switches that stay until they are switched back. From any thread."""

    def __init__(
        self, tell: Tell, config: Callable[[], Config], clock: Callable[[Callable[[Clock], None]], None]
    ) -> None:
        self._tell, self._config, self._clock = tell, config, clock
        self._ordered: Config | None = None

    def tick(self, on: bool) -> None:  # noqa: FBT001
        """Whether timers run out; off, an election can be walked by hand. Lease reads ask the clock all the same."""
        self._clock(Clock.thaw if on else Clock.freeze)

    def heartbeat(self, on: bool) -> None:  # noqa: FBT001
        """Whether a leader sends heartbeats."""
        self.configure(lambda now: replace(now, enable_heartbeat=on))

    def elect(self, on: bool) -> None:  # noqa: FBT001
        """Whether the node campaigns when it hears no leader."""
        self.configure(lambda now: replace(now, enable_elect=on))

    def pre_vote(self, on: bool) -> None:  # noqa: FBT001
        """Whether it asks before it campaigns (dissertation §9.6)."""
        self.configure(lambda now: replace(now, pre_vote=on))

    def configure(self, change: Callable[[Config], Config]) -> None:
        """Other settings, made of those of now; ``ConfigError`` where they make no sense."""
        self._ordered = change(self._ordered or self._config()).validated()
        self._tell(Configure(self._ordered))
