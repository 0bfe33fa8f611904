"""What an operator may order a node to do: triggers that act once, and toggles that stay."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any

from msgspec.structs import replace

from pyraft_lab.arguments import flag, function, instance, integer, node_id
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import (
    AllowRevert,
    BuildSnapshot,
    Configure,
    Elect,
    Event,
    PurgeLog,
    SendHeartbeat,
    TransferLeader,
)
from pyraft_lab.engine.types import Index, NodeId, RequestId
from pyraft_lab.runtime.timers import Timers

SendEvent = Callable[[Event], None]
SendRequest = Callable[[Callable[[RequestId], Event]], "Future[Any]"]


class Pending(Awaitable[None]):
    """An order that was given; await it to learn whether it could be carried out, or let it be."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wrap_future(self._future).__await__()


class Trigger:
    """Acts at once; what makes no sense at the moment does nothing. From any thread."""

    def __init__(self, tell: SendEvent, send_request: SendRequest) -> None:
        self._send_event, self._send_request = tell, send_request

    def elect(self, *, pre_vote: bool = False) -> None:
        """Campaign now; ``pre_vote`` asks first whether that could be won."""
        self._send_event(Elect(pre_vote=flag("pre_vote", pre_vote)))

    def heartbeat(self) -> None:
        """Send a round of heartbeats now."""
        self._send_event(SendHeartbeat())

    def snapshot(self) -> None:
        """Build a snapshot now, unless one is being built."""
        self._send_event(BuildSnapshot())

    def purge(self, upto: Index) -> None:
        """Forget entries up to ``upto``, as far as a snapshot covers them."""
        self._send_event(PurgeLog(integer("upto", upto, what="an index")))

    def transfer_leader(self, to: NodeId) -> Pending:
        """Hand leadership to a voter (dissertation §3.10)."""
        target = node_id("to", to)
        return Pending(self._send_request(lambda request: TransferLeader(request, target)))

    def allow_next_revert(self, node: NodeId) -> Pending:
        """Vouch that ``node`` lost its log and may start again from nothing, once; asked of the leader.

        Only an operator can know that no entry is lost by it: every entry that was acknowledged has to be on the disks
        of the others. Safe in every case is to take the node out of the voters, and to add it again.
        """
        peer = node_id("node", node)
        return Pending(self._send_request(lambda request: AllowRevert(request, peer)))


class Runtime:
    """Switches that stay until they are switched back. From any thread."""

    def __init__(
        self, tell: SendEvent, config: Callable[[], Config], clock: Callable[[Callable[[Timers], None]], None]
    ) -> None:
        self._send_event, self._config, self._clock = tell, config, clock
        self._ordered: Config | None = None

    def tick(self, on: bool) -> None:  # noqa: FBT001
        """Whether timers run out; off, an election can be walked by hand. Lease reads ask the clock all the same."""
        self._clock(Timers.thaw if flag("on", on) else Timers.freeze)

    def heartbeat(self, on: bool) -> None:  # noqa: FBT001
        """Whether a leader sends heartbeats."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, enable_heartbeat=enable))

    def elect(self, on: bool) -> None:  # noqa: FBT001
        """Whether the node campaigns when it hears no leader."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, enable_elect=enable))

    def pre_vote(self, on: bool) -> None:  # noqa: FBT001
        """Whether it asks before it campaigns (dissertation §9.6)."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, pre_vote=enable))

    def configure(self, change: Callable[[Config], Config]) -> None:
        """Other settings, made of those of now; ``ConfigError`` where they make no sense."""
        now = self._config() if self._ordered is None else self._ordered
        wanted = instance("config", function("change", change)(now), Config).validated()
        self._ordered = wanted
        self._send_event(Configure(wanted))
