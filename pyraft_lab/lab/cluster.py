"""The sessions of live clusters: a tape that grows, and actions that are carried out at once.

You can view the past of a live cluster, but you cannot act in it.
"""

import asyncio
import sys
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

from msgspec.structs import replace

from pyraft_lab.concurrency import has_threads
from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.actions import (
    AddLearner,
    ChangeMembership,
    Crash,
    Cut,
    Delay,
    Drop,
    Heal,
    Partition,
    Pause,
    Read,
    Restart,
    Resume,
    TakeSnapshot,
    TimeOut,
    Transfer,
    Write,
)
from pyraft_lab.lab.holding import (
    AtGate,
    Freeze,
    Gate,
    Hold,
    LiveAction,
    Release,
    ReleaseAll,
    Thaw,
    parse_live_action,
    tags,
)
from pyraft_lab.lab.recording import CHUNK
from pyraft_lab.lab.session import RecordedSession
from pyraft_lab.lab.wire import Act, ChunkNews, Failure, GateNews, Go, Header, Json, Timeline, Update
from pyraft_lab.network.remote_gate import RemoteGate
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.clusters import Cluster
from pyraft_lab.trace.record import MessageId
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    from pyraft_lab.runtime.trace_stream import FollowedTrace

MAX_EVENTS = 50_000
"""The maximum number of events of a live tape; the oldest are dropped, and the tape shows how many."""
GOES = 160 * CHUNK
"""The number of events that are dropped at once."""
ENDED = "the cluster has ended: you can view its tape, but not change it"


class LiveSession(RecordedSession):
    """A running cluster: ``grow`` adds new events, and the drawing sends orders."""

    def __init__(self, trace: Trace, gate: Gate) -> None:
        self._source, self._gate = trace, gate
        self._failures: SimpleQueue[str] = SimpleQueue()
        self._running: set[asyncio.Task[None]] = set()
        self._dropped = 0
        self.max_events, self.goes = MAX_EVENTS, GOES
        super().__init__(trace)
        self._sent_gate = self.gate()

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether more may happen."""

    @property
    @abstractmethod
    def about(self) -> Json:
        """The title of the header, and the actions that the drawing ``can`` offer."""

    @abstractmethod
    def held(self) -> list[MessageId]:
        """The held messages that the tape knows, so that both show the same moment."""

    @abstractmethod
    def carry_out(self, action: LiveAction) -> None:
        """Carry out an action, or start it."""

    def header(self) -> Header:
        """Everything that is drawn once."""
        header = super().header()
        self._sent["main"] = (self._dropped, header.timelines[0].count)
        header = replace(header, **self.about, live=True, gate=self.gate())
        return header if self.is_alive else self.ended(header)

    @staticmethod
    def ended(header: Header) -> Header:
        """The header after the end of the cluster."""
        return replace(header, live=False, can=(), over=ENDED)

    def gate(self) -> GateNews:
        """Whether messages are held, and which ones."""
        return GateNews(closed=self._gate.is_closed, frozen=False, held=tuple(self.held()))

    def grow(self) -> Iterator[Update]:
        """Add the events since the last call; return the messages for the drawing."""
        before = len(self._recording)
        for record in self._numbered.add(self._source.records):
            self._recording.trace(record)
            self._tape.add_record(record)
        if len(self._recording) > before:
            newest = (len(self._recording) - 1) // CHUNK
            for number in range(
                max(before // CHUNK, newest - 1), newest + 1
            ):  # the drawing asks for others when it needs them
                yield ChunkNews("main", self.chunk("main", number))
            yield self.updates("main")
        if len(self._recording) > self.max_events:
            self._let_go(self.goes)
            yield self.updates("main")
        yield from self._gate_update()
        while not self._failures.empty():
            yield Failure(self._failures.get())

    def _let_go(self, events: int) -> None:
        """Drop the oldest events and renumber the others."""
        self._recording = self._recording.later(events)
        self._tape = self._tape.later(events, self._recording.trace.records[0].time)
        self._numbered.forget(events, self._source.records)
        self._dropped += events
        branch, event, time = self.place
        self.place = (branch, max(0, event - events), time)

    def timeline(self, branch: str) -> Timeline:
        """The whole kept run; its version increases each time the oldest events are dropped."""
        return replace(super().timeline(branch), version=self._dropped, kept=0, gone=self._dropped)

    def _gate_update(self) -> Iterator[Update]:
        now = self.gate()
        if now != self._sent_gate:
            self._sent_gate = now
            yield now

    def carry_out_action(self, act: Act) -> Iterator[Update]:
        """Carry out an order now, even if the drawing shows the past; then show the newest moment."""
        if not self.is_alive:
            raise PyraftError(ENDED)
        self.carry_out(parse_live_action(act.order))
        yield from self.grow()
        yield Go("main", len(self._recording) - 1)

    def at_gate(self, action: AtGate) -> None:
        """Hold messages, or decide about one that is held."""
        match action:
            case Hold():
                self._gate.close()
            case ReleaseAll():
                self._gate.open()
            case Release(message):
                self._gate.release(self._numbered.message_id(message))
            case Drop(message):
                self._gate.drop(self._numbered.message_id(message))
            case Delay(message, seconds):
                self._gate.delay(self._numbered.message_id(message), seconds)

    def start(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a long action beside the caller, in a thread if there are threads; ``grow`` reports a failure."""
        if has_threads():
            Thread(target=lambda: asyncio.run(self._attempt(work)), name="order of a lab", daemon=True).start()
        else:
            task = asyncio.get_running_loop().create_task(self._attempt(work))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def finish(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a brief action to its end; without threads, start it."""
        if has_threads():
            asyncio.run(work())
        else:
            self.start(work)

    async def _attempt(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await work()
        except PyraftError as error:
            self._failures.put(str(error))
        except asyncio.CancelledError:
            pass  # the cluster has ended meanwhile


class FollowedSession(LiveSession):
    """A remote cluster, followed over a broker: its tape, and the gates of nodes started with ``--weather``."""

    def __init__(self, trace: "FollowedTrace") -> None:
        self._followed = trace
        super().__init__(trace, RemoteGate(trace.publish))

    @property
    def is_alive(self) -> bool:
        """Whether it is still followed."""
        return self._followed.is_open

    @property
    def about(self) -> Json:
        """The header: its name, and the orders that its gates accept."""
        return {"title": f"cluster {self._followed.cluster}, followed over MQTT", "can": tags(get_args(AtGate))}

    def held(self) -> list[MessageId]:
        """The messages that were sent and did not arrive, while the gates are closed."""
        return list(self._recording.view(len(self._recording) - 1).flying) if self._gate.is_closed else []

    def carry_out(self, action: LiveAction) -> None:
        """Refuse everything except orders to the gates."""
        if not isinstance(action, AtGate):
            raise PyraftError(
                "a followed cluster can only be viewed, and its messages held; for other actions ask its owner"
            )
        self.at_gate(action)


class ClusterSession(LiveSession):
    """A cluster in this process, or in processes that this process started."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._is_frozen = False
        is_far = not isinstance(cluster, LocalCluster)
        self._acts: Acts = QUICK if is_far else {**QUICK, **NEAR}
        self._at_once = AT_ONCE
        self._waits: Waits = {**SLOW, Write: write_in_a_session if is_far else write}
        super().__init__(cluster.trace, gate_of(cluster))

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._cluster.is_running

    @property
    def about(self) -> Json:
        """The header, with the possible actions."""
        return {"title": "live cluster", "can": tags([*self._at_once, *self._acts, *self._waits, *get_args(AtGate)])}

    def gate(self) -> GateNews:
        """Whether messages are held, and whether the timers are frozen."""
        return replace(super().gate(), frozen=self._is_frozen)

    def held(self) -> list[MessageId]:
        """The held messages; for other processes, the messages that were sent and did not arrive."""
        if not isinstance(self._cluster, LocalCluster):
            return list(self._recording.view(len(self._recording) - 1).flying) if self._gate.is_closed else []
        waiting = self._cluster.gate.held
        flying = self._recording.view(len(self._recording) - 1).flying if waiting else {}
        numbers = (self._numbered.number(held.id) for held in waiting)
        return [number for number in numbers if number is not None and number in flying]

    def carry_out(self, action: LiveAction) -> None:
        """Carry out an action; client calls continue in the background. Not on the cluster's own thread."""
        if isinstance(action, AtGate):
            self.at_gate(action)
        elif type(action) in self._waits:
            self.start(lambda: self._waits[type(action)](self._cluster, action))
        elif type(action) in self._at_once:
            self.finish(lambda: self._carry_out_at_once(action))
        elif type(action) in self._acts:
            self._acts[type(action)](self._cluster, action)
            self._keep_frozen(action)
        else:
            raise PyraftError(
                f"the Lab cannot do this to a live cluster: {type(action).__name__}; call the cluster's own methods"
            )

    async def _carry_out_at_once(self, action: LiveAction) -> None:
        await self._at_once[type(action)](self._cluster, action)
        self._keep_frozen(action)

    def _keep_frozen(self, action: LiveAction) -> None:
        """Freeze the timers of a restarted node if all timers are frozen."""
        if isinstance(action, (Freeze, Thaw)):
            self._is_frozen = isinstance(action, Freeze)
        elif isinstance(action, Restart) and self._is_frozen:
            NEAR[Freeze](self._cluster, Freeze())


def gate_of(cluster: Cluster) -> Gate:
    """The gate between the nodes: in this process, or over the broker in each of their processes."""
    trace = cluster.trace
    if isinstance(cluster, LocalCluster):
        return cluster.gate
    if is_followed(trace):
        return RemoteGate(trace.publish)
    raise PyraftError("this cluster records no trace; create it with trace=20_000 and start it before the Lab")


Acts = Mapping[type[Any], Callable[[Any, Any], object]]
Waits = Mapping[type[Any], Callable[[Any, Any], Coroutine[Any, Any, object]]]
AT_ONCE: Waits = {
    Crash: lambda cluster, order: cluster.kill(order.node),
    Restart: lambda cluster, order: cluster.restart(order.node),
}
"""Actions that are awaited, and finish at once."""
QUICK: Acts = {
    Partition: lambda cluster, order: cluster.partition(set(order.nodes)),
    Cut: lambda cluster, order: [cluster.cut(src, dst) for src, dst in (order.nodes, order.nodes[::-1])],
    Heal: lambda cluster, _: cluster.heal(),
    Pause: lambda cluster, order: cluster.pause(order.node),
    Resume: lambda cluster, order: cluster.resume(order.node),
}
"""Actions that finish at once."""
NEAR: Acts = {
    TimeOut: lambda cluster, order: cluster.raft(order.node).trigger.elect(pre_vote=cluster.config.pre_vote),
    TakeSnapshot: lambda cluster, order: cluster.raft(order.node).trigger.snapshot(),
    Freeze: lambda cluster, _: cluster.freeze(),
    Thaw: lambda cluster, _: cluster.thaw(),
}
"""Actions that need the nodes in this process."""
SLOW: Waits = {
    Read: lambda cluster, order: cluster.new_client().read(order.key),
    AddLearner: lambda cluster, order: cluster.add_learner(order.node),
    ChangeMembership: lambda cluster, order: cluster.change_membership(set(order.nodes)),
    Transfer: lambda cluster, order: cluster.transfer(order.node),
}
"""Actions that wait: for a majority, for a new leader, or for an open gate."""


async def write(cluster: LocalCluster, action: Write) -> None:
    """Send the command to the leader directly: a session would first send a read."""
    await cluster.raft(await cluster.wait_leader()).client_write(command(action))


async def write_in_a_session(cluster: Cluster, action: Write) -> None:
    """The same if the leader is in another process."""
    await cluster.new_client().write(command(action))


def command(action: Write) -> Json:
    """The command for the key-value machine."""
    return {"op": "put", "key": action.key, "value": action.value}


def is_followed(trace: Trace) -> "TypeGuard[FollowedTrace]":
    """Whether a trace comes over a broker; none does if its module is not loaded."""
    stream = sys.modules.get("pyraft_lab.runtime.trace_stream")
    return stream is not None and isinstance(trace, stream.FollowedTrace)
