"""Orders about links over a broker: a node says which it obeys, and garbage changes nothing."""

import asyncio
from typing import cast

import msgspec
from msgspec import Struct

from pyraft_lab.network import broker, fault_control
from pyraft_lab.network.base import MemoryNetwork
from pyraft_lab.network.faults import Faults, LinkFaults
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.remote import Remote


class Unchecked(Struct, kw_only=True):
    """What a program of somebody else's may publish."""

    groups: tuple[frozenset[int], ...] = ()
    cuts: tuple[tuple[int, int], ...] = ()
    loss: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)


async def test_a_node_says_which_faults_it_applies_until_it_leaves() -> None:
    with broker.start() as its:
        faults, network = Faults(MemoryNetwork()), MqttNetwork(its.url)
        async with Remote.connect(its.url, cluster="demo") as remote, asyncio.timeout(20):
            async with fault_control.follow_fault_control(network, faults, node=7):
                await remote.until(lambda: 7 in remote.faults_applied)
                assert remote.faults_applied[7] == fault_control.digest(b"")
                digest = remote.publish_faults(LinkFaults(loss=0.5))
                await remote.until(lambda: remote.faults_applied[7] == digest)
                assert faults.link(1, 2).loss == 0.5
                healed = remote.publish_faults(LinkFaults())
                await remote.until(lambda: remote.faults_applied[7] == healed)
                assert healed == fault_control.digest(b"")
            await remote.until(lambda: 7 not in remote.faults_applied)


async def test_faults_that_cannot_be_are_ignored_and_later_ones_are_applied() -> None:
    with broker.start() as its:
        faults, network = Faults(MemoryNetwork()), MqttNetwork(its.url)
        obeying = fault_control.follow_fault_control(network, faults, node=7)
        async with Remote.connect(its.url, cluster="demo") as remote, asyncio.timeout(20), obeying:
            first = remote.publish_faults(LinkFaults(loss=0.25))
            await remote.until(lambda: remote.faults_applied.get(7) == first)
            for bad in (Unchecked(loss=2.0), Unchecked(delay=(float("nan"), 1.0)), Unchecked(delay=(2.0, 1.0))):
                remote.publish_faults(cast("LinkFaults", bad))
            last = remote.publish_faults(LinkFaults(loss=0.25, cuts=((1, 2),)))
            await remote.until(lambda: remote.faults_applied[7] == last)
            assert faults.link(1, 2).is_cut


def test_every_message_that_heals_everything_is_the_same_one() -> None:
    assert fault_control.digest(msgspec.msgpack.encode(LinkFaults())) == fault_control.digest(b"")
    assert fault_control.digest(msgspec.msgpack.encode(LinkFaults(loss=0.1))) != fault_control.digest(b"")
