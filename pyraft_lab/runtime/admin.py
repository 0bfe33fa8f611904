"""Operator commands for one node: triggers, which act once, and switches, which stay until switched back."""

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
    """A command that was sent; await it to learn whether it succeeded (it raises if not), or ignore it."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wrap_future(self._future).__await__()


class Trigger:
    """Commands that act at once, from any thread; a command that makes no sense now has no effect."""

    def __init__(self, tell: SendEvent, send_request: SendRequest) -> None:
        self._send_event, self._send_request = tell, send_request

    def elect(self, *, pre_vote: bool = False) -> None:
        """Campaign now; ``pre_vote`` first asks the other voters whether this node could win."""
        self._send_event(Elect(pre_vote=flag("pre_vote", pre_vote)))

    def heartbeat(self) -> None:
        """Send a round of heartbeats now."""
        self._send_event(SendHeartbeat())

    def snapshot(self) -> None:
        """Build a snapshot now, unless one is already being built."""
        self._send_event(BuildSnapshot())

    def purge(self, upto: Index) -> None:
        """Delete log entries up to index ``upto``, as far as a snapshot covers them."""
        self._send_event(PurgeLog(integer("upto", upto, what="an index")))

    def transfer_leader(self, to: NodeId) -> Pending:
        """Transfer leadership to a voter (dissertation §3.10)."""
        target = node_id("to", to)
        return Pending(self._send_request(lambda request: TransferLeader(request, target)))

    def allow_next_revert(self, node: NodeId) -> Pending:
        """On the leader: confirm that ``node`` lost its log and may start from nothing, once.

        Only an operator can know that this loses no entry: every acknowledged entry must be on the disks of the others.
        It is always safe to remove the node from the voters and to add it again.
        """
        peer = node_id("node", node)
        return Pending(self._send_request(lambda request: AllowRevert(request, peer)))


class Runtime:
    """Switches that stay until they are switched back; usable from any thread (openraft RuntimeConfigHandle)."""

    def __init__(
        self, tell: SendEvent, config: Callable[[], Config], clock: Callable[[Callable[[Timers], None]], None]
    ) -> None:
        self._send_event, self._config, self._clock = tell, config, clock
        self._ordered: Config | None = None

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._config()

    def tick(self, on: bool) -> None:  # noqa: FBT001
        """Whether timers fire; switch it off to step through an election by hand. Lease reads still use the clock."""
        self._clock(Timers.thaw if flag("on", on) else Timers.freeze)

    def heartbeat(self, on: bool) -> None:  # noqa: FBT001
        """Whether a leader sends heartbeats."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, enable_heartbeat=enable))

    def elect(self, on: bool) -> None:  # noqa: FBT001
        """Whether the node campaigns when it hears from no leader."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, enable_elect=enable))

    def pre_vote(self, on: bool) -> None:  # noqa: FBT001
        """Whether the node asks for pre-votes before it campaigns (dissertation §9.6)."""
        enable = flag("on", on)
        self.configure(lambda now: replace(now, pre_vote=enable))

    def configure(self, change: Callable[[Config], Config]) -> None:
        """Replace the node's settings by ``change(settings)``; ``ConfigError`` if the result is not valid."""
        now = self._config() if self._ordered is None else self._ordered
        wanted = instance("config", function("change", change)(now), Config).validated()
        self._ordered = wanted
        self._send_event(Configure(wanted))
