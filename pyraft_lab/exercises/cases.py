"""The outages: each a run with a fault in it, and what was asked afterwards."""

from collections.abc import Mapping

from pyraft_lab.engine.config import Config
from pyraft_lab.exercises.forensics import Asked, CaseText
from pyraft_lab.sim.simulation import Simulation

PLAIN = Config(pre_vote=False)


def crashed_leader() -> Simulation:
    """A leader crashes while clients write."""
    sim = Simulation(5, 23, config=PLAIN)
    leader = sim.run_until(lambda s: s.leader or 0)
    _write(sim, 6)
    sim.crash(leader)
    _write(sim, 6)
    sim.run(1.0)
    sim.restart(leader)
    _write(sim, 3)
    sim.run(0.5)
    return sim


def lost_disk() -> Simulation:
    """A voter loses its disk, and with it an acknowledged write."""
    sim = Simulation(3, 5, config=Config(pre_vote=False, vote_lease=False, check_quorum=False))
    leader = sim.run_until(lambda s: s.leader or 0)
    sim.run(0.2)
    keeps, away = (node for node in sim.nodes if node != leader)
    sim.partition({away})
    call = sim.write({"op": "put", "key": "balance", "value": 250})
    sim.run_until(lambda _: call.done, timeout=2)
    sim.crash(leader)
    sim.crash(keeps)
    sim.wipe(keeps)
    sim.heal()
    sim.restart(keeps)
    sim.run(2.0)
    return sim


def one_way_cuts() -> Simulation:
    """One server hears nothing, and deposes the leader again and again."""
    sim = Simulation(5, 31, config=Config(pre_vote=False, vote_lease=False, check_quorum=False))
    leader = sim.run_until(lambda s: s.leader or 0)
    _write(sim, 3)
    deaf = max(node for node in sim.nodes if node != leader)
    for node in sim.nodes:
        if node != deaf:
            sim.cut(node, deaf)
    _write(sim, 8)
    sim.run(1.0)
    return sim


def full_disks() -> Simulation:
    """The disks of two servers are full; a third crashes, and nothing commits."""
    sim = Simulation(5, 41, config=PLAIN)
    leader = sim.run_until(lambda s: s.leader or 0)
    _write(sim, 3)
    first, second, third = [node for node in sim.nodes if node != leader][:3]
    sim.break_disk(first, full=True)
    sim.break_disk(second, full=True)
    _write(sim, 3)
    sim.crash(third)
    _write(sim, 3)
    sim.run(0.5)
    return sim


def _write(sim: Simulation, count: int) -> None:
    for value in range(count):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.05)


CASES: Mapping[str, CaseText] = {
    one.name: one
    for one in (
        CaseText(
            name="a-silent-night",
            chapter=2,
            report="At night clients waited for a while, then everything went on.",
            run=crashed_leader,
            rule="after an election timeout the others elect a leader that has every committed entry (§5.2, §5.4)",
            questions={
                "crashed": Asked("which server crashed?", "9455e04b54fd2f91", "the events of kind crash"),
                "successor": Asked("who led next?", "b5120478029ad149", "the roles of the rows after the crash"),
                "term": Asked("in which term did it lead?", "c74f1b44582bba4a", "the column term of that server"),
                "missing": Asked(
                    "is any acknowledged write missing in the end? (yes or no)",
                    "2e425eb653076d29",
                    "the calls of the clients, and the entries at the end",
                ),
            },
        ),
        CaseText(
            name="a-new-disk",
            chapter=16,
            report="A customer saw a balance of 250, and an hour later it was gone. Nobody wrote in between.",
            run=lost_disk,
            rule="an acknowledged entry is safe only while the disks of its majority are (§5.1, Figure 2)",
            questions={
                "lost": Asked(
                    "which disk was lost?",
                    "bfa295319f44cb36",
                    "the different kinds of events",
                ),
                "leader": Asked(
                    "who led when the balance was acknowledged?",
                    "9c23b4b586a6e572",
                    "who led before the first crash",
                ),
                "index": Asked("at which index was the balance?", "6f4522a126ae6ab1", "the frame .trace.entries"),
            },
        ),
        CaseText(
            name="a-restless-server",
            chapter=1,
            report="Leaders came and went for no visible reason; no server crashed.",
            run=one_way_cuts,
            rule="a server that hears nothing raises the term again and again; pre-vote asks first (dissertation §9.6)",
            questions={
                "restless": Asked(
                    "who made the leaders give up?",
                    "1a1cd770f21c6077",
                    "the server that starts elections in ever new terms",
                ),
                "cuts": Asked("how many links were cut?", "420ed5b3271a700e", "the events of kind cut"),
                "cure": Asked(
                    "which part of the dissertation's Raft would have prevented it? (pre-vote, snapshots or sessions)",
                    "796d9bdf31a526e4",
                    "what a server should ask before it begins a new term",
                ),
            },
        ),
        CaseText(
            name="a-full-disk",
            chapter=16,
            report="No write was answered, although every link was whole and only one server had crashed.",
            run=full_disks,
            rule="an entry counts only where it is on disk; two of five disks are no majority (§5.3, Figure 2)",
            questions={
                "crashed": Asked("which server crashed?", "c3f3a02c7215b5ad", "the events of kind crash"),
                "disks": Asked(
                    "how many servers could still write to their disks at the end?",
                    "6d2d0b8e67416403",
                    "the faults of disks, and the crash",
                ),
                "needed": Asked(
                    "how many does a commit need?", "805898393026a4dc", "how many are a majority of the voters"
                ),
            },
        ),
    )
}
"""Every case by name."""
