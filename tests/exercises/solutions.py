"""One solution of every puzzle, at par."""

from collections.abc import Callable, Mapping

from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.rules import has_heard_leader
from pyraft_lab.engine.types import NodeId
from pyraft_lab.exercises.puzzle_goals import leaders, no_split_votes, not_deposed
from pyraft_lab.sim.simulation import Simulation

X2 = {"op": "put", "key": "x", "value": 2}


def leader_of(sim: Simulation) -> NodeId:
    """The leader of a puzzle's start."""
    assert sim.leader is not None
    return sim.leader


def others(sim: Simulation) -> list[NodeId]:
    """Everybody but the leader."""
    return [node for node in sim.nodes if node != sim.leader]


def two_leaders(sim: Simulation) -> None:
    sim.partition({leader_of(sim)})
    sim.run_until(lambda s: len(leaders(s)) > 1, timeout=5)


def elect_n3(sim: Simulation) -> None:
    sim.transfer(3)
    sim.run(0.5)


def elect_n3_by_force(sim: Simulation) -> None:
    sim.crash(leader_of(sim))
    sim.run_until(lambda s: not any(has_heard_leader(node.state) for node in s.nodes.values() if node.up), timeout=2)
    sim.elect(3)
    sim.run(0.3)


def split_votes(sim: Simulation) -> None:
    sim.partition({1, 2}, {3, 4})
    sim.run_until(lambda s: not no_split_votes(s), timeout=10)


def depose(sim: Simulation) -> None:
    sim.cut(leader_of(sim), others(sim)[0])
    sim.run_until(lambda s: not not_deposed(s), timeout=5)


def late_commit(sim: Simulation) -> None:
    sim.hold()
    sim.run(2.1)
    sim.release()
    sim.run(2.0)


def commit_with_three(sim: Simulation) -> None:
    for node in others(sim)[:2]:
        sim.crash(node)
    sim.write(X2)
    sim.run(0.5)


def lose_unacknowledged(sim: Simulation) -> None:
    old = leader_of(sim)
    sim.partition({old})
    sim.write(X2, to=old)
    sim.run_until(lambda s: s.leader != old, timeout=5)
    sim.heal()
    sim.run(1.0)


def figure_8(sim: Simulation) -> None:
    sim.partition({1, 3, 4}, {2}, {5})
    sim.elect(1)
    sim.run(0.1)
    sim.elect(1)
    for node in (3, 4):
        sim.run_until(lambda s, at=node: s.nodes[at].log.last.index == 3, timeout=1)  # type: ignore[misc]
        sim.cut(1, node)
    sim.run(0.03)
    sim.crash(1)
    sim.restart(5)
    sim.heal()
    sim.elect(5)
    sim.run(0.1)
    sim.elect(5)
    sim.run(0.3)


def arrives_twice(sim: Simulation) -> None:
    sim.write(X2)
    sim.run_until(appends, timeout=1)
    sim.duplicate(appends(sim)[0])
    sim.run(0.3)


def appends(sim: Simulation) -> list[int]:
    return [one.id for one in sim.flying if isinstance(one.message, AppendRequest) and one.message.entries]


def stuck_joint(sim: Simulation) -> None:
    away = others(sim)[:2]
    sim.partition(set(away))
    sim.change_membership({leader_of(sim), *away})
    sim.run(2.5)


def send_snapshot(sim: Simulation) -> None:
    sim.snapshot(leader_of(sim))
    sim.run(0.2)
    sim.add_learner(4)
    sim.run(1.0)


def stale_read(sim: Simulation) -> None:
    call = sim.write(X2)
    sim.run_until(lambda _: call.done, timeout=2)
    sim.read("x", policy="local", to=others(sim)[0])
    sim.run(0.1)


def stale_lease_read(sim: Simulation) -> None:
    old = leader_of(sim)
    sim.drift(old, 0.1)
    sim.partition({old})
    sim.run_until(lambda s: s.leader != old, timeout=5)
    call = sim.write(X2, to=sim.leader)
    sim.run_until(lambda _: call.done, timeout=2)
    sim.read("x", policy="lease", to=old)
    sim.run(0.1)


def lose_acknowledged(sim: Simulation) -> None:
    old = leader_of(sim)
    keeps, away = others(sim)
    sim.partition({away})
    call = sim.write(X2)
    sim.run_until(lambda _: call.done, timeout=2)
    sim.crash(old)
    sim.crash(keeps)
    sim.wipe(keeps)
    sim.heal()
    sim.restart(keeps)
    sim.run(3.0)


SOLUTIONS: Mapping[str, Callable[[Simulation], None]] = {
    "two-leaders": two_leaders,
    "elect-n3": elect_n3,
    "elect-n3-by-force": elect_n3_by_force,
    "split-votes": split_votes,
    "depose-with-one-cut": depose,
    "late-commit": late_commit,
    "commit-with-three": commit_with_three,
    "lose-an-unacknowledged-write": lose_unacknowledged,
    "figure-8": figure_8,
    "arrives-twice": arrives_twice,
    "stuck-in-a-joint-membership": stuck_joint,
    "send-a-snapshot": send_snapshot,
    "stale-read": stale_read,
    "stale-lease-read": stale_lease_read,
    "lose-an-acknowledged-write": lose_acknowledged,
}
