"""What the drawing is handed: a chunk is whole once and then says only what changed, and both add up to the truth."""

import pytest
from msgspec.structs import replace

from pyraft_lab import Simulation, Trace
from pyraft_lab.lab.recording import CHUNK, Numbered, Recorded, Simulated
from pyraft_lab.lab.scene import scene
from pyraft_lab.lab.wire import Chunk, Json, plain


def busy(seconds: float = 0.6) -> Simulation:
    """An election, writes, a crash and the next election."""
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    for value in range(3):
        sim.write({"op": "put", "key": "x", "value": value})
        sim.run(0.02)
    sim.crash(sim.leader or 1)
    sim.run(seconds)
    return sim


def played(chunk: Chunk) -> list[Json]:
    """The nodes after each event, put together as the drawing does it."""
    reel = plain(chunk)
    nodes = dict(reel["key"]["nodes"])
    found = []
    for event in reel["events"]:
        changed = {id: {**nodes.get(id, {}), **fields} for id, fields in event.get("nodes", {}).items()}
        nodes = {**nodes, **changed}
        found.append(nodes)
    return found


def test_key_and_changes_add_up_to_every_scene() -> None:
    sim = busy()
    film = Simulated(sim)
    for number in range(len(film) // CHUNK + 1):
        moments = list(film.views(number * CHUNK, min(len(film), (number + 1) * CHUNK)))[1:]
        assert played(film.chunk(number)) == [plain(scene(moment))["nodes"] for moment in moments]


def test_a_chunk_begins_where_the_one_before_it_ended() -> None:
    film = Simulated(busy())
    assert played(film.chunk(0))[-1] == plain(film.chunk(1).key)["nodes"]


def test_every_message_that_lands_was_seen_to_leave() -> None:
    film = Simulated(busy())
    flying: set[int] = set()
    for number in range(len(film) // CHUNK + 1):
        for event in plain(film.chunk(number).events):
            if event["kind"] in {"receive", "undelivered"}:
                assert event["message"] in flying
            flying |= {one["id"] for one in event["sent"]}


def test_records_alone_show_the_cuts_and_the_disks_that_there_were() -> None:
    sim = busy()
    sim.partition({1})
    sim.run(0.05)
    sim.heal((1, 2))
    sim.run(0.05)
    victim = next(node for node in sim.nodes if sim.nodes[node].up)
    sim.crash(victim)
    sim.wipe(victim)
    sim.run(0.05)
    sim.heal()
    length = len(sim.trace)
    films = Simulated(sim), Recorded(Trace(sim.trace.records))
    there, here = (list(film.views(0, length))[1:] for film in films)
    assert [one.cuts for one in here] == [one.cuts for one in there]
    assert [one.servers[victim].state.log.last for one in here if victim in one.servers][-1].index == 0
    assert here[-1].servers[victim].state.log == there[-1].servers[victim].state.log
    assert not here[-1].servers[victim].up


def test_a_message_that_is_told_of_too_late_never_flies() -> None:
    records = list(busy().trace.records)
    sent = next(record for record in records if record.sent)
    lands = next(record for record in records if record.message == sent.sent[0].id)
    late = next(record for record in records[lands.id + 1 :] if record.node == sent.node)
    records[sent.id] = replace(sent, sent=sent.sent[1:])
    records[late.id] = replace(late, sent=(*late.sent, sent.sent[0]))
    film = Recorded(Trace(records))
    assert film.view(lands.id).early == {lands.message}
    assert lands.message not in film.view(late.id).flying
    told = [one["id"] for number in range(2) for event in plain(film.chunk(number).events) for one in event["sent"]]
    assert lands.message not in told


def test_what_flies_to_a_server_that_crashes_is_gone() -> None:
    sim = busy(0.0)
    crash = next(record for record in sim.trace.records if record.kind == "crash")
    film = Recorded(sim.trace)
    doomed = [id for id, one in film.view(crash.id - 1).flying.items() if one.dst == crash.node]
    event = plain(film.chunk(crash.id // CHUNK).events)[crash.id % CHUNK]
    assert doomed
    assert list(event["gone"]) == [[id, f"n{crash.node} is down"] for id in doomed]


def test_long_numbers_of_separate_processes_are_made_short() -> None:
    far = 1 << 61
    records = [
        replace(record, id=far + 2 * record.id, message=record.message and far + record.message)
        for record in busy(0.0).trace.records
    ]
    taken = list(Numbered().add(records))
    assert [record.id for record in taken] == list(range(len(records)))
    assert max(record.message or 0 for record in taken) < 1000


def test_a_saved_trace_shows_the_same_servers_as_the_simulation_did() -> None:
    sim = busy()
    seen, saved = plain(Simulated(sim).chunk(2)), plain(Recorded(sim.trace).chunk(2))
    known = ("up", "role", "term", "vote", "log", "commit", "applied", "members", "granted", "peers")
    for one, other in zip(played(seen), played(saved), strict=True):
        assert {id: [node[key] for key in known] for id, node in one.items()} == {
            id: [node[key] for key in known] for id, node in other.items()
        }


def test_an_event_names_its_rule_and_the_lines_of_it_that_ran() -> None:
    reel = plain(Simulated(busy()).chunk(0))
    won = next(event for event in reel["events"] if event.get("nodes", {}).get("1", {}).get("role") == "leader")
    rule = reel["rules"][won["rule"]]
    assert won["ran"]
    assert all(rule["first"] < line < rule["first"] + len(rule["lines"]) for line in won["ran"])


def test_a_swapped_rule_shows_the_learners_own_lines() -> None:
    from msgspec.structs import replace

    from pyraft_lab import RAFT
    from pyraft_lab.engine.engine import raft
    from pyraft_lab.engine.messages import VoteRequest
    from pyraft_lab.engine.rules import VoteRefusal
    from pyraft_lab.engine.state import RaftState
    from pyraft_lab.lab.explain import decider
    from pyraft_lab.trace.annotate.table import RULES

    def careless(_state: RaftState, _request: VoteRequest) -> VoteRefusal | None:
        return None

    rule = next(one for one in RULES.values() if one.decider.__name__ == "vote_refusal")
    assert decider(raft(replace(RAFT, vote_refusal=careless)), rule) is careless


@pytest.mark.parametrize("event", [0, 23, 64, 100])
def test_a_moment_can_be_looked_at_in_any_order(event: int) -> None:
    film = Simulated(busy())
    assert plain(scene(film.view(event)))["nodes"] == played(film.chunk(event // CHUNK))[event % CHUNK]


def test_a_film_without_its_beginning_shows_the_same_later_on() -> None:
    whole = Recorded(Trace(busy().trace.records))
    gone = 2 * CHUNK
    later = whole.later(gone)
    assert len(later) == len(whole) - gone
    for event in (0, 7, CHUNK, len(later) - 1):
        ours, theirs = later.view(event), whole.view(event + gone)
        assert (ours.time, ours.servers, ours.flying.keys()) == (theirs.time, theirs.servers, theirs.flying.keys())
    told = [event for number in range(2) for event in plain(later.chunk(number).events)]
    assert [event["id"] for event in told] == list(range(len(later)))
    assert all(event["cause"] is None or 0 <= event["cause"] < event["id"] for event in told)


def test_what_was_forgotten_is_not_taken_for_new() -> None:
    records = busy().trace.records
    numbered = Numbered()
    list(numbered.add(records[:80]))
    numbered.forget(64, records)
    assert [record.id for record in numbered.add(records[:90])] == list(range(16, 26))
