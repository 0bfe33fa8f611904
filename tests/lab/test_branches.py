"""Acting makes a branch, at the newest moment of main too; what was only foreseen leaves no trace."""

import pytest

from pyraft_lab import PyraftError, Simulation
from pyraft_lab.lab.actions import Crash, Drop, Restart, Write, parse_action
from pyraft_lab.lab.branches import Branches


def led(seconds: float = 0.3) -> Simulation:
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    sim.run(seconds)
    return sim


def test_looking_ahead_leaves_the_simulation_where_it_is() -> None:
    sim = led()
    branch, before = Branches(sim)["main"], len(sim.trace)
    branch.look_ahead(before + 100)
    assert (branch.count, len(sim.trace)) == (before + 100, before)


def test_what_was_foreseen_comes_about() -> None:
    sim = led()
    branch = Branches(sim)["main"]
    branch.look_ahead(branch.count + 80)
    foreseen = branch.recording.trace.digest()
    branch.follow(branch.count - 1)
    assert sim.trace.digest() == foreseen


def test_an_order_here_and_now_is_given_to_the_simulation_itself() -> None:
    sim = led()
    branches = Branches(sim)
    branch = branches.act("main", branches["main"].last_event, sim.now, Crash(2))
    assert branch.sim is sim
    assert not sim.nodes[2].up


def test_an_order_at_the_newest_moment_makes_a_branch_and_leaves_main_as_it_was() -> None:
    branches = Branches(led())
    main = branches["main"]
    main.look_ahead(main.count + 50)
    before, seen = main.recording.trace.digest(), main.last_event
    branch = branches.act("main", seen, main.sim.now, Crash(2))
    assert (branch.name, branch.parent, branch.at, branch.why) == ("what-if-1", "main", seen, "n2 crashed")
    assert branches["main"].sim.nodes[2].up
    branches["main"].follow(seen + 50)
    assert branches["main"].recording.trace.digest() == before


def test_a_further_order_at_the_newest_moment_of_a_branch_continues_it() -> None:
    sim = led()
    branches = Branches(sim)
    first = branches.act("main", branches["main"].last_event, sim.now, Crash(2))
    assert branches.act(first.name, first.last_event, sim.now, Restart(2)) is first
    assert list(branches.all) == ["main", "what-if-1"]


def test_an_impossible_order_at_the_newest_moment_makes_no_branch() -> None:
    sim = led()
    branches = Branches(sim)
    with pytest.raises(PyraftError):
        branches.act("main", branches["main"].last_event, sim.now, Restart(2))
    assert list(branches.all) == ["main"]


def test_an_order_makes_the_foreseen_undone() -> None:
    sim = led()
    branches = Branches(sim)
    branch = branches.act("main", branches["main"].last_event, sim.now, Crash(2))
    branch.look_ahead(branch.count + 50)
    seen, version = branch.last_event, branch.version
    branches.act(branch.name, seen, sim.now, Restart(2))
    assert (branch.last_event, branch.version, branch.kept) == (seen + 1, version + 1, seen + 1)


def test_an_order_in_the_past_makes_a_branch_and_leaves_the_old_future() -> None:
    sim = led()
    before = sim.trace.digest()
    branches = Branches(sim)
    branch = branches.act("main", 23, 0.0, Crash(1))
    assert (branch.name, branch.parent, branch.at, branch.why) == ("what-if-1", "main", 23, "n1 crashed")
    assert not branch.sim.nodes[1].up
    assert sim.trace.digest() == before


def test_a_branch_of_a_branch_has_its_own_name() -> None:
    branches = Branches(led())
    first = branches.act("main", 40, 0.0, Write("x", 1))
    first.look_ahead(first.count + 20)
    first.follow(first.count - 1)
    second = branches.act(first.name, 45, 0.0, Crash(1))
    assert (second.name, second.parent) == ("what-if-2", "what-if-1")


def test_an_order_between_two_events_happens_between_them() -> None:
    sim = led()
    branches = Branches(sim)
    before, after = sim.trace.record(23).time, sim.trace.record(24).time
    branch = branches.act("main", 23, (before + after) / 2, Crash(5))
    assert before < branch.sim.now < after


def test_what_cannot_be_done_is_said_and_makes_no_branch() -> None:
    branches = Branches(led())
    with pytest.raises(PyraftError, match="not on its way"):
        branches.act("main", 23, 0.0, Drop(999))
    assert list(branches.all) == ["main"]


def test_a_user_who_goes_on_in_a_cell_is_followed() -> None:
    sim = led()
    branch = Branches(sim)["main"]
    branch.look_ahead(branch.count + 30)
    sim.crash(3)
    assert branch.count == len(sim.trace)
    assert branch.tape.marks[-1].words == "n3 crashes"


def test_nonsense_from_the_drawing_is_refused() -> None:
    with pytest.raises(PyraftError, match="invalid order"):
        parse_action({"type": "explode", "node": 1})


def test_a_branch_names_the_message_that_was_lost() -> None:
    sim = led()
    sent = next(record for record in sim.trace.records if record.sent)
    lost = Branches(sim).act("main", sent.id, 0.0, Drop(sent.sent[0].id))
    assert lost.why == "n1's PreVoteRequest to n2 dropped"
