"""The extended Raft paper, sentence by sentence (in our own words): one test each, in the paper's order."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Append, Apply, NotLeading, Refuse, SaveVote, TakeSnapshot
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import ChangeMembership, Read
from pyraft_lab.engine.log import Noop
from pyraft_lab.engine.membership import Membership, ReplaceVoters
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    VoteRequest,
    VoteResponse,
)
from pyraft_lab.engine.state import Candidate, Follower, Leader
from pyraft_lab.engine.timers import ELECTION, TimerKind, delay
from pyraft_lab.engine.types import ORIGIN, NodeId, Vote
from tests.engine.builders import (
    BEAT,
    EAGER,
    TIMEOUT,
    Terms,
    accepted,
    after,
    all_stored,
    answers,
    append_request,
    applied,
    candidate,
    commands,
    entries,
    follower,
    grant,
    heartbeat,
    id_of,
    last_of,
    leader,
    progress,
    propose,
    refused,
    sends,
    sent,
    streaming,
    terms,
    vote_request,
)
from tests.engine.cluster import Cluster

FIVE = (1, 2, 3, 4, 5)
SEVEN = (1, 2, 3, 4, 5, 6, 7)

# §5.1 Basics


def test_every_message_carries_the_senders_term_and_the_smaller_one_gives_way() -> None:
    state = after(follower(2, [1], term=2), append_request(1, 5, id_of(1)))
    assert state.term == 5


def test_a_request_with_a_stale_term_is_rejected() -> None:
    turn = step(follower(2, [1], term=5), append_request(1, 4, id_of(1), entries([4], 2)))
    assert terms(turn.after) == [1]
    assert [answer.vote.term for answer in answers(turn)] == [5]


@pytest.mark.parametrize("role", [candidate, leader])
def test_a_candidate_or_leader_that_finds_its_term_out_of_date_becomes_a_follower(role: type) -> None:
    assert isinstance(after(role(1, term=2), heartbeat(2, 3)).role, Follower)


# §5.2 Elections


def test_servers_begin_as_followers_and_stay_so_while_they_hear_a_leader() -> None:
    state = follower(2, [1])
    assert isinstance(state.role, Follower)
    turn = step(state, heartbeat(1, 1, id_of(1)))
    assert isinstance(turn.after.role, Follower)
    assert any(command.timer == ELECTION for command in turn.commands if hasattr(command, "timer"))


def test_a_candidate_votes_for_itself_and_asks_all_others_in_parallel() -> None:
    turn = step(follower(1, voters=FIVE), TIMEOUT)
    assert commands(turn, SaveVote) == [SaveVote(Vote(1, 1))]
    assert [send.dst for send in sends(turn) if isinstance(send.message, VoteRequest)] == [2, 3, 4, 5]


@pytest.mark.parametrize(("voters", "needed"), [(SEVEN[:1], 0), (SEVEN[:3], 1), (SEVEN[:5], 2), (SEVEN, 3)])
def test_a_candidate_wins_with_the_votes_of_a_majority(voters: tuple[NodeId, ...], needed: int) -> None:
    state = candidate(1, voters=voters)
    for peer in voters[1:]:
        assert isinstance(state.role, Leader) is (peer - 2 >= needed)
        state = after(state, grant(peer))
    assert isinstance(state.role, Leader)


def test_each_server_votes_for_at_most_one_candidate_a_term_first_come_first_served() -> None:
    state = follower(4, voters=FIVE)
    granted = []
    for src in (3, 1, 2, 3):
        turn = step(state, vote_request(src))
        granted += [answer.granted for answer in sent(turn, VoteResponse)]
        state = turn.after
    assert granted == [True, False, False, True]


def test_a_winner_sends_heartbeats_to_everybody_to_prevent_new_elections() -> None:
    turn = step(candidate(1), grant(2))
    assert [send.dst for send in sends(turn) if isinstance(send.message, AppendRequest)] == [2, 3]
    beat = step(turn.after, BEAT)
    assert [send.dst for send in sends(beat) if isinstance(send.message, HeartbeatRequest)] == [2, 3]


def test_a_candidate_recognises_a_leader_whose_term_is_at_least_its_own() -> None:
    assert after(candidate(1, term=3), heartbeat(2, 3)).role == Follower(leader=2)
    assert isinstance(after(candidate(1, term=3), heartbeat(2, 2)).role, Candidate)


def test_if_nobody_wins_everybody_times_out_and_begins_a_new_term() -> None:
    cluster = Cluster(1, 2, 3)
    for id in (1, 2, 3):
        cluster.fire(id)
    cluster.run()
    assert (cluster.leader, {cluster[id].term for id in (1, 2, 3)}) == (0, {1})
    cluster.elect(2)
    assert cluster[2].term == 2


def test_election_timeouts_are_random_within_a_fixed_interval() -> None:
    config = Config(election_timeout=(0.15, 0.3))
    assert [round(delay(config, TimerKind.ELECTION, 0, chance), 3) for chance in (0.0, 0.5, 0.999)] == [
        0.15,
        0.225,
        0.3,
    ]


# §5.3 Log replication


def test_a_leader_appends_a_command_and_sends_it_in_parallel() -> None:
    turn = step(streaming(leader(1)), propose("x"))
    assert len(commands(turn, Append)) == 1
    assert [len(one.entries) for one in sent(turn, AppendRequest)] == [1, 1]


def test_a_leader_repeats_an_append_until_every_follower_has_it() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.elect(1)
    cluster.isolate(3)
    cluster.write("x")
    cluster.run()
    assert cluster.outcomes[1] == cluster[1].log.entry(2), "the client need not wait for the slow one"
    for _ in range(3):
        cluster.retry()
    cluster.heal()
    cluster.retry()
    assert cluster.nodes[3].machine == [b"x"]


def test_committing_an_entry_commits_all_before_it_even_those_of_earlier_leaders() -> None:
    state = leader(1, [(1, 2), (2, 3)], term=3)
    assert applied(step(state, accepted(2, state))) == [1, 2, 3]


def test_followers_learn_what_is_committed_and_apply_it_in_log_order() -> None:
    turn = step(follower(2, [1, 1]), append_request(1, 1, id_of(2), entries([1], 3), commit=3))
    assert applied(turn) == [1, 2, 3]


def test_a_leader_never_overwrites_or_deletes_entries_of_its_own() -> None:
    cluster = Cluster(1, 2, 3, logs={1: [1, 2], 2: [1, (3, 2), (3, 2)]}, votes={1: Vote(3), 3: Vote(3)})
    cluster.elect(2)
    cluster.write("x")
    cluster.retry()
    for turn in cluster.steps:
        if isinstance(turn.before.role, Leader):
            assert tuple(turn.after.log)[: len(turn.before.log)] == tuple(turn.before.log)


def test_a_follower_refuses_entries_whose_predecessor_it_does_not_hold() -> None:
    turn = step(follower(2, [1, 1]), append_request(1, 3, id_of(2, 2), entries([3], 3)))
    assert [type(answer) for answer in answers(turn)] == [AppendRefused]
    assert terms(turn.after) == [1, 1]


def test_same_index_and_term_mean_the_same_entry_and_the_same_history() -> None:
    cluster = Cluster(1, 2, 3, logs={1: [1, 2, 2], 2: [1, (3, 2)], 3: [1]})
    for id in (2, 1, 3):
        cluster.fire(id)
        cluster.retry(id) if cluster.leader == id else cluster.run()
    logs = [{entry.id: place for place, entry in enumerate(cluster[id].log)} for id in (1, 2, 3)]
    for one in logs:
        for other in logs:
            shared = [id for id in one if id in other]
            assert [one[id] for id in shared] == list(range(len(shared)))


def test_a_leader_decrements_next_index_after_a_refusal_and_retries() -> None:
    state = leader(1, [1, 1, 1], term=2)
    turn = step(state, refused(2, state, id_of(3), id_of(1)))
    assert progress(turn.after, 2).next == 2
    assert [one.prev for one in sent(turn, AppendRequest, 2)] == [id_of(1)]


FIGURE_7_LEADER: list[int | tuple[int, int]] = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
FIGURE_7: dict[str, list[int | tuple[int, int]]] = {
    "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b": [1, 1, 1, 4],
    "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, (7, 4), (7, 4)],
    "e": [1, 1, 1, 4, 4, 4, 4],
    "f": [1, 1, 1, (2, 6), (2, 6), (2, 6), (3, 6), (3, 6), (3, 6), (3, 6), (3, 6)],
}


@pytest.mark.row("CR-01")
@pytest.mark.parametrize("name", list(FIGURE_7))
def test_figure_7_every_follower_ends_with_the_leaders_log(name: str) -> None:
    mine = FIGURE_7_LEADER
    cluster = Cluster(1, 2, 3, logs={1: mine, 2: FIGURE_7[name], 3: mine}, votes={id: Vote(7) for id in (1, 2, 3)})
    cluster.elect(1)
    assert cluster[1].term == 8
    cluster.retry()
    assert terms(cluster[2]) == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]
    assert list(cluster[2].log) == list(cluster[1].log)
    agreed = next((place for place, (a, b) in enumerate(zip(FIGURE_7[name], mine, strict=False)) if a != b), len(mine))
    assert all(len(turn.after.log) >= min(agreed, len(FIGURE_7[name])) for turn in cluster.steps if turn.after.id == 2)
    refusals = [turn for turn in cluster.steps if turn.after.id == 2 and sent(turn, AppendRefused)]
    assert len(refusals) <= 3


@pytest.mark.row("CR-01")
def test_figure_7_all_six_followers_at_once() -> None:
    logs = {1: FIGURE_7_LEADER} | dict(enumerate(FIGURE_7.values(), 2))
    cluster = Cluster(*SEVEN, logs=logs, votes=dict.fromkeys(SEVEN, Vote(7)))
    cluster.fire(1)
    cluster.run()
    assert cluster.leader == 1, "a, b, e and f grant; c and d, whose logs are longer or later, refuse"
    cluster.retry()
    assert [list(cluster[id].log) for id in SEVEN] == [list(cluster[1].log)] * 7


# §5.4 Safety


@pytest.mark.parametrize(("its", "granted"), [([1, 1, 1], True), ([1, 1], False), ([2], True), ([1, 1, 1, 1], True)])
def test_a_voter_denies_its_vote_to_a_candidate_whose_log_is_less_up_to_date(its: Terms, *, granted: bool) -> None:
    turn = step(follower(2, [1, 1, 1], term=2), vote_request(1, 3, last_of(its)))
    assert [answer.granted for answer in sent(turn, VoteResponse)] == [granted]


class Figure8(Cluster):
    """The five servers of Figure 8, one entry a message."""

    def __init__(self) -> None:
        super().__init__(*FIVE, logs=dict.fromkeys(FIVE, (1,)), config=replace(EAGER, max_append_entries=1))

    def leads(self, id: NodeId, *followers: NodeId, last: int) -> None:
        """``id`` is elected by the living, then reaches ``followers`` until they hold ``last`` entries."""
        while self.leader != id:
            self.fire(id)
            self.run(lambda flight: isinstance(flight.message, AppendRequest))
        reached = {(id, peer) for peer in followers} | {(peer, id) for peer in followers}
        self.lose(lambda flight: (flight.src, flight.dst) not in reached)
        self.run(until=lambda: all(progress(self[id], peer).matched >= last for peer in followers))
        self.lose()

    def picture(self) -> list[list[int]]:
        return [terms(self[id]) for id in FIVE]


def until_c() -> Figure8:
    cluster = Figure8()
    cluster.leads(1, 2, last=2)  # (a) S1 leads term 2, and S2 alone gets its entry
    assert cluster.picture() == [[1, 2], [1, 2], [1], [1], [1]]
    cluster.crash(1)
    cluster.leads(5, last=1)  # (b) S3 and S4 elect S5, which takes another entry
    assert cluster.picture() == [[1, 2], [1, 2], [1], [1], [1, 3]]
    cluster.crash(5)
    cluster.restart(1)
    cluster.leads(1, 3, last=2)  # (c) S1 is back, leads term 4 and goes on replicating: S3 has the old entry now
    assert cluster.picture() == [[1, 2, 4], [1, 2], [1, 2], [1], [1, 3]]
    return cluster


@pytest.mark.row("CM-01")
def test_figure_8_an_old_entry_on_a_majority_is_not_committed_and_may_be_overwritten() -> None:
    cluster = until_c()
    assert cluster[1].committed == 0
    cluster.crash(1)
    cluster.restart(5)
    cluster.leads(5, 2, 3, 4, last=3)  # (d) S5 is elected by S2, S3 and S4, and overwrites it
    assert cluster.picture() == [[1, 2, 4], [1, 3, 5], [1, 3, 5], [1, 3, 5], [1, 3, 5]]
    assert cluster[5].committed == 3


@pytest.mark.row("CM-02")
def test_figure_8_with_an_entry_of_the_leaders_own_term_on_a_majority_the_old_one_is_safe() -> None:
    cluster = until_c()
    cluster.retry(1)  # (e) the entry of term 4 reaches the others too
    assert cluster[1].committed == 3
    cluster.crash(1)
    cluster.restart(5)
    cluster.fire(5)
    cluster.run()
    assert cluster.leader == 0, "nobody of the majority grants"


def test_a_leader_has_every_committed_entry_because_the_voters_check() -> None:
    cluster = Cluster(*FIVE)
    cluster.elect(1)
    cluster.isolate(4, 5)
    cluster.write("kept")
    cluster.run()
    cluster.heal()
    cluster.crash(1)
    cluster.fire(4)
    cluster.run()
    assert cluster.leader == 0
    cluster.elect(2)
    assert cluster.nodes[2].machine == [b"kept"]


# §5.5 Crashes, §5.6 timing


def test_requests_are_idempotent() -> None:
    word = append_request(1, 1, id_of(1), entries([1, 1], 2), commit=3)
    once = after(follower(2, [1]), word)
    twice = step(once, word)
    assert (twice.after, [type(answer) for answer in answers(twice)]) == (once, [AppendAccepted])


def test_broadcast_is_faster_than_the_election_timeout() -> None:
    config = Config().validated()
    assert config.heartbeat_interval < config.election_timeout[0]


# §6 Membership


def test_a_configuration_governs_as_soon_as_it_is_in_the_log() -> None:
    state = streaming(leader(1, learners=[4]))
    turn = step(state, ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 2, 4}))))
    assert turn.after.membership.configs == (frozenset({1, 2, 3}), frozenset({1, 2, 4}))
    assert turn.after.committed == state.committed


def test_while_joint_elections_and_commits_need_a_majority_of_both_sets() -> None:
    joint = Membership(configs=(frozenset({1, 2, 3}), frozenset({1, 4, 5})))
    state = candidate(1, membership=joint)
    assert isinstance(after(state, grant(2), grant(3)).role, Candidate)
    leading = after(state, grant(2), grant(4))
    assert isinstance(leading.role, Leader)
    leading = after(leading, all_stored(leading), accepted(2, leading), accepted(3, leading))
    assert leading.committed == 0
    assert after(leading, accepted(5, leading)).committed == 1


def test_who_heard_from_a_leader_lately_disregards_vote_requests() -> None:
    leased = after(follower(2, config=Config()), heartbeat(1, 1))
    assert after(leased, vote_request(3, 5)) == leased


# §7 Compaction


def test_each_server_takes_its_own_snapshots_of_what_is_committed() -> None:
    state = follower(2, [1] * 4, config=replace(EAGER, snapshot_logs_since_last=3))
    turn = step(state, append_request(1, 1, id_of(4), commit=3))
    (order,) = commands(turn, TakeSnapshot)
    assert (order.last, order.membership) == (id_of(3), state.membership)


# §8 Clients


def test_a_follower_names_the_leader_to_a_client() -> None:
    (refusal,) = commands(step(follower(3, leader=2), propose("x")), Refuse)
    assert isinstance(refusal.refusal, NotLeading)
    assert refusal.refusal.leader == 2


def test_a_leader_begins_its_term_with_a_noop() -> None:
    assert leader(1, [1], term=2).log.entry(2).payload == Noop()


def test_a_read_waits_until_a_majority_confirms_the_leader() -> None:
    state = streaming(leader(1))
    asked = step(state, Read((7,)))
    assert [send.dst for send in sends(asked)] == [2, 3]
    assert not commands(asked, Apply)
    assert state.log.last > ORIGIN
