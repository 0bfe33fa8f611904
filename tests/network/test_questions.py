"""A question that makes no sense, from whatever program it comes, is answered with what is wrong with it."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from pyraft_lab import command, errors
from pyraft_lab.client.requests import WriteBatch
from pyraft_lab.command import SEALED
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.membership import AddLearners, ReplaceVoters
from pyraft_lab.errors import BadCommand, ConfigError, EmptyMembership, NotLeader, PyraftError
from pyraft_lab.machine import KeyValue
from pyraft_lab.network.broker import Broker
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import (
    AddLearner,
    ChangeMembership,
    Initialize,
    ReadQuery,
    RpcCall,
    RpcError,
    TransferLeader,
    WriteCommands,
    encode,
    refused,
    to_error,
)
from pyraft_lab.runtime.rpc_server import serve_rpc
from tests.absurd import NO_CHANGE, NO_FLAG, NO_ID, NO_MEMBERS

INCR = {"op": "incr", "key": "n"}
ABSURD = SEALED + msgspec.msgpack.encode((1, 2**62 + 1, 2**62, 0, INCR))
NO_READ: tuple[Any, ...] = ("bogus", "local", None, 5)
NO_COMMANDS: tuple[Any, ...] = ("x", None, (5,), (None,), ({},))
QUESTIONS: list[Any] = [
    *(AddLearner(value) for value in NO_ID),
    *(AddLearner(4, value) for value in NO_FLAG),
    *(TransferLeader(value) for value in NO_ID),
    *(Initialize(value) for value in NO_MEMBERS),
    *(ChangeMembership(value) for value in NO_CHANGE),
    *(ChangeMembership(ReplaceVoters(value)) for value in NO_CHANGE),
    *(ChangeMembership(AddLearners(value)) for value in NO_CHANGE if value not in ({}, {1: 2})),
    *(ReadQuery("x", value) for value in NO_READ),
    *(WriteCommands(value) for value in NO_COMMANDS),
]


def travels(question: Any) -> bool:
    """Numbers of more than 64 bits cannot even be written down."""
    try:
        msgspec.msgpack.encode(question)
    except (OverflowError, TypeError):
        return False
    return True


async def test_every_absurd_question_is_answered_with_its_error_and_the_node_serves_on(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    raft = Raft(1, config=Config(election_timeout=(0.3, 0.6)), network=network)
    await raft.start()
    server = asyncio.create_task(serve_rpc(raft, network))
    await raft.initialize({1})
    async with asyncio.timeout(60), Remote.connect(any_broker.url, cluster="demo") as remote:
        await remote.leader()
        for question in filter(travels, QUESTIONS):
            with pytest.raises(ConfigError):
                await remote.ask(1, question)
        for data in (ABSURD, b"", b"\x91" * 200, b"\xff\xff"):
            with pytest.raises(BadCommand):
                await remote.ask(1, WriteCommands((data,)))
        with pytest.raises(EmptyMembership):
            await remote.ask(1, Initialize(()))
        assert raft.metrics.role == "leader"
        assert set(raft.metrics.membership.nodes) == {1}
        assert await remote.client().write(INCR) == 1
        for node in NO_ID:
            with pytest.raises(ConfigError):
                await remote.ask(node, ReadQuery("x"))
        with pytest.raises(BadCommand):
            await remote.client().read(object())
    await raft.shutdown()
    await asyncio.wait_for(server, 10)


class Strange(KeyValue):
    """A machine whose answers have no form that travels."""

    def query(self, query: Any, /) -> Any:
        return 2**70 if query == "long" else [[object()]]


async def test_an_answer_that_cannot_travel_is_said_to_be_one(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    raft = Raft(1, config=Config(election_timeout=(0.3, 0.6)), network=network, machine=Strange())
    await raft.start()
    server = asyncio.create_task(serve_rpc(raft, network))
    await raft.initialize({1})
    async with asyncio.timeout(60), Remote.connect(any_broker.url, cluster="demo") as remote:
        await remote.leader()
        with pytest.raises(PyraftError, match="the answer cannot be sent"):
            await remote.ask(1, ReadQuery("long"))
        assert "object" in str(await remote.ask(1, ReadQuery("odd")))
    await raft.shutdown()
    await asyncio.wait_for(server, 10)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("node", -1, "must be a node id"),
        ConfigError("node", 2**70, "must be a node id"),
        BadCommand("no"),
        EmptyMembership(),
        NotLeader(3, node=1),
        errors.Timeout("x", 2.0),
        PyraftError("anything"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_travels_as_what_it_is(error: PyraftError) -> None:
    there = to_error(refused(error))
    assert type(there) is type(error)
    assert re.sub("'", "", str(there)) == re.sub("'", "", str(error))


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError("Timeout", {"what": "x", "seconds": "soon"}),
        RpcError("QuorumNotEnough", {"got": 5, "needed": 1}),
        RpcError("UnknownNode", {"node": 1, "known": [1, "a"]}),
        RpcError("NoSuchError", {"why": "x"}),
        RpcError("at_least", {}),
        RpcError("ConfigError", {"nothing": 1}),
    ],
    ids=lambda refusal: refusal.error,
)
def test_an_error_of_nobody_is_an_error_all_the_same(refusal: RpcError) -> None:
    assert type(to_error(refusal)) is PyraftError


async def test_large_values_travel_in_pieces_and_arrive_whole(any_broker: Broker) -> None:
    network = MqttNetwork(any_broker.url)
    raft = Raft(1, config=Config(election_timeout=(2.0, 4.0)), network=network)
    await raft.start()
    server = asyncio.create_task(serve_rpc(raft, network))
    await raft.initialize({1})
    values = {f"large {number}": bytes([number]) * (3 << 20) for number in range(3)}
    async with asyncio.timeout(120), Remote.connect(any_broker.url, cluster="demo") as remote:
        await remote.leader()
        client = remote.client(deadline=100)
        writes = [client.write({"op": "put", "key": key, "value": value}) for key, value in values.items()]
        await asyncio.gather(*writes)
        assert await asyncio.gather(*map(client.read, values)) == [*values.values()]
        with pytest.raises(BadCommand, match="of the session of client"):
            await remote.ask(1, WriteBatch(command.encode("v" * (2 << 20), client=5, serial=1), 6, 1))
        sent = remote._line  # noqa: SLF001 (a call that no client makes)
        assert sent is not None
        sent.publish(f"1/ask/{remote._name}", encode(RpcCall(1, ReadQuery("x"))), attached=[b"y"])  # noqa: SLF001
        assert await client.read("large 0") == values["large 0"], "the node goes on after an attachment nobody needs"
    server.cancel()
    await asyncio.wait([server])
    await raft.shutdown()
