"""The desks of what is alive: a tape that grows as things happen, and orders that are carried out now.

The past of a live cluster can be looked at as often as one likes, but there is no acting in it.
"""

import asyncio
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeGuard, get_args

from msgspec.structs import replace

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
from pyraft_lab.lab.wire import Act, ChunkNews, Failure, GateNews, Go, Header, Json, Timeline, Told
from pyraft_lab.network.remote_gate import RemoteGate
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.clusters import Cluster
from pyraft_lab.trace.record import MessageId
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    from pyraft_lab.runtime.trace_stream import FollowedTrace

MAX_EVENTS = 50_000
"""Events a live tape holds; of more the oldest go, and the tape says how many went."""
GOES = 160 * CHUNK
"""How many of them go at once."""
ENDED = "the cluster has ended: its tape can be looked at, not changed"


class LiveSession(RecordedSession):
    """A run that goes on: more of it with every ``grow``, and orders from the drawing."""

    def __init__(self, trace: Trace, gate: Gate) -> None:
        self._source, self._gate = trace, gate
        self._failures: SimpleQueue[str] = SimpleQueue()
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
        """The board's title, and what the drawing ``can`` order."""

    @abstractmethod
    def held(self) -> list[MessageId]:
        """The messages that wait before the gate, and that the tape knows: one picture, not two taken at two times."""

    @abstractmethod
    def carry_out(self, action: LiveAction) -> None:
        """Do it now, or start to."""

    def header(self) -> Header:
        """Everything that is drawn once."""
        header = super().header()
        self._sent["main"] = (self._dropped, header.timelines[0].count)
        header = replace(header, **self.about, live=True, gate=self.gate())
        return header if self.is_alive else self.ended(header)

    @staticmethod
    def ended(board: Header) -> Header:
        """What the header says once the cluster has ended."""
        return replace(board, live=False, can=(), over=ENDED)

    def gate(self) -> GateNews:
        """Whether messages are held, and which."""
        return GateNews(closed=self._gate.is_closed, frozen=False, held=tuple(self.held()))

    def grow(self) -> Iterator[Told]:
        """Take in what has happened since; what to tell the drawing of it."""
        before = len(self._recording)
        for record in self._numbered.add(self._source.records):
            self._recording.trace(record)
            self._tape.add_record(record)
        if len(self._recording) > before:
            newest = (len(self._recording) - 1) // CHUNK
            for number in range(max(before // CHUNK, newest - 1), newest + 1):  # others are asked for when needed
                yield ChunkNews("main", self._recording.chunk(number))
            yield self.updates("main")
        if len(self._recording) > self.max_events:
            self._let_go(self.goes)
            yield self.updates("main")
        yield from self._gate_update()
        while not self._failures.empty():
            yield Failure(self._failures.get())

    def _let_go(self, events: int) -> None:
        """Forget the oldest events, and count the others anew."""
        self._recording = self._recording.later(events)
        self._tape = self._tape.later(events, self._recording.trace.records[0].time)
        self._numbered.forget(events, self._source.records)
        self._dropped += events
        branch, event, time = self.place
        self.place = (branch, max(0, event - events), time)

    def timeline(self, branch: str) -> Timeline:
        """The whole run that is still there; another version each time the oldest events went."""
        return replace(super().timeline(branch), version=self._dropped, kept=0, gone=self._dropped)

    def _gate_update(self) -> Iterator[Told]:
        now = self.gate()
        if now != self._sent_gate:
            self._sent_gate = now
            yield now

    def carry_out_action(self, act: Act) -> Iterator[Told]:
        """Carry out an order now, whatever moment is shown; then show the newest one."""
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

    def start(self, work: Callable[[], object]) -> Thread:
        """Do what may take long on a thread of its own; should it fail, ``grow`` tells."""

        def attempt() -> None:
            try:
                work()
            except PyraftError as error:
                self._failures.put(str(error))
            except asyncio.CancelledError:
                pass  # the cluster has ended meanwhile

        thread = Thread(target=attempt, name="order of a lab", daemon=True)
        thread.start()
        return thread


class FollowedSession(LiveSession):
    """A cluster elsewhere, followed over a broker: its tape, and the gates of nodes started with ``--weather``."""

    def __init__(self, trace: "FollowedTrace") -> None:
        self._followed = trace
        super().__init__(trace, RemoteGate(trace.publish))

    @property
    def is_alive(self) -> bool:
        """Whether it is still followed."""
        return self._followed.is_open

    @property
    def about(self) -> Json:
        """Its name, and that its messages can be held."""
        return {"title": f"cluster {self._followed.cluster}, followed over MQTT", "can": tags(get_args(AtGate))}

    def held(self) -> list[MessageId]:
        """Whatever left and did not arrive, while the gates are closed."""
        return list(self._recording.view(len(self._recording) - 1).flying) if self._gate.is_closed else []

    def carry_out(self, action: LiveAction) -> None:
        """Nothing but what a gate can do."""
        if not isinstance(action, AtGate):
            raise PyraftError("a cluster that is followed can be looked at, and its messages be held; ask its owner")
        self.at_gate(action)


class ClusterSession(LiveSession):
    """A cluster of this process, or one of processes that were started from here."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._is_frozen = False
        is_far = not isinstance(cluster, LocalCluster)
        self._acts: Acts = QUICK if is_far else {**QUICK, **NEAR}
        self._waits: Acts = {**SLOW, Write: write_in_a_session if is_far else write}
        super().__init__(cluster.trace, gate_of(cluster))

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._cluster.is_running

    @property
    def about(self) -> Json:
        """What can be done to it."""
        return {"title": "live cluster", "can": tags([*self._acts, *self._waits, *get_args(AtGate)])}

    def gate(self) -> GateNews:
        """Whether messages are held, and whether the clocks stand still."""
        return replace(super().gate(), frozen=self._is_frozen)

    def held(self) -> list[MessageId]:
        """What waits before the gate; of other processes what left and did not arrive."""
        if not isinstance(self._cluster, LocalCluster):
            return list(self._recording.view(len(self._recording) - 1).flying) if self._gate.is_closed else []
        waiting = self._cluster.gate.held
        flying = self._recording.view(len(self._recording) - 1).flying if waiting else {}
        numbers = (self._numbered.number(held.id) for held in waiting)
        return [number for number in numbers if number is not None and number in flying]

    def carry_out(self, action: LiveAction) -> None:
        """Do it now; clients' calls go on by themselves. Not on the cluster's own thread."""
        if isinstance(action, AtGate):
            self.at_gate(action)
        elif type(action) in self._waits:
            self.start(lambda: self._waits[type(action)](self._cluster, action))
        elif type(action) in self._acts:
            self._acts[type(action)](self._cluster, action)
            self._keep_frozen(action)
        else:
            raise PyraftError(
                f"a live cluster does not do this from here: {type(action).__name__}; ask its own methods"
            )

    def _keep_frozen(self, action: LiveAction) -> None:
        """Who starts anew starts frozen, where all are."""
        if isinstance(action, (Freeze, Thaw)):
            self._is_frozen = isinstance(action, Freeze)
        elif isinstance(action, Restart) and self._is_frozen:
            NEAR[Freeze](self._cluster, Freeze())


def gate_of(cluster: Cluster) -> Gate:
    """What holds messages between its nodes: here, or over the broker in each of their processes."""
    trace = cluster.trace
    if isinstance(cluster, LocalCluster):
        return cluster.gate
    if is_followed(trace):
        return RemoteGate(trace.publish)
    raise PyraftError("nothing is followed of this cluster; make it with trace=20_000 and begin it before the Lab")


Acts = Mapping[type[Any], Callable[[Any, Any], object]]
QUICK: Acts = {
    Crash: lambda cluster, order: asyncio.run(cluster.kill(order.node)),
    Restart: lambda cluster, order: asyncio.run(cluster.restart(order.node)),
    Partition: lambda cluster, order: cluster.partition(set(order.nodes)),
    Cut: lambda cluster, order: [cluster.cut(src, dst) for src, dst in (order.nodes, order.nodes[::-1])],
    Heal: lambda cluster, _: cluster.heal(),
    Pause: lambda cluster, order: cluster.pause(order.node),
    Resume: lambda cluster, order: cluster.resume(order.node),
}
"""What is done at once."""
NEAR: Acts = {
    TimeOut: lambda cluster, order: cluster.raft(order.node).trigger.elect(pre_vote=cluster.config.pre_vote),
    TakeSnapshot: lambda cluster, order: cluster.raft(order.node).trigger.snapshot(),
    Freeze: lambda cluster, _: cluster.freeze(),
    Thaw: lambda cluster, _: cluster.thaw(),
}
"""What needs the nodes' handles, which are in their processes."""
SLOW: Acts = {
    Read: lambda cluster, order: asyncio.run(cluster.new_client().read(order.key)),
    AddLearner: lambda cluster, order: asyncio.run(cluster.add_learner(order.node)),
    ChangeMembership: lambda cluster, order: asyncio.run(cluster.change_membership(set(order.nodes))),
    Transfer: lambda cluster, order: asyncio.run(cluster.transfer(order.node)),
}
"""What waits for others: a majority, a new leader, whoever opens the gate."""


def write(cluster: LocalCluster, action: Write) -> None:
    """Hand the leader the command at once: a session would begin with a read, which is not what one wants to see."""

    async def attempt() -> None:
        await cluster.raft(await cluster.wait_leader()).client_write(command(action))

    asyncio.run(attempt())


def write_in_a_session(cluster: Cluster, action: Write) -> None:
    """Where the leader's handle is in another process."""
    asyncio.run(cluster.new_client().write(command(action)))


def command(action: Write) -> Json:
    """What the key-value machine understands."""
    return {"op": "put", "key": action.key, "value": action.value}


def is_followed(trace: Trace) -> "TypeGuard[FollowedTrace]":
    """Whether a trace comes over a broker; where its module was never needed, none does."""
    stream = sys.modules.get("pyraft_lab.runtime.trace_stream")
    return stream is not None and isinstance(trace, stream.FollowedTrace)
