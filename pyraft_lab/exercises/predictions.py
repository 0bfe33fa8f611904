"""The predictions of the catalogue; each plays small runs, so that many seeds take a second or two."""

from collections.abc import Mapping

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import Timeout
from pyraft_lab.exercises.more_predictions import MORE
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
    """The same, where all timeouts are nearly equal."""
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
    led = sum(node.role == "leader" for node in sim.nodes.values())
    return ("no server", "a server on one side", "one server on each side")[led]


def old_leader_returns(seed: int) -> str:
    """The role of a leader that was cut off, after the partition heals."""
    sim = started(seed)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.partition({old})
    sim.run_until(lambda s: s.leader not in {None, old})
    sim.heal()
    sim.run(0.4)
    return "it leads on" if sim.nodes[old].role == "leader" else "it follows"


def write_during_partition(seed: int) -> str:
    """What becomes of a write to a leader that is cut off, a moment later."""
    sim = started(seed)
    old = sim.run_until(lambda s: s.leader or 0)
    sim.run(0.1)
    sim.partition({old})
    before = sim.nodes[old].log.last.index
    sim.write({"op": "put", "key": "x", "value": 1}, to=old)
    sim.run(0.03)
    log = sim.nodes[old].log
    if sim.nodes[old].machine.query("x") == 1:
        return "it is committed"
    return "it is appended and not committed" if log.last.index > before else "it is refused"


def commit_after_restart(seed: int) -> str:
    """What a server knows of its commit index just after its restart."""
    sim = started(seed)
    leader = sim.run_until(lambda s: s.leader or 0)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.3)
    follower = next(node for node in sim.nodes if node != leader)
    before = sim.nodes[follower].commit
    sim.crash(follower)
    sim.restart(follower)
    now = sim.nodes[follower]
    if now.commit == 0:
        return "0: nothing is known"
    return "what it was before" if now.commit == before else "the end of its log"


def slow_follower(seed: int) -> str:
    """Whether a write is answered while one follower of three is paused."""
    sim = started(seed)
    leader = sim.run_until(lambda s: s.leader or 0)
    sim.pause(next(node for node in sim.nodes if node != leader))
    call = sim.write({"op": "put", "key": "x", "value": 1}, to=leader)
    sim.run(0.3)
    return "yes" if call.ok else "no"


PREDICTIONS: Mapping[str, PredictionText] = {
    one.name: one
    for one in (
        *MORE.values(),
        PredictionText(
            name="first-term",
            chapter=1,
            question="Five servers start at once with random timeouts. In which term is the first leader elected?",
            choices=("in term 1", "in a later term"),
            scored_by=terms_until_led,
            section="With random timeouts the first candidate is usually the only one (§5.2).",
            hints=("For a split vote two servers must time out within the time that a message takes.",),
        ),
        PredictionText(
            name="equal-timeouts",
            chapter=1,
            question="The same five servers, but all timeouts lie within a millisecond. In which term is the first "
            "leader elected?",
            choices=("in term 1", "in a later term", "not within a second"),
            scored_by=terms_with_same_timeouts,
            section="Without a spread the candidates split the votes again and again (§5.2; Figure 16 measures it).",
            hints=("A candidate votes for itself first. How many candidates are there, when all time out together?",),
            seeds=24,
        ),
        PredictionText(
            name="half-and-half",
            chapter=1,
            question="A partition divides four servers two and two. Who leads after a second?",
            choices=("no server", "a server on one side", "one server on each side"),
            scored_by=without_majority,
            section="A majority of four is three, and no side has three (§5.2).",
            hints=("How many votes does each side have?",),
            seeds=24,
        ),
        PredictionText(
            name="the-old-leader-returns",
            chapter=18,
            question="A leader was cut off, and another one was elected. The partition heals. "
            "What does the old leader do?",
            choices=("it leads on", "it follows"),
            scored_by=old_leader_returns,
            section="The first message with a higher term makes it a follower (§5.1).",
            hints=("Whose term is higher?",),
            seeds=24,
        ),
        PredictionText(
            name="a-write-without-a-majority",
            chapter=2,
            question="A client writes to a leader that has just been cut off, alone. What becomes of the entry there?",
            choices=("it is committed", "it is appended and not committed", "it is refused"),
            scored_by=write_during_partition,
            section="A leader does not know at once that it is alone: it appends, and waits for a majority (§5.3).",
            hints=("How would the leader know that it is cut off?", "Which servers can hold the entry?"),
        ),
        PredictionText(
            name="a-slow-follower",
            chapter=20,
            question="One of two followers is paused. Is a write to the leader answered within 0.3 seconds?",
            choices=("yes", "no"),
            scored_by=slow_follower,
            section="A slow minority does not delay a commit (§5.3).",
            hints=("How many servers must hold the entry, and how many can?",),
        ),
        PredictionText(
            name="commit-index-at-restart",
            chapter=16,
            question="A follower with a committed entry crashes and restarts. What is its commit index at that moment?",
            choices=("what it was before", "0: nothing is known", "the end of its log"),
            scored_by=commit_after_restart,
            section="The commit index is volatile: a leader's next message brings it (Figure 2).",
            hints=("What is on its disk?",),
        ),
    )
}
"""Every prediction by name."""
