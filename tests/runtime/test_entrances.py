"""Whatever is given to a live node, its client or its cluster, it is refused by name, and the cluster writes on."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Precondition
from pyraft_lab.engine.membership import AddVoters, Batch, SetNodes
from pyraft_lab.errors import BadCommand, ConfigError, EmptyMembership, PreconditionFailed, UnknownNode
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.recorder import Recorder
from pyraft_lab.storage.memory import MemoryStorage
from tests.absurd import NAN, NO_ADDRESS, NO_CHANGE, NO_FLAG, NO_ID, NO_INDEX, NO_MEMBERS, NO_NUMBER, NO_POLICY, NO_TIME

PUT = {"op": "put", "key": "x", "value": 1}
INCR = {"op": "incr", "key": "n"}
NO_WAIT = tuple(value for value in NO_TIME if value is not None)
NO_LEADERSHIP: Sequence[Any] = ("x", 5, (1,), (1, 2, 3), (-1, 1), (1, 0), (1, "a"), (True, 1), {})
NO_FUNCTION = (None, "x", 5)
NO_LOG_ID = ("x", None, 5, (1, 2, 3))
NO_LIST = ("abc", b"abc", PUT, 5, None)

Act = Callable[[Any, Any], Any]

HANDLE: Mapping[str, tuple[Act, Sequence[Any]]] = {
    "add_learner": (lambda raft, value: raft.add_learner(value), NO_ID),
    "add_learner, addr": (lambda raft, value: raft.add_learner(4, value), NO_ADDRESS),
    "add_learner, blocking": (lambda raft, value: raft.add_learner(4, "", value), NO_FLAG),
    "change_membership": (lambda raft, value: raft.change_membership(value), (*NO_CHANGE, set(), [])),
    "change_membership, address": (
        lambda raft, value: raft.change_membership(Batch((SetNodes({1: value}),))),
        NO_ADDRESS,
    ),
    "change_membership, address of a voter": (
        lambda raft, value: raft.change_membership(AddVoters({3: value})),
        NO_ADDRESS,
    ),
    "change_membership, retain": (lambda raft, value: raft.change_membership({1, 2, 3}, value), NO_FLAG),
    "change_membership, only_if": (
        lambda raft, value: raft.change_membership({1, 2, 3}, only_if=value),
        ("x", 5, (1, 2), {}, Precondition(leader=(-1, 1))),
    ),
    "initialize": (lambda raft, value: raft.initialize(value), (*NO_MEMBERS, set(), {})),
    "read": (lambda raft, value: raft.read("x", policy=value), (*NO_POLICY, "local")),
    "ensure_linearizable": (lambda raft, value: raft.ensure_linearizable(value), (*NO_POLICY, "local")),
    "client_write, leader": (lambda raft, value: raft.client_write(PUT, leader=value), NO_LEADERSHIP),
    "client_write_many": (lambda raft, value: raft.client_write_many(value), NO_LIST),
    "client_write_many, leader": (lambda raft, value: raft.client_write_many([PUT], leader=value), NO_LEADERSHIP),
    "elect": (lambda raft, value: raft.trigger.elect(pre_vote=value), NO_FLAG),
    "purge": (lambda raft, value: raft.trigger.purge(value), NO_INDEX),
    "transfer_leader": (lambda raft, value: raft.trigger.transfer_leader(value), NO_ID),
    "allow_next_revert": (lambda raft, value: raft.trigger.allow_next_revert(value), NO_ID),
    "tick": (lambda raft, value: raft.runtime.tick(value), NO_FLAG),
    "heartbeat": (lambda raft, value: raft.runtime.heartbeat(value), NO_FLAG),
    "elect, switch": (lambda raft, value: raft.runtime.elect(value), NO_FLAG),
    "pre_vote": (lambda raft, value: raft.runtime.pre_vote(value), NO_FLAG),
    "configure": (lambda raft, value: raft.runtime.configure(value), (*NO_FUNCTION, lambda _: None, lambda _: {})),
    "wait": (lambda raft, value: raft.wait(value), NO_WAIT),
    "wait, leader": (lambda raft, value: raft.wait(1).leader(value), [one for one in NO_ID if one is not None]),
    "wait, role": (lambda raft, value: raft.wait(1).role(value), ("bogus", None, 5, ["leader"])),
    "wait, applied": (lambda raft, value: raft.wait(1).applied(value), NO_INDEX),
    "wait, log": (lambda raft, value: raft.wait(1).log(value), NO_INDEX),
    "wait, committed": (lambda raft, value: raft.wait(1).committed(value), NO_INDEX),
    "wait, quorum_acked": (lambda raft, value: raft.wait(1).quorum_acked(value), NO_NUMBER),
    "wait, voters": (lambda raft, value: raft.wait(1).voters(value), NO_CHANGE),
    "wait, snapshot": (lambda raft, value: raft.wait(1).snapshot(value), NO_LOG_ID),
    "wait, purged": (lambda raft, value: raft.wait(1).purged(value), NO_LOG_ID),
    "wait, until": (lambda raft, value: raft.wait(1).until(value), NO_FUNCTION),
    "on_leader_change": (lambda raft, value: raft.on_leader_change(value, print), NO_FUNCTION),
    "on_leader_change, stop": (lambda raft, value: raft.on_leader_change(print, value), NO_FUNCTION),
    "on_cluster_leader_change": (lambda raft, value: raft.on_cluster_leader_change(value), NO_FUNCTION),
    "with_state": (lambda raft, value: raft.with_state(value), NO_FUNCTION),
    "with_machine": (lambda raft, value: raft.with_machine(value), NO_FUNCTION),
}
CLUSTER: Mapping[str, tuple[Act, Sequence[Any]]] = {
    "add_learner": (lambda cluster, value: cluster.add_learner(value), NO_ID),
    "add_learner, blocking": (lambda cluster, value: cluster.add_learner(4, blocking=value), NO_FLAG),
    "change_membership": (lambda cluster, value: cluster.change_membership(value), (*NO_CHANGE, set())),
    "change_membership, retain": (lambda cluster, value: cluster.change_membership({1, 2}, retain=value), NO_FLAG),
    "transfer": (lambda cluster, value: cluster.transfer(value), NO_ID),
    "transfer, timeout": (lambda cluster, value: cluster.transfer(1, value), NO_TIME),
    "wait_leader": (lambda cluster, value: cluster.wait_leader(value), NO_TIME),
    "allow_next_revert": (lambda cluster, value: cluster.allow_next_revert(value), NO_ID),
    "pause": (lambda cluster, value: cluster.pause(value), NO_ID),
    "resume": (lambda cluster, value: cluster.resume(value), NO_ID),
    "kill": (lambda cluster, value: cluster.kill(value), NO_ID),
    "restart": (lambda cluster, value: cluster.restart(value), NO_ID),
    "raft": (lambda cluster, value: cluster.raft(value), NO_ID),
    "partition": (lambda cluster, value: cluster.partition({1}, value), (*NO_MEMBERS, {1}, {2, 1})),
    "cut, src": (lambda cluster, value: cluster.cut(value, 2), (*NO_ID, 2)),
    "cut, dst": (lambda cluster, value: cluster.cut(1, value), (*NO_ID, 1)),
    "weather, loss": (lambda cluster, value: cluster.weather(loss=value), (*NO_NUMBER, 1.1)),
    "weather, delay": (
        lambda cluster, value: cluster.weather(delay=value),
        ("x", 1, None, (NAN, 1), (1, NAN), (0.2, 0.1), (-1, 2), (1,), ("a", "b"), (0, 1e10)),
    ),
    "new_client": (lambda cluster, value: cluster.new_client(deadline=value), (*NO_TIME, None)),
    "client, deadline": (lambda cluster, value: setattr(cluster.client, "deadline", value), (*NO_TIME, None)),
    "client.read": (lambda cluster, value: cluster.client.read("x", policy=value), (*NO_POLICY, "local")),
    "client.write_many": (lambda cluster, value: cluster.client.write_many(value), NO_LIST),
}


async def check(subject: Any, entrances: Mapping[str, tuple[Act, Sequence[Any]]]) -> None:
    for name, (act, values) in entrances.items():
        for value in values:
            with pytest.raises((ConfigError, EmptyMembership)):  # noqa: PT012 (some are awaited, some are not)
                done = act(subject, value)
                if done is not None:
                    await done
                pytest.fail(f"{name} took {value!r}")


async def test_an_argument_that_makes_no_sense_never_harms_a_cluster() -> None:
    async with LocalCluster(3) as cluster, asyncio.timeout(60):
        leader = await cluster.wait_leader()
        term = cluster.metrics[leader].term
        await check(cluster.raft(leader), HANDLE)
        assert await cluster.client.write(INCR) == 1
        await check(cluster, CLUSTER)
        assert await cluster.client.write(INCR) == 2
        assert (await cluster.wait_leader(), cluster.metrics[leader].term) == (leader, term)
        assert set(cluster.nodes) == {1, 2, 3}


async def test_a_cluster_of_processes_refuses_the_same_before_it_does_anything() -> None:
    """It was never entered: an entrance that looked at its arguments too late would say that it is not running."""
    at_home = {"raft", "client, deadline", "client.read", "client.write_many"}
    entrances = {name: entrance for name, entrance in CLUSTER.items() if name not in at_home}
    await check(LocalCluster(3, processes=True), entrances)


async def test_a_client_takes_no_deadline_that_is_none() -> None:
    class Nowhere:
        def nodes(self) -> Sequence[int]:
            return ()

    door: Any = Nowhere()
    for value in (*NO_TIME, None):
        for knob in ("deadline", "attempt"):
            with pytest.raises(ConfigError, match=knob):
                Client(door, **{knob: value})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", NO_ID),
        ("config", ("x", {}, Config)),
        ("rules", (None, "RAFT", {})),
        ("max_waiting", (None, 0, -1, "x", True)),
        ("level", (None, "all", 5)),
        ("deadline", (*NO_TIME, None)),
        ("network", (5, "mqtt://127.0.0.1", MemoryNetwork, MemoryStorage())),
        ("storage", ("data", 5, MemoryStorage, KeyValue())),
        ("machine", (5, "KeyValue", KeyValue, MemoryStorage())),
        ("cluster", (5, b"x", "\ud800")),
        ("observers", (None, 5, "x", [1], {print: 1})),
        ("chance", (5, "x", Random)),
        ("reporter", (5, print, Recorder)),
    ],
)
def test_a_handle_is_made_of_sensible_things(field: str, values: Sequence[Any]) -> None:
    for value in values:
        settings: dict[str, Any] = {"id": 1, field: value}
        with pytest.raises(ConfigError, match=field):
            Raft(settings.pop("id"), **settings)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("nodes", ("five", -1, 0, True, None, 1.5, {1, 2}, 10**9)),
        ("config", ("x", {}, Config)),
        ("rules", (None, "RAFT")),
        ("machine", (None, "KeyValue", KeyValue())),
        ("processes", ("yes", 1, None)),
        ("network", (None, 5, "bogus", "", "http://127.0.0.1", MemoryNetwork())),
        ("storage", (None, 5, "", Path(), KeyValue())),
        ("observers", (None, 5, "x", [1])),
        ("name", (None, 5, "a/b", "#", "", "a b")),
        ("trace", (0, -1, "x", True)),
        ("level", (None, "all")),
    ],
)
def test_a_local_cluster_is_made_of_sensible_things(field: str, values: Sequence[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=field):
            LocalCluster(**{field: value})
        with pytest.raises(ConfigError, match=field):
            LocalCluster(**{"processes": True, field: value})


async def test_a_name_of_nobody_is_refused_by_a_live_cluster_too() -> None:
    async with LocalCluster(3) as cluster:
        leader = await cluster.wait_leader()
        with pytest.raises(PreconditionFailed, match="node 99"):
            await cluster.raft(leader).trigger.transfer_leader(99)
        acts: list[Callable[[], object]] = [lambda: cluster.cut(1, 99), lambda: cluster.partition({1, 99})]
        for act in acts:
            with pytest.raises(UnknownNode):
                act()
        await cluster.raft(leader).trigger.transfer_leader(leader)
        assert await cluster.client.write(INCR) == 1


async def test_what_no_node_could_apply_is_refused_before_anybody_is_asked() -> None:
    async with LocalCluster(1) as cluster:
        await cluster.wait_leader()
        last = cluster.metrics[1].last_log
        for command in (object(), 2**64, b"\xc1\x95\x01\xcf\x40" + bytes(7) + b"\x01\x00\xc0", b"", b"\x91" * 200):
            with pytest.raises(BadCommand):
                await cluster.raft(1).client_write(command)
        with pytest.raises(BadCommand):
            await cluster.client.write(object())
        assert cluster.metrics[1].last_log == last


class Falsy(KeyValue):
    """A machine that is empty, and says so."""

    def __len__(self) -> int:
        return len(self.data)


class Shelf(MemoryStorage):
    """A disk that is empty, and says so."""

    def __len__(self) -> int:
        return len(self.disk.log)


async def test_a_machine_and_a_disk_that_are_empty_are_used_all_the_same() -> None:
    machine, shelf = Falsy(), Shelf()
    raft = Raft(1, machine=machine, storage=shelf)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(10).leader()
    await raft.client_write(PUT)
    assert await raft.with_machine(lambda mine: mine) is machine
    await raft.shutdown()
    assert len(shelf) > 0
    assert machine.data == {"x": 1}


async def test_a_handle_takes_a_machine_behind_sessions_of_its_own() -> None:
    sessions: Any = Sessions(KeyValue(), expiry=5)
    raft = Raft(1, machine=sessions)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(10).leader()
    await raft.client_write(PUT)
    assert await raft.with_machine(lambda mine: mine) is sessions.machine
    await raft.shutdown()
