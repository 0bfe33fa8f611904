"""Every duty is seen broken once: by a doctored record, or by a Raft with one mistake; Raft itself breaks none."""

from collections.abc import Callable, Iterator
from typing import Any, Literal
from zlib import crc32

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, Apply, InstallSnapshot, Readable, SaveSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.engine import step as take
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.log import Log, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AppendRequest, HeartbeatResponse, SnapshotRequest, VoteRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Disk, Leader, Step
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.sim.local_invariants import LocalInvariants, installs_replace_the_log, one_lease_at_a_time
from pyraft_lab.sim.safety import Safety
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import World
from pyraft_lab.trace.record import Flight, Record
from tests.check import broken
from tests.engine.builders import follower, id_of

Moment = tuple[Record, World]


def moments(rules: Rules = RAFT, seed: int = 7) -> list[Moment]:
    """A second of three servers with a write and a snapshot: what happened, and the world right after it."""
    seen: list[Moment] = []
    sim = Simulation(3, seed=seed, rules=rules)
    sim.watch(lambda record: seen.append((record, sim.world)))
    sim.run_until(lambda s: s.leader)
    for value in (1, 2):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.3)
    sim.snapshot(1)
    sim.run(0.3)
    return seen


SEEN = moments()


def steps(suits: Callable[[Step], object]) -> Iterator[tuple[Record, Step, World]]:
    """The moments whose step suits."""
    return ((one, one.step, world) for one, world in SEEN if one.step is not None and suits(one.step))


def first(suits: Callable[[Step], object]) -> tuple[Record, Step, World]:
    return next(steps(suits))


def has(kind: type) -> Callable[[Step], bool]:
    return lambda step: any(isinstance(command, kind) for command in step.commands)


def found(record: Record, world: World) -> list[str]:
    """The duties that a record breaks in the eyes of somebody who saw the votes before it."""
    judge = LocalInvariants(strict=True)
    for one, then in SEEN:
        if one.id < record.id:
            judge.check(one, then)
    return [violation.name for violation in judge.check(record, world)]


def doctored(record: Record, step: Step, **after: Any) -> Record:
    """The same record, with another state after it."""
    return replace(record, step=replace(step, after=replace(step.after, **after)))


def commanded(record: Record, step: Step, *commands: Any) -> Record:
    """The same record, with other commands."""
    return replace(record, step=replace(step, commands=commands))


def test_raft_breaks_no_duty() -> None:
    judge = LocalInvariants(strict=True)
    assert [violation for record, world in SEEN for violation in judge.check(record, world)] == []


def test_terms_only_grow() -> None:
    record, step, world = first(lambda step: step.after.term > step.before.term)
    back = replace(step, before=step.after, after=step.before)
    assert "bounds hold" in found(replace(record, step=back), world)


def test_nothing_is_applied_that_is_not_committed() -> None:
    record, step, world = first(has(Apply))
    assert "bounds hold" in found(doctored(record, step, committed=step.after.applied - 1), world)
    assert "bounds hold" in found(doctored(record, step, committed=step.after.log.last.index + 1), world)


def test_a_snapshot_is_never_replaced_by_an_earlier_one() -> None:
    record, step, world = first(has(SaveSnapshot))
    back = replace(step, before=step.after, after=step.before, commands=())
    assert found(replace(record, step=back), world) == ["bounds hold"]


def test_along_a_log_leaders_only_grow() -> None:
    record, step, world = first(lambda step: has(Append)(step) and step.after.log.last.term)
    (append,) = (command for command in step.commands if isinstance(command, Append))
    old = replace(append.entries[-1], id=LogId(0, 0, append.entries[-1].index))
    assert found(commanded(record, step, Append((*append.entries, old))), world) == ["logs are in order"]


def test_entries_are_applied_one_by_one() -> None:
    record, step, world = first(has(Apply))
    (apply,) = (command for command in step.commands if isinstance(command, Apply))
    assert found(commanded(record, step, apply, apply), world) == ["applies in order"]
    assert found(
        commanded(record, step, Apply(apply.entries[1:] or (replace(apply.entries[0], id=LogId(9, 9, 9)),))), world
    ) == ["applies in order"]


def test_entries_after_an_installed_snapshot_are_next() -> None:
    record, step, world = first(has(Apply))
    (apply,) = (command for command in step.commands if isinstance(command, Apply))
    before = replace(step, before=replace(step.before, applied=0))
    whole = InstallSnapshot(SnapshotMeta(LogId(1, 1, apply.entries[0].index - 1), step.after.membership))
    assert "applies in order" not in found(commanded(record, before, whole, apply), world)


def test_a_snapshot_stands_for_what_is_applied_with_its_membership() -> None:
    record, step, world = first(has(SaveSnapshot))
    (save,) = (command for command in step.commands if isinstance(command, SaveSnapshot))

    def kept(meta: SnapshotMeta) -> list[str]:
        return found(commanded(record, step, SaveSnapshot(meta)), world)

    assert kept(save.meta) == []
    for lie in (
        replace(save.meta, last=LogId(1, 1, step.before.applied + 1)),
        replace(save.meta, last=replace(save.meta.last, term=9)),
        replace(save.meta, membership_id=LogId(9, 9, 1)),
    ):
        assert kept(lie) == ["snapshots stand for what is applied"]


def test_a_leader_commits_by_counting_its_own_entries_only() -> None:
    record, step, world = first(lambda step: isinstance(step.after.role, Leader) and step.after.committed)
    earlier = doctored(record, step, committed=1, applied=1)
    assert found(earlier, world) == ["commits are of the own term"]


def test_a_leader_knows_no_more_of_its_peers_than_is_true() -> None:
    record, step, world = first(lambda step: isinstance(step.after.role, Leader) and has(Append)(step))
    assert isinstance(step.after.role, Leader)
    one, last = step.after.role.progress[0], step.after.log.last.index

    def kept(**facts: int) -> list[str]:
        assert isinstance(step.after.role, Leader)
        return found(doctored(record, step, role=step.after.role.with_progress(replace(one, **facts))), world)

    assert kept(matched=last, next=last + 1) == ["progress is true"]
    assert kept(next=last + 2) == kept(matched=0, next=0) == ["progress is true"]


def test_an_election_is_backed_by_votes_that_left_from_disks() -> None:
    record, _, world = first(lambda step: isinstance(step.after.role, Leader))
    assert [one.name for one in LocalInvariants().check(record, world)] == ["elections are backed"]
    judge = LocalInvariants()
    for one, then in SEEN[: SEEN.index((record, world))]:
        judge.check(replace(one, sent=tuple(flight for flight in one.sent if flight.src == record.peer)), then)
    empty = {id: replace(node, synced=Disk()) for id, node in world.nodes.items()}
    assert judge.check(record, world) == [], "its own vote and one other"
    assert judge.check(record, replace(world, nodes=empty)), "its own vote is not on its disk"
    assert "elections are backed" in strictly(broken.HALF_IS_ENOUGH, lambda sim: sim.run(3), nodes=4)


def sending(message: Any) -> list[str]:
    """What is found where such a message leaves the leader."""
    record, step, world = first(lambda step: isinstance(step.after.role, Leader) and step.after.committed)
    flight = Flight(id=99, src=step.after.id, dst=2, message=message, sent=record.time, cause=record.id)
    assert found(replace(record, sent=(replace(flight, copy_of=98),)), world) == []
    return found(replace(record, sent=(flight,)), world)


def test_what_binds_a_server_leaves_when_its_disk_knows() -> None:
    assert sending(VoteRequest(vote=Vote(9, 1), last=LogId())) == ["durable before request"]
    assert sending(HeartbeatResponse(vote=Vote(9, 1, committed=True))) == ["durable before contact"]
    assert "durable before contact" in strictly(broken.ANSWERS_BEFORE_THE_DISK, lambda sim: sim.run(1))


def test_an_append_is_taken_from_its_senders_log() -> None:
    _, step, _ = first(lambda step: isinstance(step.after.role, Leader) and step.after.committed)
    state, entry = step.after, step.after.log.entry(step.after.log.last.index)
    true = AppendRequest(vote=state.vote, prev=step.after.log.entry(entry.index - 1).id, entries=(entry,))
    other = replace(entry, id=replace(entry.id, term=9))
    assert sending(true) == []
    assert sending(replace(true, commit=99)) == ["messages are true"]
    assert sending(replace(true, entries=(entry, entry))) == ["messages are true"]
    assert sending(replace(true, entries=(other,))) == ["messages are true"]
    assert sending(replace(true, vote=Vote(0, 1), commit=99)) == []


def strictly(rules: Rules, happens: Callable[[Simulation], object], *, nodes: int = 3, learners: int = 0) -> set[str]:
    """What a strict judge finds in a few runs of a Raft with such rules."""
    names = set[str]()
    for seed in range(6):
        sim = Simulation(nodes, seed, learners=learners, engine=raft(rules), checks=[LocalInvariants(strict=True)])
        happens(sim)
        names |= {violation.name for violation in sim.violations}
    return names


def grow_twice(sim: Simulation) -> None:
    sim.run_until(lambda s: s.leader)
    sim.run(0.5)
    sim.change_membership({1, 2, 3, 4})
    sim.change_membership({1, 2, 3, 4, 5})
    sim.run(1)


def test_one_change_of_membership_at_a_time_and_quorums_that_meet() -> None:
    def any_time(_state: object, _leader: object) -> bool:
        return True

    assert strictly(RAFT, grow_twice, learners=2) == set()
    assert "one change at a time" in strictly(replace(RAFT, may_change=any_time), grow_twice, learners=2)

    def replaced(sim: Simulation) -> None:
        sim.run(1)
        sim.change_membership({3, 4, 5})
        sim.run(1)

    assert "memberships are adjacent" in strictly(broken.CHANGES_IN_ONE_STEP, replaced, learners=2)
    assert strictly(broken.CHANGES_IN_ONE_STEP, grow_twice, learners=2) == set()


@pytest.mark.parametrize("policy", ["index", "lease"])
def test_a_read_sees_what_was_committed_when_it_came(policy: Literal["index", "lease"]) -> None:
    def asked(sim: Simulation) -> None:
        sim.run(1)
        sim.read("x", policy=policy)
        sim.run(1)

    def too_early(_state: object, _leader: object) -> int:
        return 0

    assert strictly(RAFT, asked) == set()
    assert strictly(replace(RAFT, read_at=too_early), asked) == {"reads are fresh"}


def test_a_read_that_was_asked_of_two_servers_is_measured_by_when_each_was_asked() -> None:
    sim = Simulation(3, seed=7)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.run(0.2)
    first = sim.read("x")
    sim.run_until(lambda _: first.done)
    began = sim.world.events
    sim.read("x")
    sim.pause(old)  # answers to its round lie before its door
    sim.run_until(lambda s: s.leader not in (None, old))
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(3)
    sim.resume(old)
    sim.run(0.1)
    later = sim.trace.records[began:]
    served = [one.node for one in later if one.step is not None and has(Readable)(one.step)]
    assert served[0] != old
    assert old in served
    assert sim.violations == []


def two_leases(sim: Simulation) -> list[str]:
    """What is found when a lease is renewed while another server believes to hold one too."""
    sim.run(1)
    judge, seen = LocalInvariants(), list[Moment]()
    sim.watch(lambda record: seen.append((record, sim.world)))
    sim.run(0.3)
    for record, world in seen:
        step = record.step
        if step is not None and isinstance(step.after.role, Leader) and step.before.role is not step.after.role:
            lapsed = replace(step.before, role=replace(step.after.role, acked_round=0))
            rival = next(id for id in world.nodes if id != step.after.id)
            node = replace(world.nodes[rival], state=replace(step.after, id=rival))
            torn = replace(world, nodes={**world.nodes, rival: node})
            return [one.name for one in judge.check(replace(record, step=replace(step, before=lapsed)), torn)]
        judge.check(record, world)
    raise AssertionError("a leader hears answers")


def test_one_lease_at_a_time() -> None:
    assert "one lease at a time" in two_leases(Simulation(3, seed=7))


def test_a_lease_that_ran_out_unheard_is_none() -> None:
    record, world = SEEN[-1]
    leader = world.leader
    assert leader is not None
    twins = replace(world, nodes=dict.fromkeys(world.nodes, world.nodes[leader]))
    assert len(list(one_lease_at_a_time(leader, twins))) == 2
    assert list(one_lease_at_a_time(leader, replace(twins, now=twins.now + 10_000_000))) == [], record.time


@pytest.mark.parametrize(
    ("tampered", "judged"),
    [
        (lambda sim: sim.drift(1, 3.0), False),
        (lambda sim: sim.skew(1, 0.5), False),
        (lambda sim: sim.drift(1, 1.04), True),
    ],
)
def test_where_clocks_went_wrong_leases_are_not_judged(
    tampered: Callable[[Simulation], object], *, judged: bool
) -> None:
    def stale(_state: object, _leader: object) -> int:
        return 0

    def asked(sim: Simulation) -> None:
        sim.run(1)
        tampered(sim)
        sim.read("x", policy="lease")
        sim.run(1)

    assert strictly(replace(RAFT, read_at=stale), asked) == ({"reads are fresh"} if judged else set())


def test_a_call_is_answered_once() -> None:
    record, world = next((one, world) for one, world in SEEN if one.replies)
    judge = LocalInvariants()
    assert judge.check(replace(record, step=None, sent=()), world) == []
    assert [one.name for one in judge.check(replace(record, step=None, sent=()), world)] == ["one answer a call"]


def test_other_rules_are_judged_by_their_consequences_alone() -> None:
    def run(*checks: Any) -> list[str]:
        sim = Simulation(4, seed=1, engine=raft(broken.HALF_IS_ENOUGH), checks=checks)
        sim.run(2)
        return [violation.name for violation in sim.violations]

    assert run(LocalInvariants()) == []
    assert run(Safety(), LocalInvariants()) == run(Safety())


def test_a_branch_of_time_knows_only_its_own_past() -> None:
    judge = LocalInvariants()
    early = SEEN[20]
    for record, world in SEEN:
        judge.check(record, world)
    replies = [(record, world) for record, world in SEEN if record.replies and record.id > early[0].id]
    twin = judge.fork(early[1])
    assert [one for record, world in SEEN if record.id > early[0].id for one in twin.check(record, world)] == []
    assert judge.check(*replies[0])


def installed(terms: list[int], *, upto: int = 3) -> tuple[Step, SnapshotMeta]:
    """A follower with entries of these terms has installed a snapshot of ``upto`` entries of term 1."""
    meta = SnapshotMeta(id_of(upto), Membership.of({1, 2, 3}), size=2, checksum=crc32(b"ab"))
    before = follower(2, terms, leader=1, term=2)
    request = SnapshotRequest(vote=Vote(2, 1, committed=True), meta=meta, offset=0, data=b"ab", done=True)
    taken = take(before, Receive(1, request))
    assert InstallSnapshot(meta) in taken.commands
    return taken, meta


@pytest.mark.parametrize(("terms", "left"), [([1, 1, 1, 2, 2], 2), ([1, 2, 2, 2], 0), ([1, 1], 0), ([], 0)])
def test_an_install_leaves_what_belongs_to_the_snapshot_and_nothing_else(terms: list[int], left: int) -> None:
    taken, meta = installed(terms)
    assert len(list(taken.after.log)) == left
    assert list(installs_replace_the_log(taken, meta)) == []


def test_each_way_to_install_a_snapshot_wrongly_is_named() -> None:
    taken, meta = installed([1, 1, 1, 2, 2])
    before, after = taken.before.log, taken.after

    def told(**wrong: Any) -> list[str]:
        return [what for _, what in installs_replace_the_log(replace(taken, after=replace(after, **wrong)), meta)]

    assert "2 applied" in told(applied=2)[0]
    assert "has snapshot T0-N0.0" in told(disk=replace(after.disk, snapshot=None))[0]
    assert "begins after" in told(disk=replace(after.disk, log=before))[0]
    gap = replace(Log(start=before.entry(4).id, last=before.entry(4).id).append((before.entry(5),)), start=meta.last)
    assert any("a gap" in what for what in told(disk=replace(after.disk, log=gap)))
    forgotten = Log(start=meta.last, last=meta.last)
    assert "is not what is left" in told(disk=replace(after.disk, log=forgotten))[0]


def test_a_read_that_waits_for_the_next_heartbeat_is_judged_from_when_it_came() -> None:
    sim = Simulation(3, seed=7, config=Config(read_sends_heartbeat=False))
    sim.run_until(lambda s: s.leader)
    sim.run(0.3)
    call = sim.read("x")
    assert not call.done
    sim.run(0.5)
    assert call.ok
    assert not sim.violations
