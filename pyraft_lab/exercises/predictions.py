"""The predictions of the catalogue; each plays small runs, so that many seeds take a second or two."""

from collections.abc import Mapping

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import Timeout
from pyraft_lab.exercises.prediction import PredictionText
from pyraft_lab.sim.simulation import Simulation

PLAIN = Config(pre_vote=False)
SAME = Config(pre_vote=False, election_timeout=(0.150, 0.151))
"""Election timeouts that are nearly the same on every server."""


def started(seed: int, nodes: int = 3, config: Config = PLAIN) -> Simulation:
    """A cluster in which nothing has happened; without a trace and without checks, since only the end counts."""
    return Simulation(nodes, seed, config=config, record=False, checks=())


def terms_until_led(seed: int) -> str:
    """In which term the first leader of five is elected."""
    sim = started(seed, 5)
    sim.run_until(lambda s: s.leader or 0)
    return "in term 1" if max(node.term for node in sim.nodes.values()) == 1 else "in a later term"


def terms_with_same_timeouts(seed: int) -> str:
    """Whether term 1 elects a leader if all election timeouts are nearly equal; runs one seed, and answers in words."""
    sim = started(seed, 5, SAME)
    try:
        sim.run_until(lambda s: s.leader, timeout=1.0)
    except Timeout:
        return "not within a second"
    return "in term 1" if max(node.term for node in sim.nodes.values()) == 1 else "in a later term"


def without_majority(seed: int) -> str:
    """Whether two of four servers elect a leader."""
    sim = started(seed, 4)
    sim.partition({1, 2}, {3, 4})
    sim.run(1.0)
    return "a leader on one side" if sim.leader else "nobody leads"


def old_leader_returns(seed: int) -> str:
    """The role of a leader that was cut off, after the partition heals."""
    sim = started(seed)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.partition({old})
    sim.run_until(lambda s: s.leader not in {None, old})
    sim.heal()
    sim.run(0.4)
    return "it leads again" if sim.nodes[old].role == "leader" else "it follows"


def write_during_partition(seed: int) -> str:
    """What becomes of a write to a leader that is cut off, half a second later."""
    sim = started(seed)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.partition({old})
    sim.write({"op": "put", "key": "x", "value": 1}, to=old)
    sim.run(0.03)
    return "committed" if sim.nodes[old].machine.query("x") == 1 else "not committed"


def commit_after_restart(seed: int) -> str:
    """What a server knows of its commit index just after its restart."""
    sim = started(seed)
    leader = sim.run_until(lambda s: s.leader or 0)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.3)
    follower = next(node for node in sim.nodes if node != leader)
    sim.crash(follower)
    sim.restart(follower)
    return "nothing" if sim.nodes[follower].commit == 0 else "what it was"


def slow_follower(seed: int) -> str:
    """Whether a write is answered while one follower of three is paused."""
    sim = started(seed)
    leader = sim.run_until(lambda s: s.leader or 0)
    sim.pause(next(node for node in sim.nodes if node != leader))
    call = sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.3)
    return "yes" if call.ok else "no"


PREDICTIONS: Mapping[str, PredictionText] = {
    one.name: one
    for one in (
        PredictionText(
            name="first-term",
            chapter=1,
            question="Five servers start at once with random timeouts. When is the first leader elected?",
            choices=("in term 1", "in a later term"),
            scored_by=terms_until_led,
            section="Random timeouts make the first candidate usually the only one (§5.2).",
            hints=("What must happen for a split vote?",),
        ),
        PredictionText(
            name="equal-timeouts",
            chapter=1,
            question="The same five servers, but all timeouts lie within a millisecond. When is the first "
            "leader elected?",
            choices=("in term 1", "in a later term", "not within a second"),
            scored_by=terms_with_same_timeouts,
            section="Without a spread the candidates split the votes again and again (§5.2, Figure 16).",
            hints=("Everybody votes for itself first.",),
            seeds=24,
        ),
        PredictionText(
            name="half-and-half",
            chapter=1,
            question="Four servers are divided two and two. What happens?",
            choices=("nobody leads", "a leader on one side", "a leader on each side"),
            scored_by=without_majority,
            section="A majority of four is three (§5.2).",
            hints=("How many votes does each side have?",),
            seeds=24,
        ),
        PredictionText(
            name="the-old-leader-returns",
            chapter=18,
            question="A leader was cut off, another one was elected. The partition heals. What is the old leader then?",
            choices=("it leads again", "it follows"),
            scored_by=old_leader_returns,
            section="A higher term deposes it (§5.1).",
            hints=("Whose term is higher?",),
            seeds=24,
        ),
        PredictionText(
            name="a-write-without-a-majority",
            chapter=2,
            question="A client writes to a leader that has just been cut off. What is the entry there?",
            choices=("committed", "not committed"),
            scored_by=write_during_partition,
            section="An entry commits when a majority holds it (§5.3).",
            hints=("Who can hold the entry?",),
        ),
        PredictionText(
            name="a-slow-follower",
            chapter=20,
            question="One of two followers is paused. Is a write answered within 0.3 seconds?",
            choices=("yes", "no"),
            scored_by=slow_follower,
            section="A slow minority does not delay a commit (§5.3).",
            hints=("Two of three are a majority.",),
        ),
        PredictionText(
            name="commit-index-at-restart",
            chapter=16,
            question="A follower crashes and restarts. What does it know of its commit index at that moment?",
            choices=("what it was", "nothing"),
            scored_by=commit_after_restart,
            section="The commit index is volatile (Figure 2).",
            hints=("What is on its disk?",),
        ),
    )
}
"""Every prediction by name."""
