"""Stories as scripts: what is done to a cluster, and word for word what is told of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyraft_lab.check.mutants import MUTANTS
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.events import ChangeMembership, Read, TransferLeader
from pyraft_lab.engine.membership import ReplaceVoters
from pyraft_lab.engine.timers import HEARTBEAT, retry
from pyraft_lab.sim.conditions import Weather
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import Kind, Record, Reply
from pyraft_lab.trace.story import lines, sentence, story
from tests.trace.stage import Stage

STORIES = Path(__file__).parent / "stories"


def election() -> Stage:
    """n3 is the first to time out."""
    stage = Stage(config=Config())
    stage.fire(3)
    return stage.run()


def split() -> Stage:
    """Four voters, two candidates, two votes each; the next to time out wins the next term."""
    stage = Stage(4)
    stage.fire(1)
    stage.fire(2)
    stage.play()
    stage.play()
    stage.waiting.append(stage.waiting[2])  # n1's request to n4 is slow
    del stage.waiting[2]
    stage.run()
    stage.fire(2)
    return stage.run()


def write() -> Stage:
    """A client writes twice at once, and the heartbeat comes round."""
    stage = Stage().elect(3).forget()
    stage.write(3, 1, 2)
    stage.run()
    stage.fire(3, HEARTBEAT)
    return stage.run()


def read() -> Stage:
    """A linearizable read."""
    stage = Stage().elect(3).forget()
    stage.tell(3, Read((1,)))
    return stage.run()


def transfer() -> Stage:
    """n3 hands over to n2, which first has to catch up."""
    stage = Stage().elect(3)
    stage.cut = {2}
    stage.write(3, 1)
    stage.run().forget()
    stage.cut = set()
    stage.tell(3, TransferLeader(1, 2))
    stage.fire(3, retry(2))
    return stage.run()


def repair() -> Stage:
    """Figure 7: n1's log contradicts that of n3, which leads after n2."""
    stage = Stage().elect(1)
    stage.cut = {1}
    stage.write(1, 1, 2, 3)
    stage.run()
    stage.elect(2)
    stage.write(2, 5, 6)
    stage.run()
    stage.elect(3).forget()
    stage.cut = set()
    stage.fire(3, retry(1))
    return stage.run()


def figure_8() -> Stage:
    """An entry of term 1 reaches a majority in term 2, and is committed only with one of term 2."""
    stage = Stage(5, config=Config(pre_vote=False, max_append_entries=1)).elect(1)
    stage.cut = {3, 4, 5}
    stage.write(1, 1)
    stage.run().forget()
    stage.cut = set()
    return stage.elect(2)


def joint() -> Stage:
    """Two learners replace two voters."""
    stage = Stage(learners=(4, 5)).elect(1).forget()
    stage.tell(1, ChangeMembership(request=1, change=ReplaceVoters(frozenset({1, 4, 5}))))
    return stage.run()


def removal() -> Stage:
    """The leader takes itself out."""
    stage = Stage().elect(1).forget()
    stage.tell(1, ChangeMembership(request=1, change=ReplaceVoters(frozenset({2, 3}))))
    return stage.run()


def snapshot() -> Stage:
    """n3 comes back when what it lacks is forgotten."""
    stage = Stage(config=Config(pre_vote=False, snapshot_logs_since_last=5, keep_logs=0, snapshot_chunk=40)).elect(1)
    stage.cut = {3}
    stage.forget()
    stage.write(1, *range(6))
    stage.run()
    stage.write(1, 6)
    stage.run()
    stage.cut = set()
    stage.fire(1, retry(3))
    return stage.run()


SCRIPTS = (election, split, write, read, transfer, repair, figure_8, joint, removal, snapshot)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.__name__))
def test_the_story_is_told_word_for_word(script: Callable[[], Stage]) -> None:
    expected = (STORIES / f"{script.__name__}.txt").read_text(encoding="utf-8")
    assert script().story() == expected.splitlines()


def outside(kind: Kind, **facts: Any) -> Record:
    """Something done to the cluster."""
    return Record(id=0, time=2.5, kind=kind, **facts)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (outside(Kind.CRASH, node=2), "n2 crashes and loses its memory and what its disk did not yet hold"),
        (outside(Kind.PAUSE, node=2), "n2 is paused"),
        (
            outside(Kind.SILENT, node=2),
            "n2 is no longer heard from: it has died, is paused, or lost its broker",
        ),
        (outside(Kind.HEARD, node=2), "n2 is heard from again"),
        (outside(Kind.RESUME, node=2), "n2 resumes and receives what arrived meanwhile"),
        (outside(Kind.PARTITION, detail="{1} | {2,3}"), "the network is partitioned into {1} | {2,3}"),
        (outside(Kind.CUT, node=1, peer=3), "messages from n1 no longer reach n3"),
        (outside(Kind.HEAL), "the network is whole again"),
        (outside(Kind.DROP, node=1, peer=2, message=7), "message 7 from n1 to n2 is dropped"),
        (outside(Kind.DRIFT, node=1, detail="clock at 1.5"), "n1 has a clock at 1.5 from now on"),
    ],
)
def test_what_is_done_to_a_cluster_is_told_too(record: Record, told: str) -> None:
    assert sentence(record) == f"t=2.500 {told}"


@pytest.mark.parametrize("kind", Kind)
def test_a_record_of_any_kind_without_a_step_finds_words(kind: Kind) -> None:
    assert sentence(outside(kind, node=1, detail="somehow")).startswith("t=2.500 ")


def test_a_lost_message_is_named_in_the_story() -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run_until(lambda s: s.leader)
    sim.write({"op": "put", "key": "x", "value": 1})
    flight = next(one for one in sim.flying if type(one.message).__name__ == "AppendRequest")
    sim.drop(flight.id)
    assert f"append of entry 2 to n{flight.dst} is dropped" in sim.trace.story()


def test_a_quiet_second_is_told_in_a_few_lines() -> None:
    sim = Simulation(nodes=5, seed=7)
    leader = sim.run_until(lambda s: s.leader)
    sim.run(0.2)
    start = sim.now
    sim.run(1.0)
    told = sim.trace.story(start).splitlines()
    assert len(told) == 1
    assert f"n{leader} keeps in touch with" in told[0]


def test_what_an_answer_to_a_heartbeat_brings_about_is_told() -> None:
    stage = Stage().elect(3)
    stage.cut = {2}
    stage.write(3, 1)
    stage.run()
    stage.fire(3, retry(2))
    stage.cut = set()
    stage.forget()
    stage.fire(3, HEARTBEAT)
    told = stage.run().story()
    assert "n3 hears n2's answer to its heartbeat; sends entry 3 to n2 (§5.3)" in told
    assert any(line.startswith("n2 appends entry 3 (x=1) from n3") for line in told)


def test_calls_that_fail_for_one_reason_are_told_together() -> None:
    def ending(*replies: Reply) -> str:
        return sentence(outside(Kind.CALL, node=1, replies=replies)).split("; ", 1)[1]

    lost = [
        Reply(request=number, ok=False, error=f"the outcome is unknown: entry {number} is gone") for number in (3, 4)
    ]
    assert ending(lost[0]) == "the client's call 3 fails: the outcome is unknown: entry 3 is gone"
    both = "the clients' calls 3-4 fail, the first because the outcome is unknown: entry 3 is gone"
    assert ending(*lost) == both
    other = Reply(request=9, ok=False, error="the outcome is unknown: entry 9 is gone")
    assert ending(*lost, other).startswith("the clients' calls 3, 4 and 9 fail")
    assert ending(Reply(request=5, ok=True), *lost) == f"the client's call 5 is done; {both}"


def test_the_story_can_begin_and_end_anywhere() -> None:
    sim = Simulation(nodes=3, seed=7)
    sim.run(1)
    whole, part = story(sim.trace.records), sim.trace.story(0.1, 0.3)
    assert part
    assert len(part) < len(whole)
    assert all(0.1 <= float(line[2:7]) <= 0.3 for line in part.splitlines())


def test_a_story_of_heavy_weather_tells_of_every_record_without_a_word_missing() -> None:
    sim = Simulation(nodes=5, seed=3, weather=Weather(loss=0.1, duplicate=0.1, reorder=0.1))
    for number in range(10):
        sim.write({"op": "put", "key": "x", "value": number})
        sim.run(0.3)
        sim.crash(number % 5 + 1)
        sim.run(0.2)
        sim.restart(number % 5 + 1)
    told = [sentence(record) for record in sim.trace.records]
    assert not [line for line in told if "None" in line or "  " in line or "nobody's" in line]


def test_nothing_that_is_done_to_a_cluster_is_lost_beside_a_heartbeat_that_brings_news() -> None:
    sim = Simulation(nodes=3, seed=7)
    leader = sim.run_until(lambda s: s.leader) or 0
    sim.run(0.2)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run_until(lambda s: s.calls[-1].done)
    for flight in [one for one in sim.flying if one.src == leader]:
        sim.drop(flight.id)
    sim.run(0.1)
    news = [one for one in sim.trace.records if "heartbeat; learns from" in str(one)]
    flights = {flight.id: flight for one in sim.trace.records for flight in one.sent}
    told = list(lines([outside(Kind.CUT, node=1, peer=3), news[0]], flights))
    assert told[0] == "t=2.500 messages from n1 no longer reach n3"
    assert "heartbeat; learns from" in told[1]


def test_a_read_that_goes_ahead_at_once_names_nobody_who_has_not_answered() -> None:
    sim = Simulation(nodes=3, seed=7, rules=MUTANTS["reads-at-once"].engine.rules)
    sim.run_until(lambda s: s.leader)
    sim.run(0.2)
    call = sim.read("x")
    sim.run_until(lambda _: call.done)
    told = next(str(record) for record in sim.trace.records if "lets a read go ahead" in str(record))
    assert f": n{sim.leader} of {{1,2,3}} answered its round" in told
