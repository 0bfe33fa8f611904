"""Capsules: a run as a line of text that is built again and proved the same, or refused with the reason."""

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import Elect
from pyraft_lab.engine.rules import ADVANCED, RAFT, Rules, supersedes_in_order
from pyraft_lab.errors import CapsuleError, CapsuleMismatch
from pyraft_lab.machine import Counter
from pyraft_lab.sim import capsule as capsules
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.faults.generate import run_with_faults
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.timeline import ExternalAction
from pyraft_lab.sim.world import Crash, Notify


def lesson() -> Simulation:
    sim = Simulation(5, seed=7, config=Config(keep_logs=5), weather=Weather(loss=0.05))
    sim.run_until(lambda s: s.leader)
    for value in range(10):
        sim.write({"op": "put", "key": "x", "value": [value, {"y": None}]})
        sim.run(0.1)
    assert sim.leader
    sim.crash(sim.leader)
    sim.run(2)
    sim.partition({1, 2}, {3, 4, 5})
    sim.break_disk(1, slow=3.0)
    sim.run(1)
    sim.heal()
    sim.add_learner(6)
    sim.run(1)
    sim.change_membership({1, 2, 6})
    sim.run_until(lambda s: s.flying)
    sim.drop(sim.flying[0].id)
    sim.take(sim.pending[1])
    sim.run(1.5)
    return sim


def test_a_lesson_fits_into_a_url_and_is_built_again() -> None:
    sim = lesson()
    text = sim.capsule()
    assert len(text) < 2000
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", text)
    again = Simulation.from_capsule(text)
    assert again.trace.digest() == sim.trace.digest()
    assert again.world == replace(sim.world, setting=again.world.setting)
    assert again.capsule() == text


def test_a_link_may_carry_a_capsule() -> None:
    sim = lesson()
    for link in ("https://example.org/lab?course=1&capsule={}", "http://localhost:8888/lab/tree#capsule={}"):
        assert Simulation.from_capsule(link.format(sim.capsule())).trace.digest() == sim.trace.digest()
    with pytest.raises(CapsuleError, match=r"the link https://example\.org/lab.* has no parameter `capsule`"):
        Simulation.from_capsule("https://example.org/lab?course=1")


SCRIPT = """
import sys
from pyraft_lab.sim.simulation import Simulation
sim = Simulation.from_capsule(sys.argv[1])
print(sim.trace.digest(), sim.capsule() == sys.argv[1])
"""


def test_a_capsule_opens_in_any_process() -> None:
    sim = lesson()
    for seed in ("0", "99"):
        said = subprocess.run(
            [sys.executable, "-c", SCRIPT, sim.capsule()],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert said == [sim.trace.digest(), "True"]


def test_a_run_under_the_nemesis_and_a_fork_have_capsules_of_their_own() -> None:
    sim = Simulation(3, seed=5, config=Config(snapshot_logs_since_last=10, keep_logs=2))
    run_with_faults(sim, "heavy", 4.0, quiet=1.0)
    fork = sim.fork(at=2.0)
    fork.elect(1) if fork.nodes[1].up else fork.restart(1)
    fork.run(1)
    for one in (sim, fork):
        assert Simulation.from_capsule(one.capsule()).trace.digest() == one.trace.digest()


CARELESS = replace(RAFT, vote_refusal=lambda _state, _request: None)
"""Rules of one's own, under which the run would have gone otherwise from its first election on."""


def turned(*tables: Rules) -> Simulation:
    """A run that goes on under one table after another; between them somebody decides something."""
    sim = Simulation(3, seed=2, rules=tables[0])
    sim.run(1.5)
    for node, rules in enumerate(tables[1:], start=1):
        sim = sim.fork(rules=rules)
        sim.elect(node)
        sim.run(1.0)
        sim.crash(node)
        sim.run(0.5)
    return sim


@pytest.mark.parametrize("tables", [(RAFT, ADVANCED), (ADVANCED, replace(RAFT, supersedes=supersedes_in_order), RAFT)])
def test_a_fork_under_other_rules_of_the_library_opens_as_it_is(tables: tuple[Rules, ...]) -> None:
    fork = turned(*tables)
    again = Simulation.from_capsule(fork.capsule())
    assert again.trace.digest() == fork.trace.digest()
    assert [rules for _, rules in again.turns] == list(tables[1:])
    assert again.world.setting == fork.world.setting
    assert again.capsule() == fork.capsule()


@pytest.mark.parametrize("tables", [(RAFT, CARELESS), (CARELESS, RAFT), (CARELESS, ADVANCED, CARELESS)])
def test_a_fork_under_rules_of_ones_own_asks_for_them_and_follows_them_only_there(tables: tuple[Rules, ...]) -> None:
    fork = turned(*tables)
    with pytest.raises(CapsuleError, match=r"rules of its author's own, .*<lambda>; pass them as rules="):
        Simulation.from_capsule(fork.capsule())
    again = Simulation.from_capsule(fork.capsule(), rules=CARELESS)
    assert again.trace.digest() == fork.trace.digest()
    assert [rules for _, rules in again.turns] == list(tables[1:])


def test_two_tables_of_ones_own_cannot_be_passed_as_one() -> None:
    fork = turned(CARELESS, replace(RAFT, may_campaign=lambda _state: True))
    with pytest.raises(CapsuleError, match="only one can be passed"):
        Simulation.from_capsule(fork.capsule(), rules=CARELESS)


def test_a_fork_of_a_fork_keeps_only_the_turns_of_its_past() -> None:
    fork = turned(RAFT, ADVANCED)
    (turn,) = fork.turns
    assert fork.fork(at=turn[0] - 1).turns == (turn,)
    assert fork.fork(at=turn[0] - 2).turns == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Simulation(3, rules=ADVANCED),
        lambda: Simulation(3, rules=replace(RAFT, supersedes=supersedes_in_order)),
        lambda: Simulation(3, machine=Counter),
        lambda: Simulation({2, 4, 6}, learners={7}),
        lambda: Simulation(3, initialize=False),
    ],
)
def test_whatever_a_simulation_was_made_of_is_in_its_capsule(make: Callable[[], Simulation]) -> None:
    sim = make()
    sim.run(1)
    again = Simulation.from_capsule(sim.capsule())
    assert again.world.setting == sim.world.setting
    assert again.trace.digest() == sim.trace.digest()


def test_rules_of_ones_own_are_asked_for_by_name() -> None:
    rules = replace(RAFT, may_campaign=lambda _state: True)
    sim = Simulation(3, rules=rules)
    sim.run(1)
    with pytest.raises(CapsuleError, match=r"rules of its author's own, .*<lambda>; pass them as rules="):
        Simulation.from_capsule(sim.capsule())
    assert Simulation.from_capsule(sim.capsule(), rules=rules).trace.digest() == sim.trace.digest()


def test_nothing_foreign_is_imported_for_a_capsule() -> None:
    forged = replace(capsules.unwrap(Simulation(3).capsule()), rules={"supersedes": "os:system"})
    with pytest.raises(CapsuleError, match="author's own"):
        Simulation.from_capsule(capsules.wrap(forged))
    forged = replace(forged, rules="RIFT")
    with pytest.raises(CapsuleError, match="known are RAFT, ADVANCED"):
        Simulation.from_capsule(capsules.wrap(forged))


def test_other_rules_are_found_out_where_they_first_matter() -> None:
    sim = Simulation(3)
    sim.run(2)
    text = sim.capsule()
    lax = replace(RAFT, pre_vote_refusal=lambda _state, _request: None, has_won=lambda _membership, _granted: True)
    other = Simulation(3, rules=lax)
    other.run(2)
    pairs = zip(sim.trace.records, other.trace.records, strict=False)
    parted = next(mine.id for mine, theirs in pairs if mine != theirs)
    with pytest.raises(CapsuleMismatch, match="rebuilt run differs") as mismatch:
        Simulation.from_capsule(text, rules=lax)
    assert parted <= mismatch.value.event <= parted + 10


def test_the_last_event_counts_too() -> None:
    sim = Simulation(3)
    sim.run(1)
    told = capsules.unwrap(sim.capsule())
    forged = replace(told, proof=replace(told.proof, digest=bytes(8)))
    with pytest.raises(CapsuleMismatch) as mismatch:
        Simulation.from_capsule(capsules.wrap(forged))
    assert mismatch.value.event == sim.world.events - 1


def test_a_capsule_of_another_version_says_so_where_it_does_not_fit() -> None:
    told = capsules.unwrap(lesson().capsule())
    Simulation.from_capsule(capsules.wrap(replace(told, version="9.9")))
    forged = replace(told, version="9.9", seed=8)
    with pytest.raises(CapsuleMismatch, match=r"made by version 9\.9, and this is"):
        Simulation.from_capsule(capsules.wrap(forged))


@pytest.mark.parametrize("deed", [Crash(9), Notify(2, Elect())])
def test_a_deed_that_cannot_be_done_is_a_mismatch(deed: Crash | Notify) -> None:
    sim = Simulation(3)
    sim.crash(2)
    told = capsules.unwrap(sim.capsule())
    forged = replace(told, actions=(*told.actions, ExternalAction(4, 0, deed)), proof=replace(told.proof, events=5))
    with pytest.raises(CapsuleMismatch, match="node"):
        Simulation.from_capsule(capsules.wrap(forged))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text[: len(text) // 2], r"it is cut: \d+ of its \d+ characters are here"),
        (lambda text: text[:9], "cut off within its first characters"),
        (lambda text: text + "AB", "2 characters too many"),
        (lambda text: text[:-3] + "AAA", "damaged"),
        (lambda text: "pyraft3" + text[7:], "of format pyraft3, and this version of the library reads pyraft2"),
        (lambda _text: "hello", "does not begin with pyraft2, but with 'hello'"),
        (lambda _text: "", "does not begin"),
        (lambda _text: "pyraft2.4.29d4f6ab.AAAA", "damaged"),
    ],
)
def test_a_text_that_is_no_capsule_is_refused_with_the_reason(spoil: Callable[[str], str], says: str) -> None:
    text = Simulation(3).capsule()
    with pytest.raises(CapsuleError, match=says):
        Simulation.from_capsule(spoil(text))


def test_a_content_that_makes_no_sense_is_refused() -> None:
    told = capsules.unwrap(Simulation(3).capsule())
    for forged in (replace(told, config={"pre_vote": "maybe"}), replace(told, weather={"fog": 1})):
        with pytest.raises(CapsuleError, match="makes no sense"):
            Simulation.from_capsule(capsules.wrap(forged))


def test_a_run_that_was_not_recorded_has_no_capsule() -> None:
    for record in (False, 10):
        sim = Simulation(3, record=record)
        sim.run(1)
        with pytest.raises(CapsuleError, match="were recorded; use record=True"):
            sim.capsule()


def test_a_content_that_is_too_large_or_no_content_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = lesson().capsule()
    monkeypatch.setattr(capsules, "LARGEST", 10)
    with pytest.raises(CapsuleError, match="it holds more than 10 bytes"):
        Simulation.from_capsule(text)
    body = "AAAAA"
    with pytest.raises(CapsuleError, match="its content makes no sense"):
        Simulation.from_capsule(f"pyraft2.5.{zlib.crc32(body.encode()):08x}.{body}")


def test_a_rule_that_this_version_does_not_have_is_asked_for() -> None:
    forged = replace(
        capsules.unwrap(Simulation(3).capsule()), rules={"supersedes": "pyraft_lab.engine.rules:supersedes_all"}
    )
    with pytest.raises(CapsuleError, match="pass them as rules="):
        Simulation.from_capsule(capsules.wrap(forged))
