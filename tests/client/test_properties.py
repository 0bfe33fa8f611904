"""Whatever is lost, late, doubled or forgotten: every call ends, and each command is applied once, in order.

Doubled and forgotten at once is more than a session can stand: a copy of a refused request may be applied after the
client has sent the commands again, and once the session is forgotten nobody knows. Clients' requests travel at most
once (QoS 0, or a call in one process), so a copy comes from the client itself, which counts it.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyraft_lab.client.events import RetryTimer
from pyraft_lab.client.state import Limits
from tests.client.world import World, attempts

Move = tuple[str, int]
MOVES = ("write", "write", "batch", "read", "deliver", "deliver", "deliver", "copy", "lose", "break", "slow", "rest")
SMALL = Limits(batches=3, commands=3, bytes=60, read_requests=2, queries=2)


def moved(world: World, move: str, luck: int, said: dict[int, list[int]]) -> None:  # noqa: C901
    """One thing happens."""
    number = sum(map(len, said.values()))
    place = luck % len(world.wire) if world.wire else None
    match move:
        case "write" | "batch":
            words = list(range(number, number + (1 if move == "write" else luck % 8 + 1)))
            said[world.write(*words)] = words
        case "read":
            world.read()
        case "deliver" | "copy" | "lose" if place is not None:
            world.deliver(place, is_copy=move == "copy", is_answer_lost=move == "lose")
        case "break" if place is not None:
            world.break_off(place)
        case "slow" if attempts(world):
            world.fire(attempts(world)[luck % len(attempts(world))])
        case "rest" if RetryTimer() in world.timers:
            world.fire(RetryTimer())
        case "leader":
            world.leader = luck % 3 + 1
        case "forget":
            world.pass_others(9)
        case "give up" if said:
            world.give_up(sorted(said)[luck % len(said)])
        case _:
            pass


moves = st.lists(
    st.tuples(st.sampled_from((*MOVES, "leader", "forget", "give up")), st.integers(0, 20)), min_size=10, max_size=80
)


@pytest.mark.parametrize("instead", [("copy", "deliver"), ("forget", "rest")], ids=["nothing twice", "all remembered"])
@settings(max_examples=200, deadline=None)
@given(script=moves)
def test_every_call_ends_and_each_command_is_applied_once_in_order(
    instead: tuple[str, str], script: list[Move]
) -> None:
    world, said = World(limits=SMALL, expiry=8 if instead[0] == "copy" else 1_000_000), dict[int, list[int]]()
    for move, luck in script:
        moved(world, instead[1] if move == instead[0] else move, luck, said)
        assert len(world.state.batches) <= SMALL.batches
        assert len(world.state.readings) <= SMALL.read_requests
        assert len(world.state.asked) <= SMALL.batches + SMALL.read_requests + 1
    world.settle()
    assert world.state.is_idle
    assert world.mine == sorted(set(world.mine)), "once, in order"
    for call, words in said.items():
        assert (call in world.errors) or len(world.result(call)) == len(words), "every call ends"
        if call not in world.errors:
            assert set(words) <= set(world.mine), "what was acknowledged was applied"


@settings(max_examples=100, deadline=None)
@given(moves)
def test_what_is_said_not_to_have_happened_did_not(script: list[Move]) -> None:
    """Of a request that is refused no copy arrives later: clients' requests travel at most once."""
    world, said = World(limits=SMALL), dict[int, list[int]]()
    for move, luck in script:
        moved(world, "deliver" if move == "copy" else move, luck, said)
    world.give_up(*said)
    world.settle()
    for call, error in world.errors.items():
        if not getattr(error, "may_have_happened", True):
            assert not set(said.get(call, ())) & set(world.mine)
