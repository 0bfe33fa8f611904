"""What may be asked of a past, and what an answer is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError, Struct, convert

from pyraft_lab.engine.types import Index, NodeId, Term
from pyraft_lab.errors import PyraftError, shown
from pyraft_lab.trace.record import EventId, Flight, MessageId, Record
from pyraft_lab.trace.story import sentence

if TYPE_CHECKING:
    import pandas as pd


class Leads(Struct, frozen=True, forbid_unknown_fields=True):
    """``leader`` leads; in ``term``, or (``None``) whenever it last began to."""

    leader: NodeId
    term: Term | None = None


class Commits(Struct, frozen=True, forbid_unknown_fields=True):
    """Entry ``committed`` is committed."""

    committed: Index


class Votes(Struct, frozen=True, forbid_unknown_fields=True):
    """``vote`` = (voter, candidate): the one voted for the other in ``term``, or the last one asked about."""

    vote: tuple[NodeId, NodeId]
    term: Term | None = None


class Happens(Struct, frozen=True, forbid_unknown_fields=True):
    """The record of this id came about."""

    event: EventId


Question = Leads | Commits | Votes | Happens
_QUESTIONS: Mapping[str, type[Question]] = {"leader": Leads, "committed": Commits, "vote": Votes, "event": Happens}


def question(what: object, fact: Mapping[str, object]) -> Question:
    """The question as a value; ``PyraftError`` where it is none."""
    asked: dict[str, Any] = dict(fact)
    if what is not None:
        asked["event"] = what.id if isinstance(what, Record) else what
    kinds = [kind for name, kind in _QUESTIONS.items() if name in asked]
    if len(kinds) != 1:
        raise PyraftError("ask about a record or its id, or one of leader=, committed=, vote=(voter, candidate)")
    try:
        return convert(asked, kinds[0])
    except (MsgspecError, UnicodeError, RecursionError) as error:
        raise PyraftError(f"{shown(asked)} is not a valid question: {error}") from error


class Explanation(Struct, frozen=True):
    """An answer: ``answer`` in a sentence, ``reasons`` one by one, and the ``records`` that show it, oldest first.

    ``missed`` are the messages that would have made a difference, had they been heard. ``viz.why`` draws all of it.
    """

    answer: str
    reasons: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    flights: Mapping[MessageId, Flight] = {}
    missed: tuple[Flight, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer, its reasons, and what the records tell."""
        return (self.answer, *self.reasons, *self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence for each record."""
        return tuple(sentence(record, self.flights) for record in self.records)

    @property
    def frame(self) -> "pd.DataFrame":
        """The records as a small events frame, each with its ``sentence``."""
        from pyraft_lab.trace.frames import events

        return events(self.records).assign(sentence=list(self.lines))

    def __str__(self) -> str:
        told = (f"{place:3} {line}" for place, line in enumerate(self.lines, 1))
        return "\n".join((self.answer, *(f"- {reason}" for reason in self.reasons), *told))

    def _repr_markdown_(self) -> str:
        reasons = "".join(f"\n- {reason}" for reason in self.reasons)
        told = "".join(f"\n{place}. {line}" for place, line in enumerate(self.lines, 1))
        return f"**{self.answer}**\n{reasons}\n{told}"
