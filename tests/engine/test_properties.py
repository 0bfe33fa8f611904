"""What holds for every state and every event: purity, honest disks, votes and commits that never go back, safety."""

import random
from functools import reduce

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import (
    BuildSnapshot,
    ChangeMembership,
    Event,
    Read,
    Receive,
    TransferLeader,
    Unreachable,
)
from pyraft_lab.engine.log import Configuration, Entry, Log, Noop, Normal, SnapshotMeta
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.rules import supersedes
from pyraft_lab.engine.state import Disk, Leader, RaftState
from pyraft_lab.engine.timers import HEARTBEAT
from pyraft_lab.engine.types import LogId, NodeId, Vote
from tests.engine.builders import propose, storage
from tests.engine.cluster import Cluster, Flight

TIGHT = Config(
    max_append_entries=2,
    max_inflight=2,
    snapshot_logs_since_last=4,
    snapshot_chunk=5,
    keep_logs=1,
    max_apply_entries=3,
)
BOLD = replace(TIGHT, pre_vote=False, check_quorum=False, vote_lease=False)
WALK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


class Walk(Cluster):
    """A cluster in which chance picks what happens next, out of everything that could: mostly progress, some harm."""

    def __init__(self, config: Config, seed: int, length: int) -> None:
        super().__init__(1, 2, 3, config=config)
        self.chances = random.Random(seed)
        self.written = 0
        for _ in range(length):
            kinds = [self.progress] * 30 + [self.ask_leader] * 4 + [self.any_timer] * 3 + [self.ask_anybody, self.harm]
            self.chances.choice(kinds)()

    def progress(self) -> None:
        """A message arrives, a disk has written, a machine has built its snapshot; else the leader's time goes on."""
        writers = [node for node in self.up if self.nodes[node].writing]
        acts: list[Flight | tuple[NodeId, Event] | NodeId] = [*self.flying[:6], *self.notices, *writers]
        match self.chances.choice(acts) if acts else None:
            case Flight() as flight:
                self.deliver(flight)
            case (node, event) as notice:
                self.notices.remove(notice)
                self.feed(node, event)
            case int(node):
                self.complete(node)
            case None:
                self.fire(self.leader, HEARTBEAT) if self.leader else self.any_timer()

    @property
    def up(self) -> list[NodeId]:
        return [node for node, one in self.nodes.items() if one.up]

    def any_timer(self, node: NodeId = 0) -> None:
        node = node or self.chances.choice(self.up)
        if self.nodes[node].timers:
            self.fire(node, self.chances.choice(sorted(self.nodes[node].timers)))

    def ask_leader(self) -> None:
        self.ask(self.leader or 1) if self.nodes[self.leader or 1].up else None

    def ask_anybody(self) -> None:
        self.ask(self.chances.choice(self.up))

    def ask(self, node: NodeId) -> None:
        """Clients and operators."""
        self.written = number = self.written + 1
        voters = frozenset(self.chances.sample([1, 2, 3], self.chances.choice([2, 3])))
        asked: list[Event] = [
            *[propose(f"w{number}", first=number)] * 8,
            Read((number,)),
            Read((number,), "lease"),
            BuildSnapshot(),
            TransferLeader(number, node % 3 + 1),
            ChangeMembership(request=number, change=ReplaceVoters(voters), retain=True),
            Unreachable(node % 3 + 1),
        ]
        self.feed(node, self.chances.choice(asked))

    def harm(self) -> None:
        """Messages are lost or doubled, one node at a time is down."""
        if len(self.up) < 3:
            self.restart(next(node for node in self.nodes if node not in self.up))
        elif self.chances.random() < 0.3:
            self.crash(self.chances.choice(self.up))
        elif self.flying and self.chances.random() < 0.5:
            self.flying.append(self.chances.choice(self.flying))
        elif self.flying:
            self.flying.remove(self.chances.choice(self.flying))


CONFIGS = st.sampled_from([TIGHT, BOLD])
WALKS = st.builds(Walk, CONFIGS, st.integers(0, 1 << 30), st.integers(0, 500))
SHORT_WALKS = st.builds(Walk, CONFIGS, st.integers(0, 1 << 30), st.integers(0, 150))


def committed_ids(state: RaftState) -> dict[int, LogId]:
    """What a node knows to be committed, as far as its log still shows it."""
    return {entry.index: entry.id for entry in state.log if entry.index <= state.committed}


@pytest.mark.row("NF-01", "NF-02", "CP-07", "CP-08")
@WALK
@given(WALKS)
def test_whatever_happens_in_whatever_order_safety_holds(walk: Walk) -> None:
    # Election safety, state machine safety and honest disks are checked by the cluster at every step.
    seen: dict[int, LogId] = {}
    for turn in walk.steps:
        for index, id in committed_ids(turn.after).items():
            assert seen.setdefault(index, id) == id, f"two entries are committed at {index}"
        assert not turn.after.halted


@pytest.mark.row("CM-11", "INI-09")
@WALK
@given(WALKS)
def test_votes_and_commits_never_go_back(walk: Walk) -> None:
    for turn in walk.steps:
        assert turn.before.vote == turn.after.vote or supersedes(turn.after.vote, turn.before.vote)
        assert turn.before.committed <= turn.after.committed
        assert turn.before.applied <= turn.after.applied <= turn.after.committed


@WALK
@given(WALKS)
def test_a_leader_only_appends(walk: Walk) -> None:
    for turn in walk.steps:
        if isinstance(turn.before.role, Leader) and isinstance(turn.after.role, Leader):
            assert turn.after.log.last.index >= turn.before.log.last.index
            assert turn.after.log.id_at(turn.before.log.last.index) in (turn.before.log.last, None)


@WALK
@given(WALKS)
def test_a_step_is_a_function_of_state_and_event(walk: Walk) -> None:
    for turn in walk.steps[-20:]:
        frozen = msgspec.msgpack.encode(turn.before)
        assert step(turn.before, turn.event) == turn
        assert msgspec.msgpack.encode(turn.before) == frozen
        assert isinstance(hash(turn.after), int)


@pytest.mark.row("CP-08")
@WALK
@given(WALKS)
def test_the_disk_in_the_state_is_the_disk_that_the_commands_write(walk: Walk) -> None:
    for turn in walk.steps:
        assert reduce(Disk.after, storage(turn), turn.before.disk) == turn.after.disk


@pytest.mark.row("FZ-02")
@settings(WALK, max_examples=30)
@given(WALKS)
def test_after_any_past_a_healed_cluster_elects_and_writes(walk: Walk) -> None:
    for node in walk.nodes.keys() - set(walk.up):
        walk.restart(node)
    for node in [*walk.nodes] * 10:
        walk.run()
        for timer in sorted(walk.nodes[node].timers):
            if timer in walk.nodes[node].timers:
                walk.fire(node, timer)
        walk.write("alive", to=walk.leader or 1, first=1 << 20)
        walk.run()
        if isinstance(walk.outcomes.get(1 << 20), Entry):
            return
    raise AssertionError("nobody leads and writes")


# Whatever a peer may send

SMALL = st.integers(0, 6)
VOTES = st.builds(Vote, SMALL, SMALL, st.booleans())
IDS = st.builds(LogId, SMALL, SMALL, SMALL)
MEMBERS = st.builds(Membership.of, st.sets(st.integers(1, 4), min_size=1))
PAYLOADS = st.one_of(st.builds(Noop), st.builds(Normal, st.binary(max_size=3)), st.builds(Configuration, MEMBERS))
METAS = st.builds(SnapshotMeta, IDS, MEMBERS, IDS, SMALL, SMALL)
NUMBERS = st.integers(-2, 9)
MESSAGES: st.SearchStrategy[AnyMessage] = st.one_of(
    st.builds(PreVoteRequest, vote=VOTES, last=IDS),
    st.builds(PreVoteResponse, vote=VOTES, asked=VOTES, granted=st.booleans(), last=IDS),
    st.builds(VoteRequest, vote=VOTES, last=IDS, transfer=st.booleans()),
    st.builds(VoteResponse, vote=VOTES, asked=VOTES, granted=st.booleans(), last=IDS),
    st.builds(
        AppendRequest,
        vote=VOTES,
        prev=IDS,
        entries=st.lists(st.builds(Entry, IDS, PAYLOADS), max_size=3).map(tuple),
        commit=NUMBERS,
        round=NUMBERS,
    ),
    st.builds(AppendAccepted, vote=VOTES, matched=IDS, round=NUMBERS),
    st.builds(AppendRefused, vote=VOTES, prev=IDS, hint=IDS, round=NUMBERS),
    st.builds(HeartbeatRequest, vote=VOTES, matched=IDS, commit=NUMBERS, round=NUMBERS),
    st.builds(HeartbeatResponse, vote=VOTES, round=NUMBERS),
    st.builds(
        SnapshotRequest,
        vote=VOTES,
        meta=METAS,
        offset=NUMBERS,
        data=st.binary(max_size=4),
        done=st.booleans(),
        round=NUMBERS,
    ),
    st.builds(SnapshotResponse, vote=VOTES, last=IDS, offset=NUMBERS, round=NUMBERS),
    st.builds(TimeoutNow, vote=VOTES),
    st.builds(Outdated, vote=VOTES),
)


@pytest.mark.row("DS-12")
@settings(WALK, max_examples=150)
@given(
    st.builds(Walk, CONFIGS, st.integers(0, 1 << 30), st.integers(0, 150)),
    st.lists(st.tuples(st.integers(1, 4), MESSAGES), min_size=5, max_size=10),
    st.integers(1, 3),
)
def test_no_message_can_make_the_engine_raise(walk: Walk, words: list[tuple[NodeId, AnyMessage]], node: NodeId) -> None:
    state = walk[node]
    for src, message in words:
        for likely in (message, *likelier(state, src, message)):
            turn = step(state, Receive(src, likely))
            assert reduce(Disk.after, storage(turn), turn.before.disk) == turn.after.disk
            state = replace(turn.after, halted="")


def likelier(state: RaftState, src: NodeId, message: AnyMessage) -> list[AnyMessage]:
    """The same nonsense, but under a vote and near an entry that this node will take seriously."""
    last = state.log.last
    votes = [state.vote, Vote(state.term + 1, src), *(Vote(state.term + n, src, committed=True) for n in (0, 1))]
    changes: list[dict[str, object]] = [{"vote": vote} for vote in votes]
    changes += [change | {"prev": last, "matched": last, "last": last, "asked": state.vote} for change in changes]
    if isinstance(message, AppendRequest):
        near = [replace(one, id=replace(one.id, index=last.index - 2 + one.index)) for one in message.entries]
        changes += [change | {"entries": tuple(near)} for change in changes]
    known = set(message.__struct_fields__)
    return [replace(message, **{k: v for k, v in change.items() if k in known}) for change in changes]


# Quorums


def majority(ids: set[int], config: frozenset[int]) -> bool:
    return len([node for node in config if node in ids]) > len(config) / 2


CONFIG = st.frozensets(st.integers(1, 9), min_size=1)
MEMBERSHIPS = st.lists(CONFIG, min_size=1, max_size=3).map(lambda configs: Membership(configs=tuple(configs)))


@pytest.mark.row("SZ-10", "JC-03", "CM-16")
@given(MEMBERSHIPS, st.dictionaries(st.integers(1, 9), st.booleans()))
def test_an_election_is_won_lost_or_open_as_counting_says(members: Membership, votes: dict[int, bool]) -> None:
    granted = {node for node, yes in votes.items() if yes}
    silent = set(range(1, 10)) - votes.keys()
    won = all(majority(granted, config) for config in members.configs)
    winnable = all(majority(granted | silent, config) for config in members.configs)
    assert members.vote_result(votes) == ("won" if won else "pending" if winnable else "lost")
    assert members.is_quorum(granted) is won


@pytest.mark.row("SZ-10", "JC-04", "CM-16")
@given(MEMBERSHIPS, st.dictionaries(st.integers(1, 9), st.integers(0, 7)))
def test_the_committed_index_is_the_largest_that_counting_finds(members: Membership, matched: dict[int, int]) -> None:
    def holds(index: int) -> bool:
        return all(majority({n for n in range(1, 10) if matched.get(n, 0) >= index}, c) for c in members.configs)

    assert members.committed_index(matched) == max(index for index in range(8) if holds(index))


@given(MEMBERSHIPS, st.sets(st.integers(1, 9)), st.sets(st.integers(1, 9)))
def test_any_two_quorums_meet(members: Membership, one: set[int], other: set[int]) -> None:
    assert not (members.is_quorum(one) and members.is_quorum(other)) or one & other


# The log against a list


class Model:
    """A log as a list, with what was purged as a prefix that may not be read."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.start = 0


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.tuples(st.integers(0, 1), st.integers(0, 400)), max_size=5)),
        st.tuples(st.just("truncate"), st.floats(0, 1)),
        st.tuples(st.just("purge"), st.floats(0, 1)),
    ),
    max_size=25,
)


@pytest.mark.row("HL-05", "SN-33")
@settings(deadline=None)
@given(OPERATIONS, st.integers(0, 600), st.integers(0, 600), st.integers(0, 40), st.integers(0, 30))
def test_a_log_behaves_like_a_list(
    operations: list[tuple[str, object]], first: int, stop: int, max_bytes: int, term: int
) -> None:
    log, model = Log(), Model()
    for name, argument in operations:
        log = change(log, model, name, argument)
    left = model.entries[model.start :]
    assert list(log) == left
    assert len(log) == len(left)
    assert log.last == (model.entries[-1].id if model.entries else LogId())
    assert log.runs == tuple(
        e.id for b, e in zip([None, *left], left, strict=False) if b is None or b.id.leader != e.id.leader
    )
    assert log.configs == tuple(e.index for e in left if isinstance(e.payload, Configuration))
    inside = [e for e in left if first <= e.index < stop]
    assert log.slice(first, stop) == tuple(inside)
    limited = log.slice(first, stop, max_bytes=max_bytes)
    assert limited == tuple(
        inside[: max(1, len([n for n in range(len(inside)) if sum(e.size for e in inside[: n + 1]) <= max_bytes]))]
    )
    for index in {0, 1, model.start, model.start + 1, first, len(model.entries), len(model.entries) + 1}:
        here = model.start < index <= len(model.entries)
        boundary = model.entries[index - 1].id if 0 < index == model.start else LogId()
        assert log.id_at(index) == (model.entries[index - 1].id if here else boundary if index == model.start else None)
        if index >= model.start:
            assert log.byte_size_at(index) == sum(e.size for e in model.entries[:index])
    asked = LogId(term, 1, first)
    older = [e.id for e in left if e.id.leader <= asked.leader and e.index <= first]
    assert log.last_no_newer(asked) == (older[-1] if older else log.start)


def change(log: Log, model: Model, name: str, argument: object) -> Log:
    """One operation on both."""
    if name == "append":
        assert isinstance(argument, list)
        term = model.entries[-1].id.term if model.entries else 1
        for rise, size in argument:
            term += rise
            index = len(model.entries) + 1
            payload = Configuration(Membership.of({1})) if size == 7 else Normal(b"x" * size)
            count = 60 if size > 350 else 1
            added = [Entry(LogId(term, 1, index + n), payload) for n in range(count)]
            model.entries += added
            log = log.append(added)
        return log
    assert isinstance(argument, float)
    place = model.start + round(argument * (len(model.entries) - model.start))
    if name == "truncate":
        model.entries = model.entries[:place]
        return log.truncate(place)
    model.start = place
    return log.purge(model.entries[place - 1].id) if place else log
