"""The puzzles: a start, a goal, a par."""

from collections.abc import Mapping

from pyraft_lab.engine.config import Config
from pyraft_lab.exercises import puzzle_goals as goals
from pyraft_lab.exercises.puzzle import PuzzleText
from pyraft_lab.sim.simulation import Simulation

PLAIN = Config(pre_vote=False, vote_lease=False, check_quorum=False)
"""The Raft of the paper, without what the dissertation adds."""
MANUAL = Config(pre_vote=False, vote_lease=False, check_quorum=False, enable_elect=False, max_append_entries=1)
"""Servers become candidates only when they are told to."""

# Starts


def led(nodes: int = 5, config: Config | None = None) -> Simulation:
    """A cluster with a leader and one committed write, x = 1."""
    sim = Simulation(nodes, 7, config=config)
    sim.run_until(lambda s: s.leader)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.3)
    return sim


def writing() -> Simulation:
    """A cluster in which a client has just sent a write, x = 2."""
    sim = led()
    sim.write({"op": "put", "key": "x", "value": 2})
    return sim


def full_logs() -> Simulation:
    """Ten writes, and no snapshot yet."""
    sim = led(3, Config(keep_logs=0, snapshot_logs_since_last=None))
    for value in range(10):
        sim.write({"op": "put", "key": "x", "value": value})
    sim.run(0.3)
    return sim


def figure_8() -> Simulation:
    """Figure 8 between (b) and (c): n1 and n2 hold entry 3 of term 1, n5 an entry 3 of its own; n5 is down."""
    sim = Simulation(5, 8, config=MANUAL)
    sim.elect(1)
    sim.run(0.1)
    sim.partition({1, 2}, {3, 4, 5})
    sim.write({"op": "put", "key": "x", "value": 1}, to=1)
    sim.run(0.05)
    sim.crash(1)
    sim.partition({2}, {3, 4, 5})
    sim.elect(5)
    sim.run_until(lambda s: s.leader == 5, timeout=1)
    sim.partition({1}, {2}, {3}, {4}, {5})
    sim.run(0.02)
    sim.crash(5)
    sim.restart(1)
    return sim


# Puzzles

NETWORK = (
    PuzzleText(
        name="two-leaders",
        chapter=1,
        goal="Make two servers lead at the same moment",
        start=lambda: led(config=Config(check_quorum=False)),
        missing=goals.no_two_leaders,
        par=1,
        section="Each leads a term of its own; only one of them can still commit (§5.2).",
        hints=("The old leader must not hear of the new one.", "partition() takes groups: who is with the old leader?"),
    ),
    PuzzleText(
        name="elect-n3",
        chapter=21,
        goal="Make n3 the leader",
        start=led,
        missing=goals.no_leader_3,
        par=1,
        section="A leader can hand over its leadership (dissertation §3.10).",
        hints=("Who can make a server campaign at once without disturbing anybody?",),
    ),
    PuzzleText(
        name="elect-n3-by-force",
        chapter=21,
        goal="Make n3 the only leader, without a transfer of leadership",
        start=lambda: led(3),
        missing=goals.no_leader_3,
        par=2,
        forbidden=("transfer",),
        section="Voters that hear their leader refuse their votes (dissertation §4.2.3); so the leader must be "
        "silent first.",
        hints=("A server that hears its leader refuses to vote.", "Silence the leader; then elect() n3 in time."),
    ),
    PuzzleText(
        name="split-votes",
        chapter=1,
        goal="Let three terms in a row pass without a leader",
        start=lambda: led(4, PLAIN),
        missing=goals.no_split_votes,
        par=1,
        section="Without a majority there are candidates, and no leader (§5.2).",
        hints=("How many votes are a majority of four?", "Which partition has no majority on any side?"),
    ),
    PuzzleText(
        name="depose-with-one-cut",
        chapter=18,
        goal="Make the leader give up, without a partition, a crash or a pause",
        start=lambda: led(5, PLAIN),
        missing=goals.not_deposed,
        par=1,
        forbidden=("partition", "crash", "pause", "elect", "transfer"),
        section="A server that hears nothing moves to a new term, and its term deposes the leader (§5.1). "
        "Pre-votes prevent this.",
        hints=("One server that hears no heartbeats is enough.", "cut() is one way: from whom to whom?"),
    ),
    PuzzleText(
        name="late-commit",
        chapter=2,
        goal="Delay the answer to the write of x = 2 by two seconds",
        start=writing,
        missing=goals.no_late_commit,
        par=2,
        forbidden=("crash", "pause"),
        section="Without a majority nothing commits; nothing is lost either (§5.3).",
        hints=("The write must not reach a majority for a while, and must be answered in the end.",),
    ),
    PuzzleText(
        name="commit-with-three",
        chapter=2,
        goal="Get a write of x = 2 acknowledged while two of five servers are down",
        start=led,
        missing=goals.not_enough,
        par=3,
        section="A majority is enough (§5.3).",
        hints=("Three of five are a majority.",),
    ),
    PuzzleText(
        name="lose-an-unacknowledged-write",
        chapter=2,
        goal="Make a server remove an entry from its log",
        start=led,
        missing=goals.no_lost_entry,
        par=3,
        section="What was never committed may be replaced by a later leader's log (§5.3).",
        hints=(
            "An entry that only one server has.",
            "write(..., to=leader) at a leader that is cut off; then another leader; then heal().",
        ),
    ),
    PuzzleText(
        name="figure-8",
        chapter=2,
        goal="Replace entry 3 of term 1 after it was on three disks (Figure 8)",
        start=figure_8,
        missing=goals.no_figure_8,
        par=10,
        section="An old entry on a majority is not committed (§5.4.2, Figure 8).",
        hints=(
            "n1 must be elected again, without n5, and send entry 3 to one more server.",
            "Its own entry, after that one, must reach nobody: max_append_entries is 1, so cut the link in time.",
            "Then n1 crashes, and n5 comes back: its last entry is of a later term.",
        ),
    ),
)
CLIENTS = (
    PuzzleText(
        name="arrives-twice",
        chapter=3,
        goal="Deliver the same entries to a follower twice",
        start=led,
        missing=goals.not_twice,
        par=2,
        section="A follower appends only what is new (§5.3); AppendEntries may be repeated.",
        hints=(".flying lists the messages on their way, each with its id.", "duplicate(id) right after a write."),
    ),
    PuzzleText(
        name="stuck-in-a-joint-membership",
        chapter=4,
        goal="Keep a server in a joint membership for two seconds",
        start=led,
        missing=goals.not_joint,
        par=2,
        section="A joint membership ends when both majorities have it (§6).",
        hints=(
            "The change needs a majority of the old and of the new voters.",
            "First cut off what the new majority needs.",
        ),
    ),
    PuzzleText(
        name="send-a-snapshot",
        chapter=5,
        goal="Make a server install a snapshot that its leader sends",
        start=full_logs,
        missing=goals.no_snapshot_sent,
        par=3,
        section="A snapshot is sent where the entries are gone from the leader's log (§7).",
        hints=(
            "snapshot(leader) also purges the log up to the snapshot's end here.",
            "Who would then need entries that are gone? A newcomer.",
        ),
    ),
    PuzzleText(
        name="stale-read",
        chapter=17,
        goal="Read an old value after a newer one was acknowledged",
        start=led,
        missing=goals.no_stale_read,
        par=2,
        section="A follower may be behind; only reads that a leader confirms are linearizable (§8).",
        hints=(
            "read() has a policy that asks no other server: policy='local', with to= a follower.",
            "A follower learns of a commit a little later.",
        ),
    ),
    PuzzleText(
        name="stale-lease-read",
        chapter=17,
        goal="Read an old value by a lease, after a newer one was acknowledged",
        start=lambda: led(3),
        missing=goals.no_stale_lease_read,
        par=4,
        section="Leases rest on clocks: a rate beyond clock_drift breaks them (dissertation §6.4.1).",
        hints=(
            "Index reads cannot be fooled; leases can, by a clock.",
            "A leader whose clock is slow, cut off, and a write elsewhere.",
        ),
    ),
    PuzzleText(
        name="lose-an-acknowledged-write",
        chapter=16,
        goal="Make the cluster forget x = 2, which it has acknowledged",
        start=lambda: led(3, PLAIN),
        missing=goals.not_forgotten,
        par=7,
        section="Safety rests on disks: Raft does not survive a voter that loses its own (§5.1).",
        hints=(
            "The write must be on two disks, and one of them must be lost.",
            "crash() then wipe(); and who has not seen the write?",
        ),
    ),
)

PUZZLES: Mapping[str, PuzzleText] = {one.name: one for part in (NETWORK, CLIENTS) for one in part}
"""Every puzzle by name."""
