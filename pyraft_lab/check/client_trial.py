"""A client on trial: its requests are late, lost, refused; leaders change; sessions expire (§8, dissertation §6.3).

One client's machine (:mod:`pyraft_lab.client.machine`) and one log. What a node does about a request is decided by
:mod:`pyraft_lab.client.serving`; all else is chance::

    on the wire ──▶ refused · lost · answered · applied, the answer lost · left to the next leader, who has it or not
    what callers were told ◀──compared──▶ what was applied, how often, and in which order
    what is sent           ◀──compared──▶ which batches are uncertain: none may overtake them
    what operators ask     ◀──compared──▶ what was carried out: never again after its outcome was lost
"""

import random
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pyraft_lab.check.failure import Failure
from pyraft_lab.check.swarm import Draw
from pyraft_lab.client.events import (
    Ask,
    AttemptTimer,
    CancelTimer,
    Command,
    Deliver,
    Event,
    Fail,
    Failed,
    Forget,
    GiveUp,
    NodesKnown,
    Replied,
    RetryTimer,
    SetTimer,
    Step,
    Submit,
    Timer,
    TimerFired,
)
from pyraft_lab.client.machine import CANCELLED, REFUSALS, step
from pyraft_lab.client.requests import FindOutcome, OpenSession, Operate, ReadMany, Request, WriteBatch
from pyraft_lab.client.serving import EnsureRead, decide, reply
from pyraft_lab.client.state import ClientState, Limits, Operation, Read, Session, Write
from pyraft_lab.command import encode
from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.engine.types import LogId
from pyraft_lab.errors import Fatal, NetworkFailed, NotLeader, OutcomeUnknown, Timeout
from pyraft_lab.machine import KeyValue, Sessions
from pyraft_lab.session import OutOfOrder

OUTCOMES_ARE_TRUE = "callers are told what happened"
NODES = (1, 2, 3)
RUNS, MOVES, SETTLING, EXPIRY = 24, 120, 2000, 8
LIMITS = Limits(batches=3, commands=3, bytes=200, read_requests=2, queries=3)
Message = Request | Operate
UNKNOWN = (OutcomeUnknown, NetworkFailed, Fatal)
"""Errors that leave open whether a write happened."""
OPERATED, LOCAL = 0.05, 0.3
"""How often an operator asks for something beside a move, and the share of it that any node answers."""
POLICIES: Sequence[ReadPolicy] = ("lease", "index")
KEY = "log"
"""Every write appends a word of its own to this key: so the machine shows what was applied, and in which order."""


class ClientTrial:
    """One client, the nodes that it knows, and what its callers were told."""

    def __init__(self, seed: int) -> None:
        self.chance, self.operator = random.Random(seed), random.Random(f"operator {seed}")
        expiry = self.chance.choice((EXPIRY, 1_000_000))
        self.machine, self.index, self.leader = Sessions(KeyValue({KEY: ""}), expiry=expiry), 0, 1
        self.past = self.machine.fork(), 0
        self.state = ClientState(limits=LIMITS, session=Session(7), turn=seed)
        self.wire: list[Ask] = []
        self.left: list[Ask] = []
        self.timers: dict[Timer, SetTimer] = {}
        self.written: dict[int, Sequence[str]] = {}
        self.policies: dict[str, ReadPolicy] = {}
        self.outcomes: dict[int, Exception | dict[int, Any]] = {}
        self.asked: dict[int, Message] = {}
        self.uncertain: set[int] = set()
        self.copies: dict[int, set[int]] = {}
        self.operations: dict[int, str] = {}
        self.carried_out: list[str] = []
        self.lost: set[str] = set()
        self.calls = 0
        self.wrong: list[str] = []
        self._happen(NodesKnown(NODES))

    def run(self) -> str:
        """Let chance decide for a while, then let everything go well; what is wrong, or nothing."""
        moves = (self._write, self._write, self._read, self._serve, self._serve, self._serve, self._lose, self._refuse,
                 self._leave, self._run_out, self._rest, self._elect, self._hear_others, self._give_up)  # fmt: skip
        for _ in range(MOVES):
            self.chance.choice(moves)()
            if self.operator.random() < OPERATED:
                self._operate()
        for _ in range(SETTLING):
            if not (self.wire or self.timers):
                break
            self._serve() if self.wire else self._happen_first(next(iter(self.timers)))
        return next(iter([*self.wrong, *self._judged()]), "")

    # What callers do

    def _write(self) -> None:
        self.calls += 1
        words = [f"{self.calls}.{place} " for place in range(self.chance.choice((1, 1, 2, 9)))]
        self.written[self.calls] = words
        commands = [encode({"op": "append", "key": KEY, "value": word}) for word in words]
        self._happen(Submit([Write(self.calls, commands)]))

    def _read(self) -> None:
        self.calls += 1
        query, policy = f"q{self.calls}", self.chance.choice(POLICIES)
        self.policies[query] = policy
        self._happen(Submit([Read(self.calls, query, policy)]))

    def _operate(self) -> None:
        self.calls += 1
        is_local = self.operator.random() < LOCAL
        name = f"{'look' if is_local else 'change'} {self.calls}"
        self.operations[self.calls] = name
        self._happen(Submit([Operation(self.calls, name, is_local=is_local)]))

    def _give_up(self) -> None:
        """An old call reaches its deadline."""
        open_calls = [call for call in range(1, self.calls + 1) if not self._has_ended(call)]
        if open_calls and self.chance.random() < 0.6:
            self._happen(GiveUp([self.chance.choice(open_calls[:2])], 1.0))

    # What happens to requests

    def _taken(self) -> Ask | None:
        return self.wire.pop(self.chance.randrange(len(self.wire))) if self.wire else None

    def _serve(self) -> None:
        """A request reaches its node, and the answer its client."""
        if (ask := self._taken()) is not None:
            self._happen(self._answer(ask))

    def _lose(self) -> None:
        """A request reaches its node, and the answer is lost."""
        if (ask := self._taken()) is not None:
            self._answer(ask)

    def _refuse(self) -> None:
        """A request is lost, and the client is told."""
        if (ask := self._taken()) is not None:
            self._happen(Failed(ask.request, NetworkFailed("the broker", "it is down")))

    def _leave(self) -> None:
        """The leader takes a write into its log and is cut off: the next one decides. What it was asked, it does."""
        ask = self._taken()
        if ask is None or ask.node != self.leader:
            return
        if isinstance(ask.message, Operate):
            self._lose_outcome(ask)
        if not isinstance(ask.message, WriteBatch):
            return
        self.left.append(ask)
        if self.chance.random() < 0.5:
            self._happen(Failed(ask.request, OutcomeUnknown("the node no longer leads")))

    def _lose_outcome(self, ask: Ask) -> None:
        """An operation is carried out or not, and its node cannot say."""
        assert isinstance(ask.message, Operate), "only operations are carried out without a log"
        if self.operator.random() < 0.5:
            self.carried_out.append(ask.message.operation)
        if ask.request in self.state.asked:
            self.lost.add(ask.message.operation)
        self._happen(Failed(ask.request, OutcomeUnknown("the node no longer leads")))

    def _elect(self) -> None:
        """Another node leads; what was left to it is in its log, or gone for ever."""
        self.leader, self.past = self.chance.choice(NODES), (self.machine.fork(), self.index)
        self._decide()

    def _decide(self) -> None:
        left, self.left = self.left, []
        for ask in left[: self.chance.randrange(len(left) + 1)]:
            assert isinstance(ask.message, WriteBatch), "only writes are left in a log"
            self._apply(ask.message.data)

    def _hear_others(self) -> None:
        """Other clients write, until the session may be forgotten."""
        if self.chance.random() < 0.2:
            for _ in range(EXPIRY + 1):
                self._apply(encode({"op": "put", "key": "other", "value": 1}, client=9, serial=self.index + 1))

    def _answer(self, ask: Ask) -> Replied | Failed:
        message = ask.message
        if isinstance(message, Operate) and message.operation.startswith("look"):
            return Replied(ask.request, message.operation)
        if ask.node != self.leader:
            return Failed(ask.request, NotLeader(self.leader, node=ask.node))
        self._decide()
        if isinstance(message, Operate):
            self.carried_out.append(message.operation)
            return Replied(ask.request, message.operation)
        if isinstance(message, WriteBatch):
            return Replied(ask.request, self._apply(message.data))
        asked = decide(message, ())
        by_lease = isinstance(asked, EnsureRead) and asked.policy == "lease" and self.chance.random() < 0.5
        machine, index = self.past if by_lease else (self.machine, self.index)
        answer = reply(message, index, query=machine.query, outcome=machine.outcome)
        if isinstance(message, ReadMany):  # the others do not fit into one reply
            answer = answer[: self.operator.randrange(1, len(answer) + 1)]
        return Replied(ask.request, answer)

    def _apply(self, data: bytes) -> Any:
        self.index += 1
        return self.machine.apply(Entry(LogId(1, 1, self.index), Normal(data)))

    # Timers

    def _run_out(self) -> None:
        """An attempt takes too long; its request may arrive later."""
        waiting = [timer for timer in self.timers if isinstance(timer, AttemptTimer)]
        if waiting:
            self._happen_first(self.chance.choice(waiting))

    def _rest(self) -> None:
        if RetryTimer() in self.timers:
            self._happen_first(RetryTimer())

    def _happen_first(self, timer: Timer) -> None:
        del self.timers[timer]
        self._happen(TimerFired(timer))

    # The client's turn

    def _happen(self, event: Event) -> None:
        self._note(event)
        turned = step(self.state, event)
        self._compare(event, turned)
        self.state = turned.after
        for command in turned.commands:
            self._carry_out(command)

    def _compare(self, event: Event, turned: Step) -> None:
        """Compare what the client makes of an event with what it may."""
        match event:
            case TimerFired(AttemptTimer(request)) if request in self.state.asked:
                if Forget(request) not in turned.commands:
                    self.wrong.append(f"request {request} took too long, and its driver goes on waiting for it")
            case Replied(request, str(reply)) if request in self.state.asked and reply.startswith("look"):
                if turned.after.leader != self.state.leader:
                    self.wrong.append(f"node {turned.after.leader} is taken for the leader, since it answered {reply}")
            case _:
                pass

    def _carry_out(self, command: Command) -> None:
        match command:
            case Ask(request, message=message):
                self.wire.append(command)
                self.asked[request] = message
                self._look_at(message)
                if isinstance(message, WriteBatch):
                    self.copies[request] = {int(word) for word in re.findall(rb"(\d+)\.\d+ ", message.data)}
            case SetTimer(timer):
                self.timers[timer] = command
            case CancelTimer(timer):
                self.timers.pop(timer, None)
            case Deliver():
                for part in command.parts:
                    values = command.values[part.place : part.place + part.count]
                    self._tell(part.call, dict(enumerate(values, part.start)))
            case Fail(call, error):
                self._tell(call, error)
            case _:
                pass  # an answer that nobody needs does no harm

    def _note(self, event: Event) -> None:
        """A batch is uncertain from an attempt that nobody answers to the next answer about it."""
        match event:
            case Replied(request, OutOfOrder()) if request in self.state.asked:
                self.copies.pop(request, None)
            case Failed(request, error) if request in self.state.asked and isinstance(error, REFUSALS):
                self.copies.pop(request, None)
            case Replied(request) if request in self.state.asked:
                match self.asked[request]:
                    case WriteBatch(serial=serial) | FindOutcome(serial=serial):
                        self.uncertain.discard(serial)
                    case OpenSession():
                        self.uncertain.clear()
                    case _:
                        pass
            case Failed(request) if request in self.state.asked:
                self._doubt(request)
            case TimerFired(AttemptTimer(request)) if request in self.state.asked:
                self._doubt(request)
            case _:
                pass

    def _doubt(self, request: int) -> None:
        message = self.asked[request]
        if isinstance(message, WriteBatch):
            self.uncertain.add(message.serial)

    def _look_at(self, message: Message) -> None:
        match message:
            case ReadMany(queries, policy):
                for wanted in (self.policies[query] for query in queries):
                    if policy != wanted:
                        self.wrong.append(f"a read by {wanted} is sent as one by {policy}")
            case Operate(operation) if operation in self.lost:
                self.wrong.append(f"{operation} is asked for again, although it may have happened")
            case WriteBatch(serial=serial):
                before = [one.serial for one in self.state.batches if one.serial < serial]
                if not self.uncertain.isdisjoint(before):
                    self.wrong.append(f"batch {serial} overtakes {self.uncertain & {*before}}: were they applied?")
            case _:
                pass

    def _tell(self, call: int, what: Exception | dict[int, Any]) -> None:
        known = self.outcomes.get(call)
        if call == CANCELLED:
            return
        is_in_doubt = isinstance(what, Timeout) and what.may_have_happened and call in self.written
        if is_in_doubt and not any(call in calls for calls in self.copies.values()):
            self.wrong.append(f"call {call} is told that it may have happened, and no copy of it was taken")
        if self._has_ended(call):
            self.wrong.append(f"call {call} ends twice: {known!r}, then {what!r}")
        elif isinstance(what, Exception) or not isinstance(known, dict):
            self.outcomes[call] = what
        else:
            self.outcomes[call] = {**known, **what}

    def _has_ended(self, call: int) -> bool:
        known = self.outcomes.get(call)
        return known is not None and (isinstance(known, Exception) or len(known) >= len(self.written.get(call, "?")))

    # The verdict

    def _judged(self) -> Iterator[str]:
        log = self.machine.query(KEY)
        applied = log.split()
        if len({*applied}) < len(applied):
            yield f"a write was applied twice: {log}"
        if applied != sorted(applied, key=lambda word: [int(number) for number in word.split(".")]):
            yield f"writes were applied in another order: {log}"
        for call in range(1, self.calls + 1):
            if not self._has_ended(call):
                yield f"call {call} never ends"
        for call, words in self.written.items():
            yield from self._is_true(call, words, log)
        for call, name in self.operations.items():
            yield from self._is_done(call, name)

    def _is_done(self, call: int, name: str) -> Iterator[str]:
        told, happened = self.outcomes.get(call), name in self.carried_out
        match told:
            case dict() if told != {0: name} or not (happened or name.startswith("look")):
                yield f"an operator was told {told} of {name}, which {'happened' if happened else 'did not happen'}"
            case Timeout(may_have_happened=True):
                pass
            case Exception() if happened and not isinstance(told, UNKNOWN):
                yield f"an operator was told {told!r}, and {name} happened"
            case _:
                pass

    def _is_true(self, call: int, words: Sequence[str], log: str) -> Iterator[str]:
        told, happened = self.outcomes.get(call), [word for word in words if f" {word}" in f" {log}"]
        match told:
            case Timeout(may_have_happened=True) | None:
                pass
            case Exception() if not isinstance(told, UNKNOWN) and happened:
                yield f"a caller was told {told!r}, and {happened} happened"
            case dict() if sorted(told.items()) != [*enumerate(map(partial(_up_to, log), happened))]:
                yield f"a caller was told {told} of {words}, and the log is {log}"
            case _:
                pass


def _up_to(log: str, word: str) -> str:
    """The log up to a word in it: the answer to the write of this word."""
    return log[: f" {log}".index(f" {word}") + len(word)]


def client_failure(draw: Draw) -> Failure | None:
    """The failure of a client under a seed's chances; ``None`` if all is well."""
    wrong = next(filter(None, (ClientTrial(draw.seed * RUNS + run).run() for run in range(RUNS))), None)
    return None if wrong is None else Failure(OUTCOMES_ARE_TRUE, wrong)
