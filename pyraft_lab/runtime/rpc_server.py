"""A node's RPC server: it serves clients of other processes over the broker, and publishes the node's metrics."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from typing import Any, TypeGuard, assert_never

import msgspec

from pyraft_lab.client.requests import FindOutcome, OpenSession, ReadMany, Request, WriteBatch
from pyraft_lab.command import check_batch
from pyraft_lab.concurrency import one_worker
from pyraft_lab.errors import ConfigError, Overloaded, PyraftError
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.mqtt_session import MqttSession
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.rpc import (
    AddLearner,
    AllowNextRevert,
    ChangeMembership,
    Initialize,
    Operation,
    ReadIndex,
    ReadQuery,
    RpcCall,
    RpcError,
    RpcReply,
    RpcRequest,
    RpcResult,
    TransferLeader,
    TriggerSnapshot,
    WriteCommands,
    decode_pieces,
    encode,
    encode_value,
    number_of,
    refused,
)
from pyraft_lab.session import Rejected, Value

PAUSE = 0.05
"""Seconds between two publications of a node's metrics; in a slow room half a heartbeat, for everybody gets all."""
MOST_OPEN = 2048
"""Calls that may be open at once; further calls get ``Overloaded`` with a time to retry."""
RETRY = 0.1
"""Seconds after which a node with too many open calls may be asked again."""
MOST_REPLY = 1 << 20
"""Bytes of all answers to several queries in one reply; a single larger answer goes alone."""


async def serve_rpc(raft: Raft, network: MqttNetwork) -> None:
    """Serve RPC calls to ``raft`` until it ends; raises the error that ended it."""
    with one_worker(f"replies of node {raft.id}") as encoders:
        await _serve(raft, network, encoders)


async def _serve(raft: Raft, network: MqttNetwork, encoders: Executor) -> None:
    async with asyncio.TaskGroup() as group:
        server = RpcServer(raft, group.create_task, encoders)
        async with MqttSession(
            network,
            f"{raft.id}-rpc",
            topics=[f"{raft.id}/ask/+"],
            deliver=server.on_call,
            deliver_all=server.on_pieces,
            will=f"{raft.id}/status",
            hears_kept=False,
            connected=server.publish_status,
        ) as line:
            server.line = line
            async for now in raft.watch():
                server.publish_status()
                if now.running is None:
                    await asyncio.sleep(max(PAUSE, raft.runtime.config.heartbeat_interval / 2))


def _fitting(answers: Sequence[Value | Rejected]) -> Sequence[msgspec.Raw | Value]:
    """As many of the first answers as fit into one reply, each encoded; one without an encoding is an error.

    A large text, which nobody can change, goes alone and is encoded later.
    """
    taken: list[msgspec.Raw | Value] = []
    room = MOST_REPLY
    for answer in answers:
        if is_large(answer):
            return taken or [answer]
        encoded = _encoded(answer)
        room -= len(encoded)
        if taken and room < 0:
            break
        taken.append(encoded)
    return taken


def is_large(answer: Value | Rejected) -> TypeGuard[Value]:
    """Whether an answer is a text or bytes that are larger than a reply usually is."""
    return isinstance(answer, Value) and isinstance(answer.value, (str, bytes)) and len(answer.value) > MOST_REPLY


def _encoded(answer: Value | Rejected) -> msgspec.Raw:
    try:
        return encode_value(answer)
    except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
        return encode_value(Rejected(f"the answer cannot be sent: {wrong}"))


def _reply(number: int, answer: RpcResult | RpcError) -> bytes:
    """A reply as bytes; if a machine's answer has no encoding, that is the error it holds."""
    try:
        return encode(RpcReply(number, answer))
    except (TypeError, ValueError, OverflowError, RecursionError) as wrong:
        return encode(RpcReply(number, refused(PyraftError(f"the answer cannot be sent: {wrong}"))))


class RpcServer:
    """The RPC server of one node: calls in, replies out."""

    def __init__(self, raft: Raft, start: Callable[[Coroutine[Any, Any, None]], object], encoders: Executor) -> None:
        self._raft, self._start, self._encoders = raft, start, encoders
        self._is_open = 0
        self.line: MqttSession | None = None

    def publish_status(self) -> None:
        """Publish the node's metrics as a retained message."""
        now = self._raft.metrics
        if self.line is not None and now.running is None:
            self.line.publish(f"{self._raft.id}/status", encode(now), retain=True)

    def on_call(self, topic: str, payload: bytes) -> None:
        """Serve a call; an unreadable one gets an error, garbage is dropped."""
        self.on_pieces(topic, (payload,))

    def on_pieces(self, topic: str, pieces: Sequence[bytes]) -> None:
        """Serve a call with attachments."""
        client = topic.rpartition("/")[2]
        try:
            asked = decode_pieces(pieces)
        except msgspec.MsgspecError as wrong:
            self._refuse(client, pieces[0], str(wrong))
            return
        if self._is_open >= MOST_OPEN:
            full = Overloaded(self._is_open, MOST_OPEN, what="calls are waiting", retry_after=RETRY)
            self._reply(client, asked.number, refused(full))
            return
        self._is_open += 1
        self._start(self._answer(client, asked))

    def _refuse(self, client: str, payload: bytes, why: str) -> None:
        """Send an error for an unreadable call, if at least its number can be read."""
        number = number_of(payload)
        if number is not None:
            self._reply(client, number, refused(ConfigError("question", payload[:60], why)))

    async def _answer(self, client: str, asked: RpcCall) -> None:
        try:
            answer = await self._attempt(asked.question)
        finally:
            self._is_open -= 1
        if not isinstance(asked.question, (WriteCommands, ReadQuery, ReadIndex, Request)):
            self.publish_status()  # the caller sees a change no later than the reply
        await self._reply_in_turn(client, asked.number, answer)

    async def _reply_in_turn(self, client: str, number: int, answer: RpcResult | RpcError) -> None:
        """Reply; large replies are encoded one after the other and beside the loop, which has heartbeats to send."""
        if isinstance(answer, RpcResult) and isinstance(answer.value, Sequence) and any(map(is_large, answer.value)):
            loop = asyncio.get_running_loop()
            self._publish(client, await loop.run_in_executor(self._encoders, _reply, number, answer))
        else:
            self._reply(client, number, answer)

    def _reply(self, client: str, number: int, answer: RpcResult | RpcError) -> None:
        self._publish(client, _reply(number, answer))

    def _publish(self, client: str, reply: bytes) -> None:
        if self.line is not None:
            self.line.publish(f"answers/{client}/{self._raft.id}", reply, divide=True)

    async def _attempt(self, question: RpcRequest) -> RpcResult | RpcError:
        try:
            return RpcResult(await self._carry_out(question))
        except PyraftError as error:
            return refused(error)
        except Exception as bug:  # noqa: BLE001 (a machine's query raised: the asker's affair, not the node's end)
            return refused(PyraftError(f"{type(bug).__name__}: {bug}"))

    async def _carry_out(self, question: RpcRequest) -> Any:
        raft = self._raft
        match question:
            case WriteCommands(commands):
                return [response.value for response in await raft.client_write_many(commands)]
            case ReadQuery(query, policy):
                return await raft.read(query, policy=policy)
            case ReadIndex():
                return (await raft.ensure_linearizable()).index
            case WriteBatch() | FindOutcome() | ReadMany() | OpenSession():
                return await self._serve(question)
            case _:
                return await self._operate(question)

    async def _serve(self, request: Request) -> Any:
        """Serve a client's request; check its commands here, and leave out answers that do not fit into one reply."""
        if isinstance(request, WriteBatch):
            check_batch(request.data, request.client, request.serial)
        reply = await self._raft.serve(request)
        return _fitting(reply) if isinstance(request, ReadMany) else reply

    async def _operate(self, question: Operation) -> Any:
        """Carry out an operator's call."""
        raft = self._raft
        match question:
            case Initialize(voters):
                return await raft.initialize(voters)
            case AddLearner(node, blocking):
                return await raft.add_learner(node, blocking=blocking)
            case ChangeMembership(change, retain):
                return await raft.change_membership(change, retain)
            case TransferLeader(to):
                return await raft.trigger.transfer_leader(to)
            case AllowNextRevert(node):
                return await raft.trigger.allow_next_revert(node)
            case TriggerSnapshot():
                before = raft.metrics.applied
                raft.trigger.snapshot()
                return str((await raft.wait(30.0).snapshot(before)).snapshot)
            case _:
                assert_never(question)
