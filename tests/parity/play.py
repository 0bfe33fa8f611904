"""Plays a scenario in a world; the same lines go through the same code, whatever the world is made of."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar, assert_never

from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import NotLeader, PyraftError
from pyraft_lab.runtime.metrics import Metrics, leader_of
from tests.parity import language as words
from tests.parity.language import ANY, Ends, Error, Joint, Members, Scenario, Who

T = TypeVar("T")


class World(Protocol):
    """A cluster somewhere. Calls raise what a caller there would get; acts return once they are done."""

    @property
    def metrics(self) -> Mapping[NodeId, Metrics]:
        """What every node that is up says about itself."""
        ...

    async def until(self, predicate: Callable[[], T], what: str) -> T:
        """What ``predicate`` says, as soon as it is true."""
        ...

    async def machine(self, node: NodeId) -> Mapping[Any, Any]:
        """The table of a node."""
        ...

    def begin(self, call: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """See to it that a call is made now; it is awaited later."""
        ...

    def write(self, command: Any, at: NodeId | None, client: int, within: float) -> Coroutine[Any, Any, Any]:
        """A client writes."""
        ...

    def read(self, key: Any, at: NodeId | None, policy: Any, within: float) -> Coroutine[Any, Any, Any]:
        """A client reads."""
        ...

    async def initialize(self, voters: Iterable[NodeId], at: NodeId) -> None:
        """Found a cluster."""
        ...

    async def add_learner(self, node: Any) -> Membership | None:
        """Start a node, and let it receive the log."""
        ...

    def change(self, change: words.Change, at: NodeId | None) -> Coroutine[Any, Any, Membership | None]:
        """Change who votes."""
        ...

    async def transfer(self, to: NodeId, *, waits: bool) -> None:
        """Hand leadership over, and wait until it has arrived."""
        ...

    async def allow_revert(self, leader: NodeId, node: NodeId) -> None:
        """Let a follower start from nothing."""
        ...

    def elect(self, node: NodeId) -> None:
        """Let a node campaign."""

    def snapshot(self, node: NodeId) -> None:
        """Let a node build a snapshot."""

    def purge(self, node: NodeId, upto: Index) -> None:
        """Let a node forget entries."""

    async def kill(self, node: NodeId) -> None:
        """Stop a node."""
        ...

    async def restart(self, node: NodeId) -> None:
        """Start a node from its disk."""
        ...

    def wipe(self, node: NodeId) -> None:
        """Empty the disk of a dead node."""

    def pause(self, node: NodeId) -> None:
        """Stop a node's time."""

    def resume(self, node: NodeId) -> None:
        """Let it go on."""

    def partition(self, groups: list[set[NodeId]]) -> None:
        """Part groups of nodes."""

    def cut(self, src: NodeId, dst: NodeId) -> None:
        """Part two nodes, one way."""

    def heal(self) -> None:
        """Undo this."""


async def play(scenario: Scenario, world: World) -> tuple[list[Any], Ends | None]:
    """The answers, line by line, and how it ended."""
    performance = Performance(world)
    if scenario.initialize:
        await performance.settle()
    answers = [await performance.answer(act, expected) for act, expected in scenario.lines]
    return answers, await performance.ends() if scenario.settles else None


class Performance:
    """One scenario on its way: who has which name, which calls are not answered yet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names: dict[str, NodeId] = {}
        self.begun: dict[str, Awaitable[Any]] = {}

    async def answer(self, act: Any, expected: Any) -> Any:
        """What comes of an act: a value, the members, or an error."""
        try:
            result = await self.perform(act)
        except PyraftError as error:
            found = self._error(error)
            any_will_do = isinstance(expected, Error) and expected.leader == ANY
            return Error(found.kind, ANY) if any_will_do else found
        return _members(result) if isinstance(result, Membership) else result

    def _error(self, error: PyraftError) -> Error:
        if not isinstance(error, NotLeader) or error.leader is None:
            return Error(type(error))
        is_right = error.leader == leader_of(self.world.metrics)
        return Error(NotLeader, "leader" if is_right else f"node {error.leader}")

    async def perform(self, act: Any) -> Any:  # noqa: C901, PLR0912 (one line a word of the language)
        """Do it, with everybody called by his number."""
        match act:
            case words.Write() | words.Read() | words.Change():
                return await self._call(act, await self._maybe(act.at))
            case words.Begin(name, later):
                self.begun[name] = self.world.begin(self._call(later, await self._maybe(later.at)))
                await asyncio.sleep(0)
            case words.End(name):
                return await self.begun.pop(name)
            case words.Initialize(voters, at):
                await self.world.initialize(voters, at)
            case words.AddLearner(node):
                return await self.world.add_learner(node)
            case words.AllowRevert(node):
                await self.world.allow_revert(await self.find("leader"), await self.find(node))
            case words.Transfer(to, waits):
                await self.world.transfer(await self.find(to), waits=waits)
            case words.Kill(node):
                await self.world.kill(await self.find(node))
            case words.Restart(node):
                await self.world.restart(await self.find(node))
            case words.Wipe(node):
                self.world.wipe(await self.find(node))
            case words.Pause(node):
                self.world.pause(await self.find(node))
            case words.Resume(node):
                self.world.resume(await self.find(node))
            case words.Partition(groups):
                self.world.partition([{await self.find(node) for node in group} for group in groups])
            case words.Cut(src, dst):
                self.world.cut(await self.find(src), await self.find(dst))
            case words.Heal():
                self.world.heal()
            case words.Name(name, node):
                self.names[name] = await self.find(node)
            case _:
                await self._wait_for(act)
        return None

    def _call(self, act: words.Write | words.Read | words.Change, at: NodeId | None) -> Coroutine[Any, Any, Any]:
        match act:
            case words.Write(command, _, client, within):
                return self.world.write(command, at, client, within)
            case words.Read(key, _, policy, within):
                return self.world.read(key, at, policy, within)
            case words.Change():
                return self.world.change(act, at)
            case _:
                assert_never(act)

    async def _wait_for(self, act: Any) -> None:
        """Acts that are done when a node says so."""
        match act:
            case words.Elect(who):
                self.world.elect(await self.find(who))
            case words.Snapshot(who):
                node = await self.find(who)
                goal = self._of(node).applied
                self.world.snapshot(node)
                await self._until(lambda: self._of(node).snapshot >= goal, "the snapshot")
            case words.Purge(who):
                node = await self.find(who)
                goal = self._of(node).snapshot
                self.world.purge(node, goal.index)
                await self._until(lambda: self._of(node).purged >= goal, "the purge")
            case words.AwaitLeader(than):
                old = await self.find(than)
                await self._until(lambda: leader_of(self.world.metrics) not in (None, old), "another leader")
            case words.AwaitRole(who, role):
                node = await self.find(who)
                await self._until(lambda: self._of(node).role == role, f"node {node} as {role}")
            case words.AwaitAppended(who):
                node = await self.find(who)
                await self._until(lambda: self._of(node).last_log.index > self._of(node).committed, "an entry")
            case words.Settle():
                await self.settle()
            case _:
                assert_never(act)

    async def settle(self) -> NodeId:
        """Until every member that is up knows the leader, and has applied all of its log."""
        return await self._until(lambda: settled(self.world.metrics), "all members up to date")

    async def ends(self) -> Ends:
        """The one table all members hold, and who they are; ``AssertionError`` where they differ."""
        leader = await self.settle()
        now = self.world.metrics
        machines = [await self.world.machine(node) for node in members_up(leader, now)]
        assert all(machine == machines[0] for machine in machines), machines
        members = _members(now[leader].membership)
        assert isinstance(members, Members), members
        return Ends(machines[0], members)

    async def find(self, who: Who) -> NodeId:
        """The number of a node that a scenario calls by its role or name."""
        if isinstance(who, int) or who in self.names:
            return self.names[who] if isinstance(who, str) else who
        leader = await self._until(lambda: leader_of(self.world.metrics), "a leader")
        others = sorted(self._of(leader).membership.voters & {*self.world.metrics} - {leader})
        return {"leader": leader, **dict(zip(("follower", "other", "third", "fourth"), others, strict=False))}[who]

    async def _maybe(self, who: Who | None) -> NodeId | None:
        return None if who is None else await self.find(who)

    async def _until(self, predicate: Callable[[], T | None], what: str) -> T:
        found = await self.world.until(predicate, what)
        assert found is not None, "it was waited for"
        return found

    def _of(self, node: NodeId) -> Metrics:
        return self.world.metrics[node]


def settled(now: Mapping[NodeId, Metrics]) -> NodeId | None:
    """The leader, once all members that are up have all it has."""
    leader = leader_of(now)
    if leader is None or now[leader].membership.is_joint:
        return None
    goal = now[leader].last_log
    is_done = all(now[one].applied == goal and now[one].leader == leader for one in members_up(leader, now))
    return leader if is_done else None


def members_up(leader: NodeId, now: Mapping[NodeId, Metrics]) -> list[NodeId]:
    """The members that are up, as the leader's membership says."""
    return [node for node in now if node in now[leader].membership.nodes]


def _members(membership: Membership) -> Members | Joint:
    if membership.is_joint:
        return Joint(membership.configs)
    return Members(membership.voters, membership.learners)
