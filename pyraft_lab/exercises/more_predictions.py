"""Predictions whose runs end differently: what a crash at any moment, or a mistake of an operator, makes likely."""

from collections.abc import Mapping
from random import Random

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.membership import as_change
from pyraft_lab.engine.rules import ADVANCED
from pyraft_lab.exercises.prediction import PredictionText
from pyraft_lab.sim.controls import OPERATOR
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Call, Reconfigure

BY_HAND = Config(enable_elect=False, pre_vote=False, vote_lease=False, check_quorum=False)
"""Servers become candidates only when they are told to."""
INCREMENT = {"op": "incr", "key": "n"}


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


MORE: Mapping[str, PredictionText] = {
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
    )
}
"""These predictions by name."""
