"""Orders about links over a broker: a node says which it obeys, and garbage changes nothing."""

import asyncio
from typing import cast

import msgspec
from msgspec import Struct

from pyraft_lab.network import broker, decree
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.network.faults import Decree, Faults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.remote import Remote


class Unchecked(Struct, kw_only=True):
    """What a program of somebody else's may publish."""

    groups: tuple[frozenset[int], ...] = ()
    cuts: tuple[tuple[int, int], ...] = ()
    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)


async def test_a_node_says_which_decree_it_obeys_until_it_goes() -> None:
    with broker.start() as its:
        faults, network = Faults(MemoryNetwork()), MqttNetwork(its.url)
        async with Remote.connect(its.url, cluster="demo") as remote, asyncio.timeout(20):
            async with decree.obey(network, faults, node=7):
                await remote.until(lambda: 7 in remote.obeying)
                assert remote.obeying[7] == decree.digest(b"")
                digest = remote.decree(Decree(loss=0.5))
                await remote.until(lambda: remote.obeying[7] == digest)
                assert faults.link(1, 2).loss == 0.5
                healed = remote.decree(Decree())
                await remote.until(lambda: remote.obeying[7] == healed)
                assert healed == decree.digest(b"")
            await remote.until(lambda: 7 not in remote.obeying)


async def test_a_decree_that_cannot_be_is_neither_obeyed_nor_the_end_of_listening() -> None:
    with broker.start() as its:
        faults, network = Faults(MemoryNetwork()), MqttNetwork(its.url)
        obeying = decree.obey(network, faults, node=7)
        async with Remote.connect(its.url, cluster="demo") as remote, asyncio.timeout(20), obeying:
            first = remote.decree(Decree(loss=0.25))
            await remote.until(lambda: remote.obeying.get(7) == first)
            for bad in (Unchecked(loss=2.0), Unchecked(delay=(float("nan"), 1.0)), Unchecked(delay=(2.0, 1.0))):
                remote.decree(cast("Decree", bad))
            last = remote.decree(Decree(loss=0.25, cuts=((1, 2),)))
            await remote.until(lambda: remote.obeying[7] == last)
            assert faults.link(1, 2).is_cut


def test_every_decree_that_heals_everything_is_the_same_one() -> None:
    assert decree.digest(msgspec.msgpack.encode(Decree())) == decree.digest(b"")
    assert decree.digest(msgspec.msgpack.encode(Decree(loss=0.1))) != decree.digest(b"")
