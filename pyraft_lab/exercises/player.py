"""Play one live node by hand: messages that need a decision wait for an answer, all others are handled at once.

::

    network ──messages──▶ inbox ──routine─────────────▶ node
                            └─ needs a decision ─▶ answer ─┘

A node joins without questions: the player decides about entries once the node is a voter. The node stays a full
member while its player thinks: it answers heartbeats, and its timers run. Only the message in question is late, as on a
slow network. The node never becomes a candidate by itself: the player decides that, too. To vote, lead or commit with
played nodes alone needs a slow room (:class:`~pyraft_lab.runtime.room.Room`).
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Event, Fire, Receive
from pyraft_lab.engine.messages import AppendRequest, HeartbeatRequest, LeaderMessage, PreVoteRequest, VoteRequest
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.engine.state import Leader, RaftState, Step
from pyraft_lab.engine.timers import ELECTION, TimerKind
from pyraft_lab.engine.types import NodeId, Term
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.mark import Mark, mark
from pyraft_lab.exercises.question import Question
from pyraft_lab.exercises.questions import question
from pyraft_lab.exercises.rule_overrides import Table
from pyraft_lab.network.base import Endpoint, Mailbox, Network, Notice
from pyraft_lab.network.codec import Envelope
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.runtime.room import Playing, Room
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.record import MessageId, Record

MAX_WAITING = 32
"""The number of messages that may wait for an answer; later ones are dropped, and Raft sends them again."""
CHECK_INTERVAL = 0.1
"""Seconds after which waiting messages are checked again: the state of the node may have changed."""


class HeldEvent(Struct, frozen=True):
    """An event that waits for an answer, and the message that brings it, if there is one."""

    event: Event
    envelope: Envelope | None = None


class OpenQuestion(Struct, frozen=True):
    """The current question, and the event that it is about."""

    waiting: HeldEvent
    question: Question


class Player:
    """The player of a node in the same process; pass it to :func:`~pyraft_lab.runtime.process.serve`.

    After ``known`` right answers in a row a rule is not asked about again.
    """

    marks: list[Mark]
    """Every answer so far."""
    asked: OpenQuestion | None
    """The question to answer now."""
    state: RaftState | None
    """The last known state of the node."""
    room: Room
    """The teacher's settings of the room."""

    def __init__(self, *, by_hand: bool = False, known: int | None = 2) -> None:
        self.marks, self.asked, self.state, self.room = [], None, None, Room()
        self._wants, self._known = by_hand, known
        self._table = Table(RAFT)
        self._inbox: list[HeldEvent] = []
        self._passed: set[MessageId] = set()
        self._overruled: MessageId | None = None
        self._silence = False
        self._node: NodeId = 0
        self._raft: Raft | None = None
        self._mailbox: Mailbox | None = None
        self._news = asyncio.Event()

    @property
    def rules(self) -> Rules:
        """The rules of the node: Raft's, except for answers given with ``for_real``."""
        return self._table.rules

    @property
    def by_hand(self) -> bool:
        """Whether the node is now played by hand."""
        return self._wants or self._node in self.room.by_hand

    @by_hand.setter
    def by_hand(self, wants: bool) -> None:
        self._wants = wants
        self._set_up()

    @property
    def inbox(self) -> Sequence[HeldEvent]:
        """The events that wait for an answer."""
        return tuple(self._inbox)

    # Called by the node's process

    def wrap_network(self, network: Network) -> Network:
        """The network that delivers messages for the node to the player first."""
        return _Played(self, network)

    async def play(self, raft: Raft) -> None:
        """Check the waiting events whenever something changes, until cancelled."""
        self._raft, self._node = raft, raft.id
        self._set_up()
        while True:
            self._news.clear()
            await raft.with_state(self._look)
            try:
                async with asyncio.timeout(CHECK_INTERVAL if self._is_busy else None):
                    await self._news.wait()
            except TimeoutError:
                self._passed.clear()

    @property
    def _is_busy(self) -> bool:
        """Whether something waits for an answer, or for the node."""
        return bool(self._inbox or self._passed or self._silence)

    def on_room(self, room: Room) -> None:
        """Take the teacher's new settings of the room."""
        self.room = room
        self._set_up()

    def __call__(self, record: Record) -> None:
        """Note the node's state, which messages it has handled, and whether its election timer fired."""
        self.state = self.state if record.step is None else record.step.after
        if record.message is not None and record.message == self._overruled:
            self._table.forget()  # the answer was for this message: a rule may be asked the same about later ones
        if record.message in self._passed:
            self._passed.discard(record.message)
            self._news.set()
        match record.step:
            case Step(before=before, event=Fire(timer)) if timer.kind is TimerKind.ELECTION:
                if self.by_hand and not isinstance(before.role, Leader):
                    self._silence = True
                    self._news.set()
            case _:
                pass

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        """Queue messages for the node."""
        for envelope in envelopes:
            fresh = HeldEvent(Receive(src, envelope.message), envelope)
            if not any(_repeats(fresh, one) for one in self._inbox):
                self._inbox = [*(one for one in self._inbox if not _replaces(fresh, one)), fresh]
        if not self.by_hand:
            self._pass_all()
        self._news.set()

    @property
    def playing(self) -> Playing:
        """The report for the teacher."""
        asked = "" if self.asked is None else self.asked.question.text
        return Playing(by_hand=self.by_hand, right=sum(map(bool, self.marks)), given=len(self.marks), asked=asked)

    # Called by the player

    async def answer(self, answer: str) -> Mark | None:
        """Answer the question; ``None`` if the question has changed meanwhile, or there is none."""
        if self._raft is None or self.asked is None:
            raise PyraftError("nothing to decide yet")
        return await self._raft.with_state(partial(self._answer, answer, self.asked))

    def _answer(self, answer: str, asked: OpenQuestion, state: RaftState) -> Mark | None:
        reference = _taken(state, asked.waiting)
        if question(reference) != asked.question:
            self._look(state)
            return None
        given = mark(reference, asked.question, answer)
        if self.room.for_real and not given.right:
            given = mark(reference, asked.question, answer, done=self._can_do(step(state, asked.waiting.event), given))
        self.marks.append(given)
        self._carry_out(asked.waiting, given)
        return given

    def _can_do(self, own: Step, given: Mark) -> bool:
        """Whether the node can do what the player answered; it can always send no answer."""
        choice = given.question.choice(given.answer)
        assert choice is not None, "it was marked"
        if choice.rulings is None:
            return given.question.about == "silence"
        self._table.forget()
        return self._table.overrule(own, choice.rulings) is not None

    def _carry_out(self, waiting: HeldEvent, given: Mark) -> None:
        """Deliver the message to the node; or make the node a candidate."""
        self.asked = None
        if waiting.envelope is not None:
            self._inbox.remove(waiting)
            self._overruled = waiting.envelope.id
            self._pass(waiting)
        else:
            self._silence = False
            stands = given.answer == "stand" if given.done else "stand" in given.question.right
            if stands and self._raft is not None:
                self._raft.trigger.elect(pre_vote=self._raft.config.pre_vote)
        self._news.set()

    # Sorting

    def _look(self, state: RaftState) -> None:
        """Deliver routine messages and find the next question; only after the node has handled earlier messages."""
        self.state = state
        if self._passed:
            return
        kept: list[HeldEvent] = []
        for waiting in self._inbox:
            reference = _taken(state, waiting)
            found = question(reference)
            if found is not None and not self._is_routine(found, reference, kept):
                kept.append(waiting)
            else:
                self._pass(waiting)
                state = reference.after
        self._inbox = kept[:MAX_WAITING]
        silent = [HeldEvent(Fire(ELECTION))] if self._silence else []
        newest_first = sorted((*silent, *kept), key=lambda waiting: -_term(waiting.event))
        asked = ((waiting, question(_taken(state, waiting))) for waiting in newest_first)
        self.asked = next((OpenQuestion(waiting, found) for waiting, found in asked if found is not None), None)

    def _is_routine(self, found: Question, reference: Step, kept: Sequence[HeldEvent]) -> bool:
        """Whether to skip the question: it is known, minor, or about entries of a node that is not a voter yet."""
        early = found.about == "append" and reference.before.id not in reference.before.membership.voters
        return early or self._knows(reference) or _is_minor(found, reference.event, kept)

    def _pass_all(self) -> None:
        """Deliver everything that waits: the node is not played by hand."""
        waiting, self._inbox, self.asked, self._silence = self._inbox, [], None, False
        for one in waiting:
            self._pass(one)

    def _pass(self, waiting: HeldEvent) -> None:
        assert self._mailbox is not None, "messages come after the node has joined its network"
        if waiting.envelope is not None and isinstance(waiting.event, Receive):
            self._silence = self._silence and not isinstance(waiting.envelope.message, LeaderMessage)
            self._passed.add(waiting.envelope.id)
            self._mailbox.receive(waiting.event.src, [waiting.envelope])

    def _knows(self, reference: Step) -> bool:
        """Whether the last ``known`` answers about this rule were right, so that it is not asked again."""
        if self._known is None:
            return False
        label = rule(reference).label
        alike = [one for one in reversed(self.marks) if one.rule.label == label]
        return len(list(takewhile(bool, alike))) >= self._known

    @property
    def may_stand(self) -> bool:
        """Whether the node may become a candidate by itself; a player by hand decides about that."""
        return not self.by_hand

    def room_changed(self) -> None:
        """Apply the settings again."""
        self._set_up()

    def _set_up(self) -> None:
        """The node's settings: a player by hand also decides about elections."""
        if not self.by_hand:
            self._pass_all()
        if self._raft is not None and self._raft.metrics.running is None:
            self._raft.runtime.elect(self.may_stand)
        self._news.set()


class _Played:
    """A network that delivers to the player of the node that joins."""

    def __init__(self, player: Player, network: Network) -> None:
        self._player, self._network = player, network

    async def join(self, node: NodeId, mailbox: Mailbox) -> Endpoint:
        self._player._mailbox = mailbox  # noqa: SLF001 (its other half)
        return await self._network.join(node, _PlayerMailbox(self._player, mailbox))

    async def close(self) -> None:
        await self._network.close()


class _PlayerMailbox:
    """The node's mailbox: messages go to the player, notices directly to the node."""

    def __init__(self, player: Player, mailbox: Mailbox) -> None:
        self._player, self._mailbox = player, mailbox

    def receive(self, src: NodeId, envelopes: Sequence[Envelope]) -> None:
        self._player.receive(src, envelopes)

    def notice(self, notice: Notice) -> None:
        self._mailbox.notice(notice)


def _taken(state: RaftState, waiting: HeldEvent) -> Step:
    """The step of the reference engine, with elections switched on (a played node has them off)."""
    return step(replace(state, config=replace(state.config, enable_elect=True)), waiting.event)


def _is_minor(found: Question, event: Event, kept: Sequence[HeldEvent]) -> bool:
    """Whether to skip the question about a leader: a question about its entries waits already."""
    return found.right == {"follow"} and any(_src(one.event) == _src(event) for one in kept)


def _term(event: Event) -> Term:
    """The term of a message: questions about old terms come last."""
    return event.message.vote.term if isinstance(event, Receive) else 0


def _src(event: Event) -> NodeId | None:
    return event.src if isinstance(event, Receive) else None


def _repeats(fresh: HeldEvent, old: HeldEvent) -> bool:
    """Whether a message repeats one that waits already: an append after the same entry."""
    match fresh.event, old.event:
        case Receive(src, AppendRequest() as again), Receive(other, AppendRequest() as first):
            news = bool(again.entries) and not first.entries
            return (src, again.vote, again.prev) == (other, first.vote, first.prev) and not news
        case _:
            return False


def _replaces(fresh: HeldEvent, old: HeldEvent) -> bool:
    """Whether a message replaces an older one: it says the same, or it is a later call or heartbeat."""
    match fresh.event, old.event:
        case Receive(src, VoteRequest()), Receive(other, VoteRequest() | PreVoteRequest()):
            return src == other
        case Receive(src, PreVoteRequest()), Receive(other, PreVoteRequest()):
            return src == other
        case Receive(src, HeartbeatRequest()), Receive(other, HeartbeatRequest()):
            return src == other
        case _:
            return fresh.event == old.event
