"""Raft, the handle that applications hold: start a node, write, read, change the membership, watch and stop it.

>>> raft = Raft(1, network=network, storage=storage, machine=KeyValue())  # doctest: +SKIP
>>> await raft.start(); await raft.initialize({1, 2, 3})  # doctest: +SKIP
>>> await raft.client_write({"op": "put", "key": "x", "value": 1})  # doctest: +SKIP
WriteResponse(log_id=LogId(term=1, node=1, index=3), value=None, membership=None)

Every method may be awaited from any event loop in any thread; the node itself stays on the loop of its start.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from pyraft_lab.arguments import (
    address,
    bounded_list,
    fitting,
    flag,
    function,
    instance,
    integer,
    node_id,
    seconds,
    text,
    voters,
)
from pyraft_lab.client.requests import Request
from pyraft_lab.command import encoded
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.events import (
    ChangeMembership,
    Event,
    Initialize,
    Precondition,
    ReadPolicy,
    leadership,
    read_policy,
)
from pyraft_lab.engine.log import Noop, Normal
from pyraft_lab.engine.membership import AddLearners, Addresses, Change, ChangeLike, Membership, as_change
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import LogId, NodeId, RequestId
from pyraft_lab.errors import BadCommand, OutcomeUnknown, Timeout
from pyraft_lab.loop_thread import LoopOwner
from pyraft_lab.machine import KeyValue, Rejected, Sessions, StateMachine
from pyraft_lab.network.base import Counters, Endpoint, MemoryNetwork, Network, cluster_of
from pyraft_lab.pending_requests import Outcome, WriteResponse, is_last_step, respond
from pyraft_lab.runtime.admin import Runtime, Trigger
from pyraft_lab.runtime.client_requests import ClientRequests
from pyraft_lab.runtime.driver import Driver
from pyraft_lab.runtime.hooks import Hook
from pyraft_lab.runtime.leadership import Callback, LeaderChangeCallback, watch_cluster_leader, watch_own_leadership
from pyraft_lab.runtime.lifecycle import NodeLifecycle
from pyraft_lab.runtime.metrics import Metrics, Wait, Watchers, has_caught_up, has_left, metrics_of
from pyraft_lab.runtime.recorder import Level, Observer, Recorder
from pyraft_lab.runtime.requests import Done, ExpectedLeader, OpenRequests, Payloads
from pyraft_lab.runtime.storage_use import StorageUse
from pyraft_lab.session import MAX_ANSWERS
from pyraft_lab.storage.base import Identity, Storage

T = TypeVar("T")


def _storage(given: Storage | None) -> Storage | None:
    advice = "SqliteStorage(directory) keeps it in a directory"
    return None if given is None else fitting("storage", given, Storage, advice=advice)


def _machine(given: StateMachine | None) -> StateMachine | Sessions:
    if given is None:
        return KeyValue()
    return given if isinstance(given, Sessions) else fitting("machine", given, StateMachine)


class Raft:
    """One node of a cluster and its operations (openraft Raft).

    ``storage`` belongs to this node of this ``cluster`` (a network may know the name) from its first start on; a node
    with another node's storage raises ``WrongStorage``, and nothing is changed. ``observers`` are called with a record
    of every step, or as the ``level`` says, on the node's own thread; ``reporter`` is shared by several nodes of one
    process. ``max_waiting`` bounds the open requests; further calls wait for room.

    No call waits forever. After the node has stopped a call raises ``Stopped``, ``Panicked``, ``StorageFailed`` or
    ``DuplicateNode``. After ``deadline`` seconds a write or a membership change raises ``OutcomeUnknown``, and any
    other call ``Timeout``; sooner if the node lost its leadership and cannot learn what happened to the entry.

    Your functions run here: ``observers``, and the arguments of ``with_state``, ``with_machine`` and ``wait().until``,
    on the node's own thread between two steps, so they must be fast; the hooks of ``on_leader_change`` and
    ``on_cluster_leader_change`` on the event loop where you registered them (:mod:`pyraft_lab.runtime.hooks`). An
    observer or a hook that raises is logged once and stops nothing.
    """

    trigger: Trigger
    """Acts at once: elect, heartbeat, snapshot, purge, transfer_leader, allow_next_revert."""
    runtime: Runtime
    """Switches: tick, heartbeat, elect, pre_vote."""

    def __init__(
        self,
        id: NodeId,
        *,
        config: Config | None = None,
        network: Network | None = None,
        storage: Storage | None = None,
        cluster: str | None = None,
        machine: StateMachine | None = None,
        rules: Rules = RAFT,
        observers: Sequence[Observer] = (),
        level: Level = "full",
        chance: random.Random | None = None,
        reporter: Recorder | None = None,
        max_waiting: int = 100_000,
        deadline: float = 30.0,
    ) -> None:
        self.id = node_id("id", id)
        self.config = Config.of(config)
        self.rules = instance("rules", rules, Rules)
        self.trigger = Trigger(self._tell, self._order_soon)
        self.runtime = Runtime(
            self._tell,
            lambda: self._lifecycle.running_driver().state.config,
            lambda act: self._lifecycle.call(lambda: act(self._lifecycle.running_driver().clock)),
        )
        self._network = MemoryNetwork() if network is None else fitting("network", network, Network)
        name = cluster_of(self._network) if cluster is None else text("cluster", cluster)
        self._use = StorageUse(_storage(storage), Identity(self.id, name))
        self._machine = Sessions.of(_machine(machine))
        self._max_waiting = integer("max_waiting", max_waiting, 1)
        self._chance = random.Random() if chance is None else instance("chance", chance, random.Random)
        self._reporter = (
            Recorder.of_process(observers, level=level)
            if reporter is None
            else instance("reporter", reporter, Recorder)
        )
        self._watchers = Watchers(lambda: self.metrics)
        self._deadline = seconds("deadline", deadline)
        self._lifecycle = NodeLifecycle(id, machine=self._machine, use=self._use, changed=self._watchers.changed)
        self._requests = ClientRequests(
            self._lifecycle, self._machine, ensure=self._ensure, max_waiting=self._max_waiting, deadline=deadline
        )

    def __repr__(self) -> str:
        now = self.metrics
        return f"<Raft {self.id}: {now.role} in term {now.term}, leader {now.leader}, applied {now.applied.index}>"

    # Start and end

    async def start(self) -> None:
        """Load the disk, join the network and start; raises what prevents it, and may then be called again.

        A ``Raft`` starts once: after ``shutdown()`` make a new one, with a new machine, on the same storage.
        """
        await self._lifecycle.start(self._inside)

    async def _inside(self) -> tuple[Driver, Endpoint]:
        """Make the parts of the running node and its network endpoint."""
        engine = raft(self.rules)
        state = engine.start(self.id, await self._use.begin(), self.config)
        driver = Driver(
            state,
            engine,
            storage=self._use.storage,
            machine=self._machine,
            chance=self._chance,
            reporter=self._reporter,
            deadline=self._deadline,
        )
        driver.changed = self._watchers.changed
        return driver, await self._network.join(self.id, driver)

    async def shutdown(self) -> None:
        """Stop the node and release network and storage; every waiting call, also ``start()``, raises ``Stopped``.

        A second call is no error.
        """
        await self._lifecycle.shutdown()

    def pause(self) -> None:
        """Suspend the node like a stopped process: input waits, and expired timers are not handled."""
        self._lifecycle.call(self._lifecycle.running_driver().pause)

    def resume(self) -> None:
        """Resume a paused node."""
        self._lifecycle.call(self._lifecycle.running_driver().resume)

    # Writes

    async def client_write(self, value: Any, *, leader: ExpectedLeader = None) -> WriteResponse:
        """Replicate a command and apply it; ``leader=(term, node)``: only in that leadership (openraft with_leader).

        Raises ``NotLeader`` or ``Overloaded`` (nothing happened), ``BadCommand`` (the machine refused it) or
        ``OutcomeUnknown`` (it may still happen). If the node ends meanwhile, ``OutcomeUnknown`` has the node's
        ``Fatal`` as its cause.
        """
        (outcome,) = await self._write((Normal(encoded(value)),), leadership("leader", leader))
        return respond(outcome, self.id)

    async def client_write_many(
        self, values: Iterable[Any], *, leader: ExpectedLeader = None
    ) -> tuple[WriteResponse, ...]:
        """Replicate commands as one batch; responses in the same order. Raises the error of the first that failed."""
        payloads = [Normal(encoded(value)) for value in bounded_list("values", values, MAX_ANSWERS)]
        outcomes = await self._write(payloads, leadership("leader", leader), "a batch of writes")
        return tuple(respond(outcome, self.id) for outcome in outcomes)

    async def write_blank(self) -> WriteResponse:
        """Commit an empty entry (no-op): a barrier after all earlier entries."""
        (outcome,) = await self._write((Noop(),))
        return respond(outcome, self.id)

    async def client_write_ff(self, value: Any) -> None:
        """Queue a command and return without waiting for its outcome."""
        await self._lifecycle.run(self._write_ff, Normal(encoded(value)))

    def _write(
        self, payloads: Payloads, leader: ExpectedLeader = None, what: str = "a write"
    ) -> Awaitable[Sequence[Outcome]]:
        return self._lifecycle.run(self._asked, OpenRequests.write, payloads, leader, what)

    async def _write_ff(self, payload: Normal) -> None:
        driver = await self._with_room()
        _ = driver.requests.write((payload,))  # nobody waits for it

    def _asked(self, ask: Callable[..., Done], *args: Any) -> Awaitable[Sequence[Outcome]]:
        """The outcomes of ``ask(requests, *args)``, which opens requests once there is room for them."""
        driver = self._lifecycle.running_driver()
        if len(driver.requests) < self._max_waiting:
            return ask(driver.requests, *args)
        return self._asked_later(ask, args)

    async def _asked_later(self, ask: Callable[..., Done], args: Sequence[Any]) -> Sequence[Outcome]:
        driver = await self._with_room()
        return await ask(driver.requests, *args)

    async def _with_room(self) -> Driver:
        """The running driver, once fewer than ``max_waiting`` requests are open."""
        driver = self._lifecycle.running_driver()
        if len(driver.requests) < self._max_waiting:
            return driver
        try:
            async with asyncio.timeout(self._deadline):
                await driver.requests.room(self._max_waiting)
        except TimeoutError:
            raise Timeout("room for one more request", self._deadline) from None
        return self._lifecycle.running_driver()

    # Reads

    async def ensure_linearizable(self, policy: ReadPolicy = "index") -> LogId:
        """Return once this node's machine holds every write acknowledged before the call (dissertation §6.4).

        Only the leader answers. Another node may use the returned id: once it has applied that entry
        (``wait().applied(id.index)``), it may serve the read as well, so followers can share the work.

        ``"index"`` first confirms the leadership with a majority. ``"lease"`` does not; it assumes that all clocks run
        equally fast within ``Config.clock_drift`` and go on while a process is paused (a suspended virtual machine
        breaks this). With ``Config.vote_lease`` off there are no leases, and it confirms the leadership too.
        """
        return await self._lifecycle.run(self._ensure, read_policy(policy))

    async def read(self, query: Any, *, policy: ReadPolicy = "index") -> Any:
        """A linearizable answer of the machine; only the leader answers; ``policy`` as in ``ensure_linearizable``."""
        return await self._lifecycle.run(self._read, query, read_policy(policy))

    async def _ensure(self, policy: ReadPolicy) -> LogId:
        (outcome,) = await self._asked(OpenRequests.read, policy)
        return respond(outcome, self.id).log_id

    async def _read(self, query: Any, policy: ReadPolicy) -> Any:
        await self._ensure(policy)
        answer = self._machine.query(query)
        if isinstance(answer, Rejected):
            raise BadCommand(answer.why)
        return answer

    async def serve(self, request: Request) -> Any:
        """The reply to a client's request (:mod:`pyraft_lab.client.requests`), whose commands were already checked.

        Raises the errors of writes and reads, and ``Overloaded`` instead of waiting for room.
        """
        return await self._lifecycle.run(self._requests.serve, request)

    # The cluster

    async def initialize(self, members: Iterable[NodeId] | Mapping[NodeId, str]) -> None:
        """Initialize a cluster with these voters: once, on one new node. Returns when it is on this node's disk."""
        nodes = voters("members", members)
        membership = Membership(configs=(frozenset(nodes),), nodes=Addresses(nodes))
        await self._lifecycle.run(self._order, lambda request: Initialize(request, membership))

    async def add_learner(self, id: NodeId, addr: str = "", blocking: bool = True) -> WriteResponse:  # noqa: FBT001, FBT002
        """Let a node receive the log; ``blocking`` waits until it lacks at most ``Config.learner_lag`` entries.

        If the node never answers, its lag is unknown. The call then waits as long as the node is a member and this node
        leads, and raises ``Timeout`` after the deadline. The node is a learner by then, and keeps catching up.
        """
        id, addr, blocking = node_id("id", id), address("addr", addr), flag("blocking", blocking)
        return await self._lifecycle.run(partial(self._add_learner, id, addr, blocking=blocking))

    async def change_membership(
        self,
        change: ChangeLike,
        retain: bool = False,  # noqa: FBT001, FBT002
        only_if: Precondition | None = None,
    ) -> WriteResponse:
        """Change the voters, through a joint membership if necessary; returns when the last step is committed.

        A plain set of ids replaces the voters; new voters must be learners before. ``retain`` keeps removed voters as
        learners. With ``Config.auto_leave`` off the call returns when the joint membership is committed, and the
        operator ends it by another change, such as ``Batch(())``.
        """
        guard = Precondition() if only_if is None else instance("only_if", only_if, Precondition).validated()
        return await self._lifecycle.run(
            partial(self._change, as_change(change), retain=flag("retain", retain), guard=guard)
        )

    async def _add_learner(self, id: NodeId, addr: str, *, blocking: bool) -> WriteResponse:
        response = await self._one_change(AddLearners({id: addr}), retain=True, guard=Precondition())
        if blocking and id != self.id:
            what = f"node {id} catching up (it is a learner now)"
            await self._watchers.until(lambda now: self._has_caught_up(now, id), what, self._deadline)
        return response

    def _has_caught_up(self, now: Metrics, id: NodeId) -> bool:
        """Whether the wait is over: the node caught up, was removed, or this node no longer leads."""
        if now.running is not None:
            return False  # the caller gets the reason
        if now.role != "leader" or id not in now.membership.nodes:
            return True
        return has_caught_up(now, id, self.config.learner_lag)

    async def _change(self, change: Change, *, retain: bool, guard: Precondition) -> WriteResponse:
        response = await self._one_change(change, retain=retain, guard=guard)
        membership = response.membership
        if membership is None or is_last_step(membership, self._lifecycle.running_driver().state.config):
            return response
        return await self._left_joint(response.log_id)

    async def _left_joint(self, joint: LogId) -> WriteResponse:
        """Wait until the leader has ended a joint membership; a deposed leader may be removed and never learn of it."""
        now = await self._seen(lambda now: has_left(now, joint) or now.role != "leader", joint, self._deadline)
        if not has_left(now, joint):
            now = await self._seen(lambda now: has_left(now, joint), joint, self._lifecycle.running_driver().grace)
        return WriteResponse(log_id=now.membership_id, membership=now.membership)

    async def _seen(self, what: Callable[[Metrics], bool], joint: LogId, seconds: float) -> Metrics:
        try:
            return await self._watchers.until(lambda now: now.running is None and what(now), "", seconds)
        except Timeout:
            raise OutcomeUnknown(f"the joint membership {joint} did not end within {seconds:g} s") from None

    async def _one_change(self, change: Change, *, retain: bool, guard: Precondition) -> WriteResponse:
        return await self._order(
            lambda request: ChangeMembership(request=request, change=change, retain=retain, guard=guard)
        )

    async def _order(self, event: Callable[[RequestId], Event]) -> WriteResponse:
        """Send the event of one request to the engine, and wait for its response."""
        (outcome,) = await self._asked(OpenRequests.order, event)
        return respond(outcome, self.id)

    # Observation

    @property
    def metrics(self) -> Metrics:
        """The node's metrics now; usable from any thread."""
        driver, over = self._lifecycle.driver, self._lifecycle.ended
        if driver is None:
            return Metrics(id=self.id, running=over)
        return metrics_of(driver.state, driver.applier.applied, over, began=driver.clock.began, raised=driver.raised)

    @property
    def counters(self) -> Counters:
        """What passed this node's endpoint: messages, frames, bytes, and garbage that was dropped."""
        return Counters() if self._lifecycle.endpoint is None else self._lifecycle.endpoint.counters

    def wait(self, timeout: float | None = None) -> Wait:
        """Wait for the metrics: ``await raft.wait(2.0).leader()``; ``timeout`` in seconds, then ``Timeout``."""
        end = None if timeout is None else seconds("timeout", timeout)

        async def until(predicate: Callable[[Metrics], bool], what: str) -> Metrics:
            return await self._lifecycle.run(self._watchers.until, predicate, f"node {self.id}: {what}", end)

        return Wait(until)

    def watch(self) -> AsyncGenerator[Metrics, None]:
        """Yield the metrics now and after every change, until the node ends."""
        if self._lifecycle.home is None:
            self._lifecycle.running_driver()  # says what to do
        return (self._lifecycle.home or LoopOwner()).stream(self._watchers.stream())

    async def with_state(self, look: Callable[[RaftState], T]) -> T:
        """The result of ``look(state)`` on the engine's state, on the node's thread; its error is raised here."""
        function("look", look)

        async def visit() -> T:
            return look(self._lifecycle.running_driver().state)

        return await self._lifecycle.run(visit)

    async def with_machine(self, act: Callable[[Any], T]) -> T:
        """The result of ``act(machine)`` between two commands; it must not change the machine.

        It runs on the node's thread, and its error is raised here. A change would make this copy differ from the
        others.
        """
        function("act", act)

        async def visit() -> T:
            self._lifecycle.running_driver()
            return act(self._machine.machine)

        return await self._lifecycle.run(visit)

    def on_leader_change(self, start: Callback, stop: Callback) -> None:
        """Call ``start(metrics)`` when this node becomes the leader and ``stop(metrics)`` when it no longer is.

        The two alternate strictly; an awaitable result is awaited. They run on the event loop of this call, or in a
        thread of their own if no loop runs here, and never delay the node or its heartbeats. A hook that raises is
        logged once and stops nothing. May be called before ``start()``.
        """
        begins = Hook(function("start", start), "the start hook of on_leader_change")
        ends = Hook(function("stop", stop), "the stop hook of on_leader_change")
        self._lifecycle.keep_running(lambda: watch_own_leadership(self._watchers, begins, ends))

    def on_cluster_leader_change(self, change: LeaderChangeCallback) -> None:
        """Call ``change(old, new)`` when this node learns of a new leader: a :class:`Vote`, or ``None`` if unknown.

        The first call comes at once if a leader is known. It runs and is awaited as above; changes during a call are
        reported as one. Ends with the node.
        """
        hook = Hook(function("change", change), "the hook of on_cluster_leader_change")
        self._lifecycle.keep_running(lambda: watch_cluster_leader(self._watchers, hook))

    def _tell(self, event: Event) -> None:
        self._lifecycle.call(lambda: self._lifecycle.running_driver().queue_event(event))

    def _order_soon(self, event: Callable[[RequestId], Event]) -> "Future[WriteResponse]":
        return self._lifecycle.submit(self._order, event)
