"""Gates of other processes are worked over the broker as one's own is."""

from collections.abc import Callable

import pytest

from pyraft_lab.engine.messages import HeartbeatResponse
from pyraft_lab.engine.types import Vote
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.gate import Gate, Held
from pyraft_lab.network.remote_gate import RemoteGate, carry_out

FATES: list[tuple[Callable[[RemoteGate], None], list[tuple[int, str]]]] = [
    (lambda far: far.release(2, 1), [(2, "after 0.0 s"), (1, "after 0.0 s")]),
    (lambda far: far.delay(2, 0.5), [(2, "after 0.5 s")]),
    (lambda far: far.drop(1), [(1, "lost")]),
    (lambda far: far.open(), [(1, "after 0.0 s"), (2, "after 0.0 s")]),
    (lambda far: far.release(7), []),
]


def far_and_near() -> tuple[RemoteGate, Gate]:
    """A gate, and what works it from afar over a perfect wire."""
    gate = Gate()
    return RemoteGate(lambda topic, payload, _retain: carry_out(gate, topic, payload)), gate


@pytest.mark.parametrize(("act", "fates"), FATES)
def test_what_is_ordered_from_afar_happens_to_the_messages(
    act: Callable[[RemoteGate], None], fates: list[tuple[int, str]]
) -> None:
    far, gate = far_and_near()
    told: list[tuple[int, str]] = []
    far.close()
    for id in (1, 2):
        envelope = Envelope(id, 0, HeartbeatResponse(vote=Vote(1, 1, committed=True), round=1))
        held = Held(
            1,
            2,
            envelope,
            release=lambda held, seconds: told.append((held.id, f"after {seconds} s")),
            drop=lambda held: told.append((held.id, "lost")),
        )
        assert gate.holds(held)
    act(far)
    assert told == fates


def test_an_open_gate_holds_nothing() -> None:
    far, gate = far_and_near()
    far.close()
    far.open()
    assert not gate.is_closed


def test_garbage_moves_no_gate() -> None:
    gate = Gate()
    gate.close()
    carry_out(gate, "gate/orders", b"\xff garbage")
    assert gate.is_closed
