"""Play one server of a simulation by hand: the clock stands still while you decide.

>>> from pyraft_lab import Simulation, exercises
>>> hand = exercises.play(Simulation(nodes=3, seed=1), 1)
>>> print(hand.wait())
n2 asks whether you would vote for it in term 1; its log ends with entry 1 of term 0.
  your log ends with entry 1 of term 0
  you are in term 0, and your vote of it is free
  you follow no leader, and heard no leader recently
<BLANKLINE>
  grant  yes
  ...
>>> mark = hand.answer("grant")
>>> mark.right, mark.rule.label, mark.rule.section
(True, 'pre-vote granted', 'dissertation §9.6')
"""

from collections.abc import Sequence
from itertools import takewhile
from types import EllipsisType
from typing import overload

from msgspec import Struct

from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import Event, Fire, Receive, Stored
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.state import RaftState, Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import PyraftError, Timeout, UnknownNode
from pyraft_lab.exercises.mark import Mark, Unanswered, mark
from pyraft_lab.exercises.question import Question
from pyraft_lab.exercises.questions import question
from pyraft_lab.exercises.rule_overrides import Table
from pyraft_lab.exercises.sheet import state_sheet
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Deliver, FireTimer, Pending, Sync
from pyraft_lab.trace.annotate.table import rule
from pyraft_lab.trace.text import message_name, server


class Mail(Struct, frozen=True):
    """A message on its way to the server that you play."""

    src: NodeId
    message: AnyMessage

    def __repr__(self) -> str:
        return f"<{server(self.src)}: {message_name(self.message)}>"


class Hand:
    """One server that you play; made by :func:`play`."""

    sim: Simulation
    """The cluster of the played server: a branch of the given simulation."""
    marks: list[Mark]
    """Every answer so far."""

    def __init__(self, sim: Simulation, node: NodeId, *, for_real: bool, known: int | None) -> None:
        if node not in sim.nodes:
            raise UnknownNode(node, sim.nodes)
        self.node, self.marks = node, []
        self._for_real, self._known = for_real, known
        self._reference = sim.world.setting.engine.rules
        self._table = Table(self._reference)
        self.sim = sim.fork(rules=self._table.rules) if for_real else sim.fork()

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        asked = self.question
        inbox = "\n".join(f"  {server(one.src)}: {message_name(one.message)}" for one in self.inbox)
        return "\n\n".join(
            [
                state_sheet(self.state),
                f"on their way to you\n{inbox}" if inbox else "nothing is on its way to you",
                str(asked) if asked else "nothing to decide yet; call hand.wait()",
            ]
        )

    # The state of the server

    @property
    def state(self) -> RaftState:
        """The whole state of the server: the paper's Figure 2."""
        return self.sim.nodes[self.node].state

    @property
    def inbox(self) -> Sequence[Mail]:
        """The messages on their way to it, in the order in which they will arrive."""
        flights = sorted(
            (flight for flight in self.sim.flying if flight.dst == self.node), key=lambda one: one.due or 0.0
        )
        return tuple(Mail(flight.src, flight.message) for flight in flights)

    @property
    def question(self) -> Question | None:
        """The question that the server has to answer now; ``None`` if there is nothing to decide yet."""
        reference = self._next()
        if reference is None or self._knows(reference):
            return None
        return question(reference)

    @property
    def score(self) -> tuple[int, int]:
        """The number of right answers, and the number of answers."""
        return sum(one.right for one in self.marks), len(self.marks)

    # Playing

    def wait(self, timeout: float = 10.0) -> Question:
        """Run until the server has to decide; ``Timeout`` after ``timeout`` virtual seconds without a question."""
        try:
            asked = self.sim.run_until(lambda _: self.question, timeout)
        except Timeout:
            raise Timeout(f"anything that {server(self.node)} has to decide", timeout) from None
        assert asked is not None, "run_until returns only with a question"
        return asked

    @overload
    def answer(self, answer: str | int) -> Mark: ...
    @overload
    def answer(self, answer: EllipsisType = ...) -> Unanswered: ...
    def answer(self, answer: str | int | EllipsisType = ...) -> Mark | Unanswered:
        """Give one of the question's answers; the server does what Raft says, or, with ``for_real``, what you say.

        ``...`` passes: the server does what Raft says, and nothing is marked.
        """
        reference, asked = self._next(), self.question
        if reference is None or asked is None:
            raise PyraftError("nothing to decide yet; call wait()")
        if isinstance(answer, EllipsisType):
            self.sim.step()
            return Unanswered(question=asked)
        given = mark(reference, asked, answer)
        if self._for_real and not given.right:
            given = mark(reference, asked, answer, done=self._applied(reference, asked, given.answer))
        self.marks.append(given)
        self.sim.step()
        return given

    def _applied(self, reference: Step, asked: Question, word: str) -> bool:
        """Make the server do what you answered from now on; say whether it can."""
        choice = asked.choice(word)
        assert choice is not None, "it was marked"
        return choice.rulings is not None and self._table.overrule(reference, choice.rulings) is not None

    def _knows(self, reference: Step) -> bool:
        """Whether the last ``known`` answers about this rule were right, so that it is not asked again."""
        if self._known is None:
            return False
        label = rule(reference).label
        alike = [one for one in reversed(self.marks) if one.rule.label == label]
        return len(list(takewhile(lambda one: one.right, alike))) >= self._known

    def _next(self) -> Step | None:
        """The step that Raft would take next, if the next event is this server's."""
        coming = next(iter(self.sim.pending), None)
        event = None if coming is None else self._event(coming)
        return None if event is None else step(self.state, event, self._reference)

    def _event(self, coming: Pending) -> Event | None:
        node = self.sim.nodes[self.node]
        match coming:
            case Deliver(message):
                flight = self.sim.world.flights[message]
                reaches = flight.dst == self.node and node.up and (flight.src, flight.dst) not in self.sim.world.cuts
                return Receive(flight.src, flight.message) if reaches else None
            case FireTimer(owner, timer) if owner == self.node:
                return Fire(timer)
            case Sync(owner) if owner == self.node and not node.node.disk_faults.full:
                image = node.node.batches[0].image
                return Stored(image.vote, image.log.last)
            case _:
                return None


def play(sim: Simulation, node: NodeId, *, for_real: bool = False, known: int | None = None) -> Hand:
    """Take the place of one server in a branch of ``sim``; the simulation itself stays as it is.

    The reference engine marks each answer, and the server does what Raft says, so one mistake does not disturb the rest
    of the lesson. With ``for_real`` the server does what you say, if a server can do it: ``hand.sim.violations`` then
    shows the consequences. After ``known`` right answers in a row a rule is not asked about again.
    """
    return Hand(sim, node, for_real=for_real, known=known)
