"""Whatever a learner gives a simulation, it is refused by name before anything happens, or it is carried out."""

from collections.abc import Callable
from typing import Any

import pytest

from pyraft_lab.check.campaign import run_campaign
from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.shrink import shrink
from pyraft_lab.concurrency import Serial
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.events import Precondition
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Membership,
    RemoveLearners,
    RemoveVoters,
    ReplaceNodes,
    ReplaceVoters,
    SetNodes,
    as_change,
)
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import ConfigError, EmptyMembership, PyraftError, UnknownNode
from pyraft_lab.machine import KeyValue
from pyraft_lab.sim.conditions import Link, Weather
from pyraft_lab.sim.disk import DiskFaults
from pyraft_lab.sim.faults.generate import run_with_faults
from pyraft_lab.sim.faults.plan import AnyFault, Crash, Drift, Partition, Pause, Plan, Skew
from pyraft_lab.sim.faults.run import run_plan
from pyraft_lab.sim.safety import Safety
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.workload import Load
from pyraft_lab.sim.world import Call, Query
from tests.absurd import (
    DEEP,
    INF,
    NAN,
    NO_CHANGE,
    NO_FLAG,
    NO_ID,
    NO_INDEX,
    NO_MEMBERS,
    NO_NUMBER,
    NO_POLICY,
    NO_TIME,
    nested,
)

PUT = {"op": "put", "key": "x", "value": 1}
NO_ID_OR_NONE = tuple(value for value in NO_ID if value is not None)
NO_COUNT = ("five", -1, True, None, 1.5, NAN, 10**9, 2**63, {0}, {"a"}, {True}, {-1}, {1.5}, b"12", [None], {1: 2})

Act = Callable[[Any, Any], object]
ENTRANCES: list[tuple[str, Act, tuple[Any, ...]]] = [
    ("crash", lambda sim, value: sim.crash(value), NO_ID),
    ("crash, torn", lambda sim, value: sim.crash(1, torn=value), (*NO_NUMBER, 1.1)),
    ("restart", lambda sim, value: sim.restart(value), NO_ID),
    ("pause", lambda sim, value: sim.pause(value), NO_ID),
    ("resume", lambda sim, value: sim.resume(value), NO_ID),
    ("elect", lambda sim, value: sim.elect(value), NO_ID),
    ("elect, pre_vote", lambda sim, value: sim.elect(1, pre_vote=value), NO_FLAG),
    ("beat", lambda sim, value: sim.beat(value), NO_ID),
    ("snapshot", lambda sim, value: sim.snapshot(value), NO_ID),
    ("purge", lambda sim, value: sim.purge(value, upto=1), NO_ID),
    ("purge, upto", lambda sim, value: sim.purge(1, upto=value), NO_INDEX),
    ("configure", lambda sim, value: sim.configure(value, Config()), NO_ID),
    ("configure, config", lambda sim, value: sim.configure(1, value), (None, {}, "x", Config)),
    ("drift", lambda sim, value: sim.drift(value, 1.5), NO_ID),
    ("drift, rate", lambda sim, value: sim.drift(1, value), (*NO_NUMBER, 0, 1e4)),
    ("skew", lambda sim, value: sim.skew(value, 1.5), NO_ID),
    ("fork", lambda sim, value: sim.fork(value), ("x", b"x", NAN, INF, -1.5, 10**400, [1], (), {}, True, 1j, DEEP)),
    ("branch, name", lambda sim, value: sim.branch(value), (None, 5, b"x", [], {}, "\ud800", DEEP)),
    ("moments", lambda sim, value: sim.moments(value), (None, 5, "x", [], {}, DEEP)),
    ("jump", lambda sim, value: sim.jump(value), (None, 5, "x", [], {}, DEEP)),
    ("jump, after", lambda sim, value: sim.jump("term", after=value), ("x", NAN, [1], True, DEEP)),
    ("diff, other", lambda sim, value: sim.diff(value), (None, 5, "x", [], Simulation, DEEP)),
    ("again, without", lambda sim, value: sim.again(without=value), (None, 5, "12", {"a"}, [1.5], {0}, DEEP)),
    ("decide, decision", lambda sim, value: sim.decide(value), (None, 5, "Crash", Crash, {}, DEEP)),
    ("force, action", lambda sim, value: sim.force(value, 0), (None, 5, "Crash", Crash, {}, DEEP)),
    ("force, at", lambda sim, value: sim.force(sim.pending[0], value), NO_INDEX),
    ("redo, action", lambda sim, value: sim.redo(value), (None, 5, "x", {}, DEEP)),
    ("wait, until", lambda sim, value: sim.wait(value), NO_INDEX),
    ("call", lambda sim, value: sim.call(value), (None, 5, "x", {}, Call, DEEP)),
    ("skew, seconds", lambda sim, value: sim.skew(1, value), ("x", None, NAN, INF, True, 1e10)),
    ("spoil", lambda sim, value: sim.spoil(value), NO_ID),
    ("spoil, slow", lambda sim, value: sim.spoil(1, slow=value), NO_NUMBER),
    ("spoil, full", lambda sim, value: sim.spoil(1, full=value), NO_FLAG),
    ("spoil, corrupt", lambda sim, value: sim.spoil(1, corrupt=value), NO_INDEX),
    ("spoil, lying", lambda sim, value: sim.spoil(1, lying=value), NO_FLAG),
    ("mend", lambda sim, value: sim.mend(value), NO_ID),
    ("partition", lambda sim, value: sim.partition({1}, {value} if value != [1] else value), NO_ID),
    ("partition, groups", lambda sim, value: sim.partition({1}, value), ("12", 5, None, {1: 2}, b"1", {1}, [2, 1])),
    ("partition, name", lambda sim, value: sim.partition({1}, name=value), (None, 5, b"x")),
    ("cut, src", lambda sim, value: sim.cut(value, 2), (*NO_ID, 2)),
    ("cut, dst", lambda sim, value: sim.cut(1, value), (*NO_ID, 1)),
    ("heal", lambda sim, value: sim.heal(value), (1, "12", None, (1,), (1, 2, 3), (1, "a"), (1, 1), {1, 2})),
    ("drop", lambda sim, value: sim.drop(value), NO_INDEX),
    ("duplicate", lambda sim, value: sim.duplicate(value), NO_INDEX),
    ("delay", lambda sim, value: sim.delay(value, 1), NO_INDEX),
    ("delay, seconds", lambda sim, value: sim.delay(1, value), (*NO_TIME, None)),
    ("add_node", lambda sim, value: sim.add_node(value), NO_ID),
    ("add_learner", lambda sim, value: sim.add_learner(value), NO_ID),
    ("change_membership", lambda sim, value: sim.change_membership(value), (*NO_CHANGE, set(), [])),
    ("change_membership, retain", lambda sim, value: sim.change_membership({1}, retain=value), NO_FLAG),
    ("change_membership, guard", lambda sim, value: sim.change_membership({1}, guard=value), ("x", None, {}, (1, 2))),
    ("transfer", lambda sim, value: sim.transfer(value), NO_ID),
    ("allow_revert", lambda sim, value: sim.allow_revert(value), NO_ID),
    ("initialize", lambda sim, value: sim.initialize(value, 1), (*NO_MEMBERS, set())),
    ("initialize, at", lambda sim, value: sim.initialize({1}, value), NO_ID),
    ("write, to", lambda sim, value: sim.write(PUT, to=value), NO_ID_OR_NONE),
    ("write, client", lambda sim, value: sim.write(PUT, client=value), ("x", None, 1.5, True, 2**53)),
    ("read, to", lambda sim, value: sim.read("x", to=value), NO_ID_OR_NONE),
    ("read, policy", lambda sim, value: sim.read("x", policy=value), NO_POLICY),
    ("read", lambda sim, value: sim.read(value), (object(), 3 + 4j, "\ud800", 2**70, nested(5000))),
    ("run_until", lambda sim, value: sim.run_until(value), (3, None, "x", True)),
    ("run_with_faults, level", run_with_faults, (3, None, "harsh", [], True)),
    ("run_with_faults, seconds", lambda sim, value: run_with_faults(sim, "light", value), (*NO_TIME, None)),
    ("run_with_faults, load", lambda sim, value: run_with_faults(sim, "light", load=value), (3, "x", Load)),
    ("run_with_faults, quiet", lambda sim, value: run_with_faults(sim, "light", quiet=value), NO_TIME),
    ("run_plan", lambda sim, value: run_plan(sim, value, seconds=1), (3, "x", {}, [3], Plan(seconds=NAN))),
    ("run", lambda sim, value: sim.run(value), (*NO_TIME, None)),
    ("run_until, timeout", lambda sim, value: sim.run_until(lambda _: False, timeout=value), (*NO_TIME, None)),
    ("take, at", lambda sim, value: sim.take(sim.pending[0], at=value), NO_TIME),
    ("watch", lambda sim, value: sim.watch(value), ("x", None, 5)),
    ("weather", lambda sim, value: setattr(sim, "weather", value), ("x", None, {}, Weather(loss=NAN))),
]


@pytest.mark.parametrize(("act", "values"), [entrance[1:] for entrance in ENTRANCES], ids=[one[0] for one in ENTRANCES])
def test_an_argument_that_makes_no_sense_is_refused_and_nothing_happens(act: Act, values: tuple[Any, ...]) -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader)
    before = sim.world
    for value in values:
        with pytest.raises((ConfigError, EmptyMembership)) as refused:
            act(sim, value)
        assert len(str(refused.value)) < 500, "a message is short, however long the value"
        assert sim.world is before, value
    call = sim.write(PUT)
    sim.run_until(lambda _: call.done)
    assert call.ok


@pytest.mark.parametrize(
    "act",
    [
        Simulation.from_capsule,
        check_linearizable,
        run_with_faults,
        lambda value: run_plan(value, [], seconds=1),
        shrink,
    ],
)
@pytest.mark.parametrize("value", [3, None, b"x", 1.5, {}])
def test_what_is_no_run_at_all_is_refused_by_name(act: Callable[[Any], object], value: Any) -> None:
    with pytest.raises(ConfigError):
        act(value)


@pytest.mark.parametrize("seeds", [3, None, "12", [NAN], [True], ["1"], [1.5], [None], [2**64]])
def test_a_campaign_refuses_what_is_no_seed_before_the_first_run(seeds: Any) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        run_campaign(seeds, executor=Serial())


@pytest.mark.parametrize("field", ["load", "engine", "config", "executor", "path", "progress"])
@pytest.mark.parametrize("value", [3, b"x", 1.5, {}])
def test_a_campaign_names_the_part_that_is_none(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        run_campaign([1], **{"executor": Serial(), field: value})


@pytest.mark.parametrize("field", ["nodes", "seconds", "faults", "strict"])
@pytest.mark.parametrize("value", ["x", NAN, -1, [], INF])
def test_a_campaign_refuses_what_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        run_campaign([1], executor=Serial(), **{field: value})


@pytest.mark.parametrize("field", Load.__struct_fields__)
@pytest.mark.parametrize("value", ["x", None, NAN, True, -1, [], (NAN, 1), (0, 1), ("a", "b"), INF])
def test_a_load_refuses_what_is_no_number(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        Load(**{field: value}).validated()


@pytest.mark.parametrize("field", ["name", "nodes", "seed", "seconds", "config", "weather", "faults"])
@pytest.mark.parametrize("value", [None, NAN, True, -1.5, [3], b"x", object()])
def test_a_plan_refuses_what_cannot_be(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        Plan(**{field: value}).validated()


@pytest.mark.parametrize(
    "fault",
    [
        Crash(at=NAN, node=1),
        Crash(at=1, node="x"),  # type: ignore[arg-type]
        Crash(at=1, node=True),
        Crash(at=1, node=1, torn=NAN),
        Drift(at=1, node=1, rate=NAN),
        Skew(at=1, node=1, by=NAN),
        Skew(at=1, node=1, by="x"),  # type: ignore[arg-type]
        Partition(at=1, groups=3),  # type: ignore[arg-type]
        Pause(at=1, node=1, lasts=NAN),
    ],
)
def test_a_fault_that_cannot_be_is_refused_before_the_run_begins(fault: AnyFault) -> None:
    sim = Simulation(3)
    before = sim.world
    for plan in (Plan(faults=(fault,)), [fault]):
        with pytest.raises(ConfigError, match=r"faults\[0\]"):
            run_plan(sim, plan, seconds=2)
    assert sim.world is before


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda sim: sim.write(PUT, to=99), UnknownNode),
        (lambda sim: sim.partition({1, 99}), UnknownNode),
        (lambda sim: sim.cut(1, 99), UnknownNode),
        (lambda sim: sim.elect(99), UnknownNode),
        (lambda sim: sim.initialize({1}, 99), UnknownNode),
        (lambda sim: sim.call(Call(client=0, request=Query("x"), to=99)), UnknownNode),
        (lambda sim: sim.drop(12345), PyraftError),
    ],
)
def test_a_name_of_nobody_is_refused(act: Callable[[Simulation], object], error: type[Exception]) -> None:
    sim = Simulation(nodes=3, seed=7)
    with pytest.raises(error):
        act(sim)


SETTINGS: dict[str, tuple[Any, ...]] = {
    "nodes": (*NO_COUNT, 0, (), range(10**6)),
    "learners": NO_COUNT,
    "seed": ("x", None, 1.5, True, NAN),
    "config": ("x", {}, Config, Config(retry_timeout=NAN)),
    "rules": ("RAFT", {}, Config()),
    "machine": (None, "KeyValue", 5, int, dict, lambda: 3, lambda: None, lambda: KeyValue, KeyValue()),
    "engine": (3, "raft", {}, Engine, RAFT),
    "weather": ("x", {}, Weather, Weather(loss=NAN)),
    "checks": (5, NAN, "Safety", [3], {"one": 1}, [None], DEEP, range(10**12), [Safety]),
    "initialize": NO_FLAG,
    "record": ("x", None, 1.5, -1),
}


@pytest.mark.parametrize("field", SETTINGS)
def test_a_setting_that_makes_no_sense_is_named(field: str) -> None:
    for value in SETTINGS[field]:
        if value is not None or field not in ("config", "rules", "weather", "engine"):
            with pytest.raises(ConfigError):
                Simulation(**{field: value})


@pytest.mark.parametrize("field", [name for name in Config.__struct_fields__ if name != "election_timeout"])
def test_every_knob_refuses_what_is_no_number_of_its_kind(field: str) -> None:
    wants_flag = isinstance(getattr(Config(), field), bool)
    for value in NO_FLAG if wants_flag else ("x", NAN, INF, -INF, -1, True, [1], 1j, 10**400):
        with pytest.raises(ConfigError) as refused:
            Config(**{field: value}).validated()
        assert refused.value.field == field


@pytest.mark.parametrize(
    "value", [None, 1, "12", (1,), (1, 2, 3), (NAN, 1), (1, NAN), (0.1, INF), (True, 2), ("a", "b")]
)
def test_an_election_timeout_is_a_pair_of_times(value: Any) -> None:
    with pytest.raises(ConfigError, match="election_timeout"):
        Config(election_timeout=value).validated()


@pytest.mark.parametrize("field", ["latency", "disk", "loss", "duplicate", "reorder", "links"])
def test_weather_refuses_what_is_no_number(field: str) -> None:
    value: Any
    for value in ("x", NAN, INF, -1, True, (NAN, 1), (1, NAN), (0, INF), (-1, 1), (True, 2), (1,), ("a", "b"), None):
        with pytest.raises(ConfigError, match=field):
            Weather(**{field: value}).validated()


@pytest.mark.parametrize("value", NO_ID)
def test_a_link_leads_between_nodes(value: Any) -> None:
    with pytest.raises(ConfigError, match="links"):
        Weather(links=(Link(src=1, dst=value, loss=0.1),)).validated()


@pytest.mark.parametrize("change", [AddVoters, RemoveVoters, ReplaceVoters, AddLearners, RemoveLearners])
def test_a_change_names_nodes(change: Callable[[Any], Any]) -> None:
    for value in (*NO_CHANGE, {"a": ""}, {0: ""}):
        if value not in ({}, {1: 2}) or change in (RemoveVoters, ReplaceVoters, RemoveLearners):
            for wanted in (change(value), Batch((change(value),)), Batch((Batch((change(value),)),))):
                with pytest.raises(ConfigError):
                    as_change(wanted)


def test_addresses_are_strings_and_batches_are_lists_of_changes() -> None:
    nodes: Any
    for nodes in ({1: 5}, {0: "x"}, {1: None}, "x", None, {1, 2}):
        for change in (SetNodes(nodes), ReplaceNodes(nodes)):
            with pytest.raises(ConfigError):
                as_change(change)
    changes: Any
    for changes in (None, 5, "x", {1: 2}, ("x",)):
        with pytest.raises(ConfigError):
            as_change(Batch(changes))
    assert as_change(AddLearners({4: "four"})) == AddLearners({4: "four"})
    assert as_change(AddVoters({4: "four"})) == AddVoters({4: "four"})
    assert as_change(SetNodes({4: "four"})) == SetNodes({4: "four"})


def test_batches_in_batches_are_one_batch_however_deep() -> None:
    change: Any = AddLearners(frozenset({4}))
    for _ in range(5000):
        change = Batch((change,))
    assert as_change(change) == Batch((AddLearners(frozenset({4})),))
    first, second, third = (AddLearners(frozenset({node})) for node in (4, 5, 6))
    assert as_change(Batch((Batch((first, second)), third))) == Batch((first, second, third))


@pytest.mark.parametrize("voters", [{0}, {-1}, {2**53}, {True}])
def test_no_membership_can_be_made_of_what_is_no_node(voters: Any) -> None:
    with pytest.raises(ConfigError):
        Membership.of(voters)
    with pytest.raises(ConfigError):
        Membership.of({3}, learners=voters)
    nodes: Any = {1: 7}
    with pytest.raises(ConfigError, match="string"):
        Membership(configs=(frozenset({1}),), nodes=nodes)


@pytest.mark.parametrize(
    "guard",
    [
        {"leader": "x"},
        {"leader": (1,)},
        {"leader": (-1, 1)},
        {"leader": (1, "a")},
        {"last": 5},
        {"membership": (1, 2, 3)},
    ],
)
def test_a_guard_names_leaderships_and_log_ids(guard: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="only_if"):
        Precondition(**guard).validated()
    assert Precondition(leader=(1, 2)).validated() == Precondition(leader=(1, 2))


def test_the_health_of_a_disk_is_checked_where_it_is_made() -> None:
    slow: Any
    for slow in NO_NUMBER:
        with pytest.raises(ConfigError, match="slow"):
            DiskFaults(slow=slow).validated()


class Integer:
    """A whole number of somebody else's, as NumPy's are."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_a_server_that_is_there_already_becomes_a_learner() -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(0.2)
    sim.add_node(4)
    call = sim.add_learner(4)
    sim.run_until(lambda _: call.done)
    assert call.ok
    sim.run(0.5)
    assert sim.nodes[1].membership.learners == {4}


def test_a_whole_number_of_another_kind_is_one_too() -> None:
    sim = Simulation(nodes=3, seed=7)
    node: Any = Integer(2)
    sim.crash(node)
    assert not sim.nodes[2].up


def test_what_a_client_asks_is_read_at_once_as_it_would_be_sent() -> None:
    sim, asked = Simulation(3, seed=1), {"op": "put", "key": "x", "value": [1, (2, 3)]}
    sim.run(1.0)
    write, reads = sim.write(asked), [sim.read(("a", 1)), sim.read(frozenset({1}))]
    asked["key"] = "y"
    sim.run(1.0)
    assert write.ok
    assert sim.leader is not None
    assert sim.nodes[sim.leader].machine.query("x") == [1, [2, 3]]
    assert all("is not a key" in str(read.error) for read in reads)
    assert Simulation.from_capsule(sim.capsule()).trace.digest() == sim.trace.digest()


@pytest.mark.parametrize("load", [Load(think_time=(1e-9, 1.0)), Load(clients=10**6)])
def test_a_load_that_would_never_end_is_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"think_time|clients"):
        load.validated()
