"""What Python and the drawing say to each other: plain JSON on the wire, types on both sides."""

from typing import Literal

import pytest
from msgspec.json import decode, encode

from pyraft_lab import PyraftError, Simulation
from pyraft_lab.lab.session import SimulationSession
from pyraft_lab.lab.typescript import declarations, declared, written
from pyraft_lab.lab.wire import Act, Band, ChunkNews, PeerProgress, Update, asked, plain


def opened() -> SimulationSession:
    sim = Simulation(seed=7)
    sim.run_until(lambda s: s.leader)
    return SimulationSession(sim)


def test_what_is_said_is_the_same_as_json_and_as_a_struct() -> None:
    session = opened()
    answers = [*session.answer({"do": "hello"}), *session.answer({"do": "want", "branch": "main", "chunk": 0})]
    for told in answers:
        assert encode(decode(encode(told), type=Update)) == encode(told)
        assert decode(encode(plain(told))) == decode(encode(told))


def test_only_what_changed_is_on_the_wire() -> None:
    (news,) = opened().answer({"do": "want", "branch": "main", "chunk": 0})
    assert isinstance(news, ChunkNews)
    events = plain(news.chunk.events)
    assert not any("cuts" in event for event in events)
    assert 0 < sum("decisions" in event for event in events) < len(events)


def test_a_malformed_message_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(PyraftError, match="chunk"):
        asked({"do": "want", "branch": "main", "chunk": "first"})
    with pytest.raises(PyraftError, match="dance"):
        asked({"do": "dance"})


def test_an_order_travels_as_it_was_given() -> None:
    message = {"do": "act", "branch": "main", "event": 3, "time": 0.5, "order": {"type": "crash", "node": 1}}
    assert asked(message) == Act("main", 3, 0.5, {"type": "crash", "node": 1})


def test_what_may_be_absent_and_what_may_be_null_differ_in_typescript() -> None:
    assert "  inflight?: number;\n" in declared(PeerProgress)
    assert written(Literal["a"] | None) == '"a" | null'


def test_an_array_on_the_wire_is_a_tuple_in_typescript() -> None:
    assert declared(Band).endswith("export type Band = [event: number, time: number, term: number, leader: number];\n")


def test_every_type_that_is_named_is_declared() -> None:
    text = declarations()
    for name in ("Update", "Asked", "LiveOrder", "OfflinePage", "SceneEvent", "Crash"):
        assert f"export interface {name} " in text or f"export type {name} = " in text
