"""The predictions of the catalogue; each plays small runs, so that many seeds take a second or two."""

from collections.abc import Mapping
from random import Random

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.membership import as_change
from pyraft_lab.engine.rules import ADVANCED
from pyraft_lab.errors import Timeout
from pyraft_lab.exercises.prediction import PredictionText
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Call, Reconfigure

PLAIN = Config(pre_vote=False)
SAME = Config(pre_vote=False, election_timeout=(0.150, 0.151))
"""Election timeouts that are nearly the same on every server."""
BY_HAND = Config(enable_elect=False, pre_vote=False, vote_lease=False, check_quorum=False)
"""Servers become candidates only when they are told to."""
INCREMENT = {"op": "incr", "key": "n"}


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


def led(seed: int, nodes: int = 3, learners: frozenset[int] = frozenset()) -> Simulation:
    """A cluster that has a leader and has committed its first entry."""
    sim = Simulation(nodes, seed, learners=learners, record=False, checks=())
    sim.run_until(lambda s: s.leader and s.nodes[s.leader].commit > 1, timeout=5)
    sim.run(0.1)
    return sim


def leader_of(sim: Simulation) -> int:
    """The leader, which there is."""
    assert sim.leader is not None
    return sim.leader


def _moment(seed: int, within: float) -> float:
    """A moment by chance, in seconds from now."""
    return Random(seed).uniform(0.0, within)


def after_a_partition(seed: int) -> str:
    """Which entries are in every log after a partition: nine of a lonely leader, or one of the next leader."""
    sim = led(seed, 5)
    old = leader_of(sim)
    sim.partition({old})
    for value in range(9):
        sim.write({"op": "put", "key": "x", "value": value}, to=old)
    sim.run_until(lambda s: s.leader not in {None, old}, timeout=5)
    sim.write({"op": "put", "key": "y", "value": 1}, to=leader_of(sim))
    sim.run(0.1)
    sim.heal()
    sim.run(0.5)
    machine = sim.nodes[leader_of(sim)].machine
    kept = {(True, False): "the nine", (False, True): "the one", (True, True): "all ten"}
    return kept[machine.query("x") is not None, machine.query("y") is not None]


def cut_off_while_joint(seed: int) -> str:
    """What becomes of a change of voters whose leader is cut off within 5 ms after its first entry."""
    sim = led(seed, learners=frozenset({4, 5}))
    old = leader_of(sim)
    wish = Reconfigure(as_change({3, 4, 5}))
    sim.call(Call(client=OPERATOR, request=wish, to=old))  # asked once: an operator that asks again would finish it
    sim.run_until(lambda s: s.nodes[old].membership.is_joint, timeout=1)
    sim.run(_moment(seed, 0.005))
    sim.partition({old})
    sim.run(2.0)
    membership = sim.nodes[leader_of(sim)].membership
    if membership.is_joint:
        return "it stays joint"
    return "it is finished" if membership.voters == {3, 4, 5} else "it is undone"


def read_at_the_old_leader(seed: int) -> str:
    """What a read finds that the leader that was cut off answers alone."""
    sim = led(seed, 5)
    old = leader_of(sim)
    sim.write({"op": "put", "key": "x", "value": "old"})
    sim.run(0.3)
    sim.partition({old})
    sim.run_until(lambda s: s.leader not in {None, old}, timeout=5)
    write = sim.write({"op": "put", "key": "x", "value": "new"}, to=leader_of(sim))
    sim.run_until(lambda _: write.done, timeout=2)
    read = sim.read("x", policy="local", to=old)
    sim.run(0.05)
    return f"the {read.value} value" if read.ok else "an error"


def sent_twice(seed: int) -> str:
    """A counter, after a client without a session sent its increment to a leader that was cut off, and to the next."""
    sim = led(seed)
    old = leader_of(sim)
    sim.write(INCREMENT, to=old)
    sim.run(_moment(seed, 0.012))
    sim.partition({old})
    sim.run_until(lambda s: s.leader not in {None, old}, timeout=5)
    sim.write(INCREMENT, to=leader_of(sim))
    sim.run(0.3)
    return str(sim.nodes[leader_of(sim)].machine.query("n"))


def two_lists(seed: int) -> str:
    """How many leaders there are after two operators initialized {1, 2} and {2, 3}."""
    sim = Simulation(3, seed, initialize=False, record=False, checks=())
    sim.initialize({1, 2}, at=1)
    sim.initialize({2, 3}, at=3)
    sim.run(2.0)
    led = sum(node.role == "leader" for node in sim.nodes.values())
    return ("no leader", "one leader", "two leaders")[led]


def race_in_order(seed: int) -> str:
    """How many servers led term 1 when two campaigned 4 ms apart under openraft's order of votes."""
    sim = Simulation(3, seed, engine=raft(ADVANCED), config=BY_HAND, checks=())
    sim.run(0.1)
    sim.elect(1)
    sim.run(0.004)
    sim.elect(3)
    sim.run(0.3)
    steps = (record.step for record in sim.trace.records if record.step is not None)
    led = {step.after.id for step in steps if step.after.role_name == "leader"}
    return ("none", "one", "two, one after the other")[len(led)]


PREDICTIONS: Mapping[str, PredictionText] = {
    one.name: one
    for one in (
        PredictionText(
            name="whose-entries-survive",
            chapter=3,
            question="A leader that is cut off appends nine entries. The others elect a leader, which appends one "
            "and commits it. The network heals. Which entries are in the logs in the end?",
            choices=("the nine", "the one", "all ten"),
            scored_by=after_a_partition,
            section="A leader never changes its own log; followers take it over, whatever they had (§5.3, Figure 3).",
            hints=("Which of the entries may a client already have been told about?",),
            seeds=24,
        ),
        PredictionText(
            name="cut-off-while-joint",
            chapter=4,
            question="A leader appends a joint membership and is cut off within the next 5 ms. "
            "What becomes of the change?",
            choices=("it is finished", "it is undone", "it stays joint"),
            scored_by=cut_off_while_joint,
            section="The next leader finishes the change if its log has the joint entry; if not, nobody has heard of "
            "the change (§6).",
            hints=("When does the next leader have the joint entry in its log?", "A message takes 1 to 10 ms."),
        ),
        PredictionText(
            name="a-read-at-the-old-leader",
            chapter=6,
            question="A leader is cut off; another one is elected and a client is told that it wrote x. Another client "
            "reads x at the old leader, which answers from its own state. What does it get?",
            choices=("the old value", "the new value", "an error"),
            scored_by=read_at_the_old_leader,
            section="A server alone cannot know that it was replaced: its answer is stale (§8, dissertation §6.4).",
            hints=("What has the old leader heard since it was cut off?",),
            seeds=24,
        ),
        PredictionText(
            name="sent-twice",
            chapter=14,
            question="A client asks a leader to add 1 to n, and the leader is cut off within 12 ms. The client hears "
            "nothing, and asks the next leader the same, without a session. What is n?",
            choices=("1", "2"),
            scored_by=sent_twice,
            section="The first command may have reached a follower or not, and the client cannot know; a session "
            "makes the answer 1 in every run (§8, dissertation §6.3).",
            hints=("In which case does the next leader have the first command in its log?",),
        ),
        PredictionText(
            name="two-lists",
            chapter=22,
            question="One operator initializes server 1 with {1, 2}, another one server 3 with {2, 3}. "
            "How many leaders are there after two seconds?",
            choices=("no leader", "one leader", "two leaders"),
            scored_by=two_lists,
            section="Each group needs server 2, which belongs to the first leader that reaches it: by chance, not by a "
            "rule (§6; dissertation §4.4).",
            hints=("How many votes does each group need?", "How often does server 2 vote in a term?"),
        ),
        PredictionText(
            name="a-race-in-order",
            chapter=23,
            question="Votes have openraft's order. Server 1 campaigns, and server 3 in the same term 4 ms later. "
            "How many servers lead this term?",
            choices=("none", "one", "two, one after the other"),
            scored_by=race_in_order,
            section="Server 3's vote is the greater one: it wins in every run, sometimes after server 1 had won.",
            hints=("A voter may replace its vote for server 1 by one for server 3, in the same term.",),
        ),
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
