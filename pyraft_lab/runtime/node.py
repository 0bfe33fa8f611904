"""Raft, the handle that applications hold: start a node, write, read, change its cluster, watch it, stop it.

>>> raft = Raft(1, network=network, storage=storage, machine=KeyValue())  # doctest: +SKIP
>>> await raft.start(); await raft.initialize({1, 2, 3})  # doctest: +SKIP
>>> await raft.client_write({"op": "put", "key": "x", "value": 1})  # doctest: +SKIP
WriteResponse(log_id=LogId(term=1, node=1, index=3), value=None, membership=None)

Every method may be awaited from any event loop and any thread's loop; the node itself stays where it was started.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from copy import copy
from typing import Any, TypeVar

from pyraft_lab.command import encode
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.events import ChangeMembership, Event, Guard, Initialize, ReadPolicy
from pyraft_lab.engine.log import Blank, Normal
from pyraft_lab.engine.membership import AddLearners, Addresses, Batch, Change, ChangeLike, Membership, as_change
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import RaftState
from pyraft_lab.engine.types import LogId, NodeId, RequestId
from pyraft_lab.errors import BadCommand, Fatal, PyraftError, Stopped
from pyraft_lab.home import Home
from pyraft_lab.ledger import Failed, MayRead, to_error
from pyraft_lab.machine import KeyValue, Rejected, Sessions, StateMachine
from pyraft_lab.network.base import Counters, Endpoint, MemoryNetwork, Network
from pyraft_lab.runtime.metrics import Metrics, Wait, Watchers, metrics_of
from pyraft_lab.runtime.office import Callback, Succession, follow_leader, follow_office
from pyraft_lab.runtime.orders import Runtime, Trigger
from pyraft_lab.runtime.owner import Fence, Owner, cause_of_death
from pyraft_lab.runtime.reporter import Level, Observer, Reporter
from pyraft_lab.runtime.responses import WriteResponse, respond
from pyraft_lab.storage.base import Storage
from pyraft_lab.storage.memory import MemoryStorage

T = TypeVar("T")


class Raft:
    """One node of a cluster, and what one may ask of it (openraft Raft).

    ``observers`` are called with a record of every step, or as the ``level`` says, on the node's own thread;
    ``reporter`` is for several nodes of one process. ``max_waiting`` bounds the requests on their way; who makes more
    waits for room. No call hangs after the node has stopped: it raises ``Stopped``, ``Panicked``,
    ``StorageFailed`` or ``DuplicateNode``.
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
        machine: StateMachine | None = None,
        rules: Rules = RAFT,
        observers: Sequence[Observer] = (),
        level: Level = "full",
        chance: random.Random | None = None,
        reporter: Reporter | None = None,
        max_waiting: int = 100_000,
    ) -> None:
        self.id = id
        self.config = (config or Config()).validated()
        self.rules = rules
        self.trigger = Trigger(self._tell, self._order_soon)
        self.runtime = Runtime(
            self._tell,
            lambda: self._alive().state.config,
            lambda act: self._at_home_now(lambda: act(self._alive().clock)),
        )
        self._network = network or MemoryNetwork()
        self._storage = storage or MemoryStorage()
        self._machine = Sessions(machine or KeyValue())
        self._max_waiting, self._chance = max_waiting, chance or random.Random()
        self._reporter = reporter or Reporter.of_process(observers, level=level)
        self._watchers = Watchers(lambda: self.metrics)
        self._home: Home | None = None
        self._owner: Owner | None = None
        self._endpoint: Endpoint | None = None
        self._life: asyncio.Task[None] | None = None
        self._over: Fatal | None = None
        self._company: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def __repr__(self) -> str:
        now = self.metrics
        return f"<Raft {self.id}: {now.role} in term {now.term}, leader {now.leader}, applied {now.applied.index}>"

    # From birth to death

    async def start(self) -> None:
        """Load the disk, join the network, begin; raises what prevents it. A node starts once."""
        if self._owner is not None or self._over is not None:
            raise PyraftError(f"node {self.id} was started before; make a new Raft on the same storage")
        self._home = Home()
        try:
            engine = raft(self.rules)
            state = engine.start(self.id, await self._storage.load(), self.config)
            owner = Owner(
                state,
                engine,
                storage=self._storage,
                machine=self._machine,
                chance=self._chance,
                reporter=self._reporter,
            )
            owner.changed = self._watchers.changed
            self._endpoint = await self._network.join(self.id, owner)
        except BaseException:
            await self._storage.close()
            raise
        self._owner = owner
        self._life = asyncio.create_task(self._live(owner, self._endpoint), name=f"raft node {self.id}")
        await owner.began.wait()
        for work in self._company:
            owner.attend(work())

    async def shutdown(self) -> None:
        """Stop, and let go of network and storage; every waiting call gets ``Stopped``. Twice is no error."""
        if self._home is not None:
            await self._home.run(self._shutdown())

    async def _shutdown(self) -> None:
        if self._life is not None and not self._life.done():
            self._life.cancel()
            await asyncio.wait([self._life])

    async def _live(self, owner: Owner, endpoint: Endpoint) -> None:
        """The node's life; however it ends, nobody is left waiting and nothing is left open."""
        try:
            await owner.run(endpoint)
        except BaseException as ended:  # noqa: BLE001 (it is told to everybody who waits)
            self._over = cause_of_death(self.id, ended)
        finally:
            self._over = self._over or Stopped(self.id)
            owner.requests.fail(self._over)
            self._watchers.changed()
            await endpoint.close()
            await self._storage.close()

    # Writing

    async def client_write(self, value: Any, *, leader: Fence = None) -> WriteResponse:
        """Replicate a command and apply it; ``leader=(term, node)`` only under that leadership (openraft with_leader).

        Raises ``NotLeader`` or ``Overloaded`` (nothing happened), ``BadCommand`` (the machine refused it),
        ``OutcomeUnknown`` (it may yet happen).
        """
        return await self._at_home(self._write(_payload(value), leader))

    async def client_write_many(self, values: Iterable[Any], *, leader: Fence = None) -> tuple[WriteResponse, ...]:
        """Replicate commands as one batch; the responses are in order, an error is that of the first that failed."""
        return await self._at_home(self._write_many([_payload(value) for value in values], leader))

    async def write_blank(self) -> WriteResponse:
        """Commit an entry that says nothing: a barrier behind everything before it."""
        return await self._at_home(self._write(Blank(), None))

    async def client_write_ff(self, value: Any) -> None:
        """Fire and forget: returns once the command is queued here."""
        await self._at_home(self._write_ff(_payload(value)))

    async def _write(self, payload: Normal | Blank, leader: Fence) -> WriteResponse:
        (done,) = (await self._with_room()).write((payload,), leader)
        return respond(await done, self.id)

    async def _write_many(self, payloads: Sequence[Normal], leader: Fence) -> tuple[WriteResponse, ...]:
        outcomes = [await done for done in (await self._with_room()).write(payloads, leader)]
        return tuple(respond(outcome, self.id) for outcome in outcomes)

    async def _write_ff(self, payload: Normal) -> None:
        (await self._with_room()).write((payload,))

    async def _with_room(self) -> Owner:
        """The node's inside, once it has room for more requests."""
        owner = self._alive()
        if len(owner.requests) >= self._max_waiting:
            await owner.requests.room(self._max_waiting)
        return self._alive()

    # Reading

    async def ensure_linearizable(self, policy: ReadPolicy = "index") -> LogId:
        """Return once this node's machine holds all that was acknowledged before the call (dissertation §6.4).

        Only the leader answers. The id it returns may travel: who has applied that far (``wait().applied(id.index)``)
        may serve the read as well, so followers can share the work.

        ``"index"`` asks a majority first. ``"lease"`` asks nobody; it assumes clocks that run equally fast within
        ``Config.clock_drift`` and go on while a process is paused (not so in a virtual machine that is suspended).
        """
        return await self._at_home(self._ensure(policy))

    async def read(self, query: Any, *, policy: ReadPolicy = "index") -> Any:
        """Ask the machine, linearizably; only the leader answers. ``policy`` as in :meth:`ensure_linearizable`."""
        return await self._at_home(self._read(query, policy))

    async def _ensure(self, policy: ReadPolicy) -> LogId:
        done = (await self._with_room()).read(policy)
        match await done:
            case MayRead(_, at):
                return at
            case Failed(_, failure):
                raise to_error(failure, self.id)
            case other:
                raise AssertionError(f"a read cannot end as {other}")

    async def _read(self, query: Any, policy: ReadPolicy) -> Any:
        await self._ensure(policy)
        answer = self._machine.query(query)
        if isinstance(answer, Rejected):
            raise BadCommand(answer.why)
        return answer

    # The cluster

    async def initialize(self, members: Iterable[NodeId] | Mapping[NodeId, str]) -> None:
        """Found a cluster of these voters: once, on one pristine node. Returns when it is on this node's disk."""
        nodes = dict(members) if isinstance(members, Mapping) else dict.fromkeys(members, "")
        membership = Membership(configs=(frozenset(nodes),), nodes=Addresses(nodes))
        await self._at_home(self._order(lambda request: Initialize(request, membership)))

    async def add_learner(self, id: NodeId, addr: str = "", blocking: bool = True) -> WriteResponse:  # noqa: FBT001, FBT002
        """Let a node receive the log; ``blocking`` waits until it lacks at most ``Config.learner_lag`` entries.

        Of a node that never answered that is not known: it waits for that as long as the node is a member and this one
        leads.
        """
        return await self._at_home(self._add_learner(id, addr, blocking=blocking))

    async def change_membership(
        self,
        change: ChangeLike,
        retain: bool = False,  # noqa: FBT001, FBT002
        only_if: Guard | None = None,
    ) -> WriteResponse:
        """Change who votes, through a joint membership where it takes one; returns when the last step is committed.

        A plain set of ids replaces the voters; new ones must be learners before. ``retain`` keeps as learners the
        voters that leave.
        """
        return await self._at_home(self._change(as_change(change), retain=retain, guard=only_if or Guard()))

    async def _add_learner(self, id: NodeId, addr: str, *, blocking: bool) -> WriteResponse:
        response = await self._one_change(AddLearners({id: addr}), retain=True, guard=Guard())
        if blocking and id != self.id:
            await self._watchers.until(lambda now: self._has_caught_up(now, id), f"node {id} catching up", None)
        return response

    def _has_caught_up(self, now: Metrics, id: NodeId) -> bool:
        """Or there is no use in waiting: the node was removed, or this one leads no more."""
        if now.running is not None:
            return False  # and who waits is told what ended it
        if now.role != "leader" or id not in now.membership.nodes:
            return True
        matched = now.replication.get(id, 0)  # 0: it never answered, and however short the log, nothing is known of it
        return matched > 0 and now.last_log.index - matched <= self.config.learner_lag

    async def _change(self, change: Change, *, retain: bool, guard: Guard) -> WriteResponse:
        response = await self._one_change(change, retain=retain, guard=guard)
        membership = response.membership
        if membership is None or not membership.is_joint:
            return response
        if not self._alive().state.config.auto_leave:
            safe = Guard(leader=response.log_id.leader, membership=response.log_id)
            return await self._one_change(Batch(()), retain=retain, guard=safe)
        return await self._left_joint(response.log_id)

    async def _left_joint(self, joint: LogId) -> WriteResponse:
        """The leader ends a joint membership by itself; wait until that is committed."""
        now = await self._watchers.until(
            lambda now: now.membership_id > joint and now.committed >= now.membership_id.index, "leaving it", None
        )
        return WriteResponse(log_id=now.membership_id, membership=now.membership)

    async def _one_change(self, change: Change, *, retain: bool, guard: Guard) -> WriteResponse:
        return await self._order(
            lambda request: ChangeMembership(request=request, change=change, retain=retain, guard=guard)
        )

    async def _order(self, event: Callable[[RequestId], Event]) -> WriteResponse:
        """Ask for something that one request stands for."""
        done = (await self._with_room()).order(event)
        return respond(await done, self.id)

    # Looking

    @property
    def metrics(self) -> Metrics:
        """The node at this moment; from any thread."""
        if self._owner is None:
            return Metrics(id=self.id, running=self._over)
        owner = self._owner
        return metrics_of(owner.state, owner.machinist.applied, self._over, began=owner.clock.began)

    @property
    def counters(self) -> Counters:
        """What passed this node's end of the network: letters, frames, bytes, and garbage that was dropped."""
        return Counters() if self._endpoint is None else self._endpoint.counters

    def wait(self, timeout: float | None = None) -> Wait:
        """Wait for the metrics to say something: ``await raft.wait(2.0).leader()``; ``Timeout`` after these seconds."""

        async def until(predicate: Callable[[Metrics], bool], what: str) -> Metrics:
            return await self._at_home(self._watchers.until(predicate, f"node {self.id}: {what}", timeout))

        return Wait(until)

    def watch(self) -> AsyncGenerator[Metrics, None]:
        """The metrics now and whenever they change, until the node is over."""
        return self._need_home().stream(self._watchers.stream())

    async def with_state(self, look: Callable[[RaftState], T]) -> T:
        """What ``look`` finds in the engine's state."""

        async def visit() -> T:
            return look(self._alive().state)

        return await self._at_home(visit())

    async def with_machine(self, act: Callable[[Any], T]) -> T:
        """What ``act`` does with the machine between two commands; to change it there would break replication."""

        async def visit() -> T:
            self._alive()
            return act(self._machine.machine)

        return await self._at_home(visit())

    def on_leader_change(self, start: Callback, stop: Callback) -> None:
        """Call ``start(metrics)`` when this node begins to lead and ``stop(metrics)`` when it has ceased to.

        They alternate strictly; what they return is awaited if it can be. An exception in one of them stops the node
        (``Panicked``): an application that missed its change of office must not go on. It may be asked for before
        ``start()``.
        """
        self._accompany(lambda: follow_office(self._watchers, start, stop))

    def on_cluster_leader_change(self, change: Succession) -> None:
        """Call ``change(old, new)`` when this node learns who leads now: a :class:`Vote`, or ``None`` for nobody.

        At once for a leader it knows. Awaited as above; changes during a call are told as one. Ends with the node.
        """
        self._accompany(lambda: follow_leader(self._watchers, change))

    def _accompany(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let work go on for as long as the node lives, or is going to live."""
        if self._owner is None and self._over is None:
            self._company.append(work)
        else:
            self._at_home_now(lambda: self._alive().attend(work()))

    # Home

    def _alive(self) -> Owner:
        """The node's inside, or what ended it."""
        if self._over is not None:
            raise copy(self._over)  # one error raised twice would drag all its tracebacks along
        if self._owner is None:
            raise PyraftError(f"node {self.id} has not been started; await start() first")
        return self._owner

    def _at_home(self, work: Coroutine[Any, Any, T]) -> Awaitable[T]:
        """Await ``work`` on the node's own loop."""
        try:
            self._alive()
        except PyraftError:
            work.close()
            raise
        return self._need_home().run(work)

    def _at_home_now(self, act: Callable[[], T]) -> T:
        self._alive()
        return self._need_home().call(act)

    def _tell(self, event: Event) -> None:
        self._at_home_now(lambda: self._alive().tell(event))

    def _order_soon(self, event: Callable[[RequestId], Event]) -> "Future[WriteResponse]":
        self._alive()
        return self._need_home().submit(self._order(event))

    def _need_home(self) -> Home:
        assert self._home is not None, "a started node has a home"
        return self._home


def _payload(value: Any) -> Normal:
    """A command as the log keeps it; bytes are taken as they are."""
    return Normal(value if isinstance(value, bytes) else encode(value))
