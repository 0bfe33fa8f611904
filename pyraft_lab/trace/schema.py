"""The columns of every frame of a trace, and what each means."""

from typing import get_args

from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.state import RoleName
from pyraft_lab.trace.annotate.table import LABELS
from pyraft_lab.trace.columns import Column, ColumnKind, Columns
from pyraft_lab.trace.record import Fate, Kind

ROLES: tuple[str, ...] = get_args(RoleName)
FATES = tuple(fate.value for fate in Fate)
ENTRY_KINDS = ("membership", "noop", "normal")
"""The kinds of log entries; ``noop`` is the entry without a command with which a leader begins its term (§8)."""
SPAN_KINDS = ("build", "down", "election", "leadership", "membership", "snapshot", "transfer")
SPAN_OUTCOMES = (
    "arrived",
    "built",
    "committed",
    "crashed",
    "given up",
    "lost",
    "restarted",
    "stepped down",
    "won",
)
CALL_KINDS = ("initialize", "membership", "read", "revert", "transfer", "write")

WHOLE, TIME, TRUTH, WORD, TEXT = ColumnKind.WHOLE, ColumnKind.TIME, ColumnKind.TRUTH, ColumnKind.WORD, ColumnKind.TEXT


def _words(*words: str) -> tuple[str, ...]:
    """The same words in the same order in every run, so that frames of two runs can be joined."""
    return tuple(sorted(words))


_STANDING: Columns = (
    Column("term", "the node's currentTerm afterwards"),
    Column("role", "the node's role afterwards", WORD, _words(*ROLES)),
    Column("leader", "the leader that the node knows afterwards; missing if it knows none"),
    Column("commit", "the node's commitIndex afterwards"),
    Column("applied", "the node's lastApplied afterwards"),
    Column("last_term", "the term of the last entry in the node's log"),
    Column("last_index", "the index of the last entry in the node's log"),
)
EVENTS: Columns = (
    Column("id", "the number of the record"),
    Column("time", "when it happened, in seconds", TIME),
    Column("node", "the node where it happened; missing for what concerns the whole cluster"),
    Column("kind", "what happened: a step of a node (receive, timer ...) or a fault", WORD, _words(*Kind)),
    Column("cause", "the id of the record that caused it; missing for causes outside the cluster"),
    *_STANDING,
    Column("peer", "the other node: the sender of a message, the far end of a cut link"),
    Column("message", "the id of the message that arrived, or that was dropped, delayed or duplicated"),
    Column("rule", "the clause of Raft that decided the step", WORD, _words(*LABELS)),
    Column("detail", "further words on a fault or a gap", TEXT),
)
MESSAGES: Columns = (
    Column("id", "the number of the message"),
    Column("kind", "its class", WORD, _words(*(kind.__name__ for kind in get_args(AnyMessage)))),
    Column("src", "the sender"),
    Column("dst", "the receiver"),
    Column("term", "the term in the message"),
    Column("sent", "when it left, in seconds", TIME),
    Column("received", "when it arrived, in seconds; NaN if it has not", TIME),
    Column("fate", "what became of it; 'flying' while that is not known", WORD, _words(*FATES)),
    Column("reply_to", "the id of the message that it answers"),
    Column("entries", "the number of entries in an AppendRequest"),
    Column("prev_index", "the index before the first entry; for a snapshot the last index that it covers"),
    Column("commit", "the leader's commitIndex in the message"),
    Column("granted", "whether a vote or a pre-vote was granted", TRUTH),
    Column("success", "whether an AppendRequest was accepted", TRUTH),
    Column("copy_of", "the id of the message of which this is a duplicate"),
    Column("due", "when the simulation will deliver it, in seconds; NaN in live clusters", TIME),
    Column("cause", "the id of the record that sent it"),
    Column("offset", "the position of a snapshot chunk, in bytes"),
    Column("length", "the size of a snapshot chunk, in bytes"),
    Column("size", "the size of the whole snapshot, in bytes"),
)
STATES: Columns = (
    Column("event", "the id of the record that changed the node"),
    Column("time", "when, in seconds", TIME),
    Column("node", "the node"),
    Column("role", "its role afterwards", WORD, _words(*ROLES)),
    Column("term", "its currentTerm"),
    Column("voted_for", "its votedFor; missing if it has not voted in this term"),
    Column("commit", "its commitIndex"),
    Column("applied", "its lastApplied"),
    Column("first_index", "the first index in its log that is not purged"),
    Column("last_index", "the index of the last entry in its log"),
    Column("last_term", "the term of the last entry in its log"),
    Column("membership", "its effective membership, such as {1,2,3} learners {4}", TEXT),
    Column("leader", "the leader that it knows; missing if it knows none"),
    Column("stored", "the last index on its disk"),
)
ENTRIES: Columns = (
    Column("node", "the node whose log holds the entry"),
    Column("index", "the index of the entry"),
    Column("term", "the term of the entry"),
    Column("leader", "the leader that created it"),
    Column("kind", "normal: a command; membership; noop: no command", WORD, _words(*ENTRY_KINDS)),
    Column("data", "the command or the membership in a few words", TEXT),
    Column("appended", "when it was appended, in seconds; NaN if it was there before the trace began", TIME),
    Column("stored", "when the node's disk held it, in seconds", TIME),
    Column("committed", "when the node knew that it is committed, in seconds", TIME),
    Column("applied", "when the node applied it, in seconds", TIME),
    Column("truncated", "when the node removed it, in seconds", TIME),
    Column("seen", "when it was first seen in the log, in seconds", TIME),
)
CALLS: Columns = (
    Column("id", "the number of the call; in live clusters each node counts its own"),
    Column("client", "the client whose session the command belongs to; missing if it has none"),
    Column("kind", "what was asked", WORD, CALL_KINDS),
    Column("input", "the command in a few words; missing for reads: the log does not hold them", TEXT),
    Column("output", "the answer in a few words; missing while there is none", TEXT),
    Column("invoked", "when a node first had the call, in seconds; NaN if none did", TIME),
    Column("returned", "when the answer left, in seconds; NaN if the outcome is unknown", TIME),
    Column("node", "the node that answered; without an answer the last one that was asked"),
    Column("ok", "whether the call succeeded; missing while there is no answer", TRUTH),
    Column("error", "why it failed; empty for calls that succeeded", TEXT),
)
SPANS: Columns = (
    Column(
        "kind",
        "what lasted: an election, a leadership, a membership change, a transfer of leadership, a snapshot on its way "
        "to a peer, the build of one, or a node that was down",
        WORD,
        SPAN_KINDS,
    ),
    Column("node", "the node where it lasted"),
    Column("peer", "who gets the snapshot or the leadership; missing for other kinds"),
    Column("term", "the term it belongs to: of an election the term that the node wanted to lead; missing for builds"),
    Column("began", "when it began, in seconds; NaN if that was before the trace", TIME),
    Column("ended", "when it ended, in seconds; NaN while it lasts", TIME),
    Column("outcome", "how it ended; missing while it lasts", WORD, SPAN_OUTCOMES),
    Column("first", "the id of the record that began it"),
    Column("last", "the id of the record that ended it"),
)
GAPS: Columns = (
    Column("node", "the node whose records are missing"),
    Column("time", "after when, in seconds", TIME),
    Column("count", "how many are missing"),
)
SCHEMAS = {
    "events": EVENTS,
    "messages": MESSAGES,
    "states": STATES,
    "entries": ENTRIES,
    "calls": CALLS,
    "spans": SPANS,
    "gaps": GAPS,
}
"""The columns of each frame by the frame's name."""


def frame_columns() -> str:
    """Every frame's columns and their meanings as Markdown, for the reference.

    >>> print(frame_columns()[:59])
    ### `trace.events`
    <BLANKLINE>
    | column | meaning |
    |---|---|
    | `id` |
    """
    return "\n".join(_section(name, columns) for name, columns in SCHEMAS.items())


def _section(name: str, columns: Columns) -> str:
    rows = (f"| `{one.name}` | {one.meaning} |" for one in columns)
    return "\n".join((f"### `trace.{name}`", "", "| column | meaning |", "|---|---|", *rows, ""))
