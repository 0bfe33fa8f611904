import asyncio
import random

import pytest

from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, Timeout
from pyraft_lab.network.base import Endpoint, MemoryNetwork
from pyraft_lab.network.codec import Envelope
from pyraft_lab.network.faults import Fate, Faults
from pyraft_lab.network.gate import NotHeld
from tests.network.wires import Remembering, envelope


class Wires:
    """Three nodes on a spoilt network; what is sent is followed by a envelope that always arrives."""

    def __init__(self) -> None:
        self.faults = Faults(MemoryNetwork(), chance=random.Random(7))
        self.ends: dict[NodeId, Endpoint] = {}
        self.boxes = {node: Remembering() for node in (1, 2, 3)}
        self.fates: list[tuple[int, Fate]] = []
        self.faults.on_fate = self._note

    def _note(self, _src: NodeId, _dst: NodeId, envelope: Envelope, fate: Fate) -> None:
        self.fates.append((envelope.id, fate))

    async def join(self) -> "Wires":
        self.ends = {node: await self.faults.join(node, box) for node, box in self.boxes.items()}
        return self

    async def turn(self) -> None:
        """Two turns of the loop: one delivers what the memory network was given."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def arrived(self, node: NodeId) -> list[int]:
        return [id for _, id in self.boxes[node].envelopes]


async def test_a_cut_is_one_way() -> None:
    wires = await Wires().join()
    wires.faults.cut(1, 2)
    wires.ends[1].send(2, envelope(1))
    wires.ends[2].send(1, envelope(2))
    await wires.turn()
    assert (wires.arrived(2), wires.arrived(1), wires.fates) == ([], [2], [(1, "cut")])


async def test_a_partition_separates_groups_and_leaves_them_whole() -> None:
    wires = await Wires().join()
    wires.faults.partition({1}, {2, 3})
    for dst in (2, 3):
        wires.ends[1].send(dst, envelope(dst))
    wires.ends[2].send(3, envelope(9))
    await wires.turn()
    assert (wires.arrived(2), wires.arrived(3)) == ([], [9])


async def test_who_is_in_no_group_is_with_the_others_in_none() -> None:
    wires = await Wires().join()
    wires.faults.partition({1})
    wires.ends[2].send(3, envelope(1))
    wires.ends[2].send(1, envelope(2))
    await wires.turn()
    assert (wires.arrived(3), wires.arrived(1)) == ([1], [])


async def test_healing_undoes_everything() -> None:
    wires = await Wires().join()
    wires.faults.partition({1}, {2, 3})
    wires.faults.cut(1, 2)
    wires.faults.conditions(loss=1.0)
    wires.faults.heal()
    wires.ends[1].send(2, envelope(1))
    await wires.turn()
    assert wires.arrived(2) == [1]


async def test_loss_takes_its_share_and_says_so() -> None:
    wires = await Wires().join()
    wires.faults.degrade(1, 2, loss=0.5)
    for id in range(200):
        wires.ends[1].send(2, envelope(id))
    await wires.turn()
    lost = [id for id, fate in wires.fates if fate == "lost"]
    assert sorted(lost + wires.arrived(2)) == list(range(200))
    assert 60 < len(lost) < 140


async def test_a_delayed_message_is_overtaken() -> None:
    wires = await Wires().join()
    wires.faults.degrade(1, 2, delay=(0.01, 0.01))
    wires.ends[1].send(2, envelope(1))
    wires.faults.heal()
    wires.ends[1].send(2, envelope(2))
    assert await wires.boxes[2].until_messages(2) == [(1, 2), (1, 1)]


async def test_messages_wait_before_a_closed_gate_and_leave_as_one_likes() -> None:
    wires = await Wires().join()
    wires.faults.gate.close(lambda held: held.dst == 2)
    for id in (1, 2, 3):
        wires.ends[1].send(2, envelope(id))
    wires.ends[1].send(3, envelope(4))
    await wires.turn()
    assert ([held.id for held in wires.faults.gate.held], wires.arrived(3)) == ([1, 2, 3], [4])
    wires.faults.gate.release(3, 1)
    wires.faults.gate.drop(2)
    assert await wires.boxes[2].until_messages(2) == [(1, 3), (1, 1)]
    assert (wires.fates, wires.faults.gate.held) == ([(2, "dropped")], ())


async def test_an_opened_gate_lets_all_pass_in_order() -> None:
    wires = await Wires().join()
    wires.faults.gate.close()
    for id in (1, 2):
        wires.ends[1].send(2, envelope(id))
    wires.faults.gate.open()
    wires.ends[1].send(2, envelope(3))
    assert sorted(await wires.boxes[2].until_messages(3)) == [(1, 1), (1, 2), (1, 3)]


async def test_a_message_can_be_awaited_at_the_gate_from_another_thread() -> None:
    wires = await Wires().join()
    wires.faults.gate.close()
    waiting = asyncio.create_task(asyncio.to_thread(wires.faults.gate.wait, lambda held: held.id == 2))
    for id in (1, 2):
        wires.ends[1].send(2, envelope(id))
    held = await waiting
    assert repr(held) == "<HeartbeatRequest 2 from 1 to 2>"


def test_a_message_that_does_not_come_to_the_gate_is_a_timeout() -> None:
    with pytest.raises(Timeout):
        Faults(MemoryNetwork()).gate.wait(timeout=0.0)


def test_what_is_not_held_cannot_be_released() -> None:
    with pytest.raises(NotHeld, match="message 5 is not held"):
        Faults(MemoryNetwork()).gate.release(5)


@pytest.mark.parametrize("rule", [{"loss": 1.5}, {"loss": -0.1}, {"delay": (-1.0, 0.0)}, {"delay": (2.0, 1.0)}])
def test_absurd_weather_is_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Faults(MemoryNetwork()).conditions(**rule)  # type: ignore[arg-type]


async def test_late_messages_of_a_node_that_left_never_arrive() -> None:
    wires = await Wires().join()
    wires.faults.degrade(1, 2, delay=(0.01, 0.01))
    wires.ends[1].send(2, envelope(1))
    await wires.ends[1].close()
    wires.ends[3].send(2, envelope(2))
    await wires.boxes[2].until_messages(1)
    assert wires.arrived(2) == [2]
