"""What each rule answers: the type, and when two answers say the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pyraft_lab.engine.log import Entry
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import VoteRefusal
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import LogId, Vote


class AnswerType(Struct, frozen=True):
    """The answers of a rule: in words, whether a value is one, and what of it counts in a comparison."""

    words: str
    is_one: Callable[[Any], bool]
    counts: Callable[[Any], Any]

    def problem(self, value: Any) -> str:
        """What is wrong with a value; empty if it is an answer."""
        return "" if self.is_one(value) else f"it must answer {self.words}, not {_short(value)}"

    def same(self, one: Any, other: Any) -> bool:
        """Whether two answers say the same."""
        return bool(self.counts(one) == self.counts(other))


def _short(value: Any) -> str:
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) < 60 else f'{shown[:57]}...'}"


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _sequence_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Sequence) and all(isinstance(one, kind) for one in value)


def _itself(value: Any) -> Any:
    return value


TRUTH = AnswerType("True or False", lambda value: isinstance(value, bool), bool)
INDEX = AnswerType("a whole number", _is_index, _itself)
REFUSAL = AnswerType(
    "None, or a VoteRefusal", lambda value: value is None or isinstance(value, VoteRefusal), lambda value: value is None
)
VOTE = AnswerType("a Vote", lambda value: isinstance(value, Vote), _itself)
LOG_ID = AnswerType("a LogId", lambda value: isinstance(value, LogId), _itself)
MEMBERSHIP = AnswerType("a Membership", lambda value: isinstance(value, Membership), _itself)
ENTRIES = AnswerType("a list or tuple of entries", _sequence_of(Entry), tuple)
TIMERS = AnswerType("a list or tuple of timers", _sequence_of(Timer), frozenset)

ANSWERS: Mapping[str, AnswerType] = {
    "supersedes": TRUTH,
    "adopted_vote": VOTE,
    "vote_refusal": REFUSAL,
    "pre_vote_refusal": REFUSAL,
    "may_campaign": TRUTH,
    "answers_vote": TRUTH,
    "has_won": TRUTH,
    "log_matches": TRUTH,
    "new_entries": ENTRIES,
    "conflict_hint": LOG_ID,
    "next_probe": INDEX,
    "commit_index": INDEX,
    "follower_commit": INDEX,
    "sendable": INDEX,
    "waits_for_disk": TRUTH,
    "acked_round": INDEX,
    "starts_lease": TRUTH,
    "starts_with_vote_lease": TRUTH,
    "is_read_safe": TRUTH,
    "has_valid_lease": TRUTH,
    "fires_first": TIMERS,
    "read_at": INDEX,
    "may_change": TRUTH,
    "next_membership": MEMBERSHIP,
    "may_leave": TRUTH,
    "is_snapshot_due": TRUTH,
    "would_interrupt_transfer": TRUTH,
    "purge_upto": INDEX,
    "purge_limit": INDEX,
    "is_snapshot_useful": TRUTH,
}
"""The type of every rule's answer."""
