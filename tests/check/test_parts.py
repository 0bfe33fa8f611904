"""Machine, client and applier on trial alone; a reference beside clusters; questions to states."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
from msgspec.structs import replace

from pyraft_lab.check.applier_trial import applier_failure
from pyraft_lab.check.campaign import CampaignSettings, run_seed
from pyraft_lab.check.client_trial import OUTCOMES_ARE_TRUE, client_failure
from pyraft_lab.check.failure import Failure
from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS, SameStates
from pyraft_lab.check.machine_trial import machine_failure
from pyraft_lab.check.mutants.code_mutant import Edit
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.mutants.harmless import HARMLESS
from pyraft_lab.check.reference import LIKE_THE_REFERENCE, REJECTED, Reference
from pyraft_lab.check.swarm import Draw
from pyraft_lab.check.what_if import WhatIf, shape_of, waits_end
from pyraft_lab.command import encode
from pyraft_lab.engine.commands import Truncate
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Receive
from pyraft_lab.engine.log import Entry, Noop
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.types import LogId, Vote
from pyraft_lab.sim.simulation import Simulation

Part = Callable[[Draw], Failure | None]
MACHINE = ("evicts-silently", "accepts-forgotten", "accepts-expired", "ignores-order", "restores-without-bytes",
           "restores-onto-the-old", "drops-empty-values")  # fmt: skip
CLIENT = ("resends-after-expiry", "never-uncertain", "sends-what-was-given-up", "reads-always-by-lease",
          "overtakes-the-uncertain", "overtakes-what-waits")  # fmt: skip


@pytest.mark.parametrize("part", [machine_failure, client_failure, applier_failure])
def test_each_part_of_this_library_does_as_it_should(part: Part) -> None:
    assert [found for seed in range(3) if (found := part(Draw(seed=seed))) is not None] == []


@pytest.mark.parametrize(
    ("part", "mutant", "name"),
    [
        *((machine_failure, mutant, LIKE_THE_REFERENCE) for mutant in MACHINE),
        *((client_failure, mutant, OUTCOMES_ARE_TRUE) for mutant in CLIENT),
        (applier_failure, "applies-while-busy", LIKE_THE_REFERENCE),
        (applier_failure, "snapshots-the-living", LIKE_THE_REFERENCE),
    ],
)
def test_what_a_part_does_wrong_is_found_without_a_cluster(part: Part, mutant: str, name: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        found = next(filter(None, (part(Draw(seed=seed)) for seed in range(10))), None)
    assert found is not None
    assert found.name == name


def test_a_copy_that_shares_what_it_changes_is_found() -> None:
    shares = Edit("pyraft_lab.machine:KeyValue.fork", "_changes=dict(self._changes)", "_changes=self._changes")
    with shares.applied():
        found = machine_failure(Draw(seed=1))
    assert found is not None
    assert "copy" in found.what


def test_the_reference_refuses_what_the_machine_refuses() -> None:
    reference = Reference(expiry=100, most=3)
    assert reference.apply(1, encode({"op": "append", "key": "x", "value": 1})) is REJECTED
    assert reference.apply(2, encode({"op": "dance", "key": "x"})) is None, "what the machine says is its own business"
    assert reference.apply(3, encode("nothing like a command")) is REJECTED
    assert reference.apply(4, b"\xc1") is REJECTED
    assert reference.table == {}


def test_a_machine_that_is_wrong_everywhere_differs_from_the_reference() -> None:
    forgets = Edit("pyraft_lab.machine:KeyValue._append", "old + more", "more")
    found = []
    for edit in (nullcontext(), forgets.applied()):
        with edit:
            sim = Simulation(3, checks=(SameStates(),))
            for _ in range(3):
                sim.write({"op": "append", "key": "x", "value": "a"})
                sim.run(0.5)
            found.append({one.name for one in sim.violations})
    assert found == [set(), {LIKE_THE_REFERENCE}]


def test_a_fork_compares_machines_as_the_run_did() -> None:
    sim = Simulation(3, checks=(SameStates(),), record=True)
    for number in range(3):
        sim.write({"op": "put", "key": "x", "value": number})
        sim.run(0.5)
    fork = sim.fork()
    fork.write({"op": "put", "key": "x", "value": 7})
    fork.run(0.5)
    assert not fork.violations
    assert not sim.violations


def test_states_of_one_shape_are_asked_once_and_now_and_then() -> None:
    sim = Simulation(3, checks=(WhatIf(),))
    sim.run(1.0)
    assert not sim.violations
    assert len({shape_of(node.state) for node in sim.world.nodes.values()}) == 2, "a leader, and its followers"


def test_a_caller_that_would_wait_for_an_entry_that_is_gone_is_found() -> None:
    sim = Simulation(3)
    leader = sim.run_until(lambda s: s.leader)
    sim.run(0.5)
    follower = next(one.state for one in sim.nodes.values() if one.id != leader)
    last, vote = follower.log.last, Vote(follower.term + 1, 9, committed=True)
    own = [Entry(LogId(last.term, follower.id, last.index + place), Noop()) for place in (1, 2)]
    before = replace(follower, disk=replace(follower.disk, log=follower.log.append(own)))
    entry = Entry(LogId(vote.term, 9, last.index + 1), Noop())
    appended = step(before, Receive(9, AppendRequest(vote=vote, prev=last, entries=(entry,), round=1)))
    assert list(waits_end(appended)) == []
    without = tuple(one for one in appended.commands if not isinstance(one, Truncate))
    assert {name for name, _ in waits_end(replace(appended, commands=without))} == {EVERY_WAIT_ENDS}


@pytest.mark.parametrize("change", HARMLESS, ids=[one.name for one in HARMLESS])
def test_a_change_that_is_no_mistake_breaks_no_promise(change: object) -> None:
    one = next(one for one in HARMLESS if one is change)
    assert one.why.strip()
    with one.edit.applied():
        assert [client_failure(Draw(seed=seed)) for seed in range(3)] == [None] * 3
        assert [run_seed(CampaignSettings().trial(seed)).what for seed in (0, 2, 8, 14)] == [""] * 4
