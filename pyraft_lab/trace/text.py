"""How a story names servers, entries, commands, voter sets and messages: simple words, the same everywhere."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, assert_never

from pyraft_lab.command import Batch, unseal
from pyraft_lab.engine.log import Configuration, Entry, Noop, Normal, Payload
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import (
    AnyMessage,
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    CandidateMessage,
    HeartbeatRequest,
    HeartbeatResponse,
    Outdated,
    PreVoteRequest,
    PreVoteResponse,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
    VoterMessage,
)
from pyraft_lab.engine.types import Index, LogId, NodeId

LONGEST = 40
"""Characters of a command that a sentence shows."""
SHORT_COMMAND = 256
"""Bytes of a command up to which its text is kept, for the next node that has it."""


def server(node: NodeId) -> str:
    """A server's name.

    >>> server(3), server(0)
    ('n3', 'nobody')
    """
    return f"n{node}" if node else "nobody"


def servers(nodes: Iterable[NodeId]) -> str:
    """Several servers, in order.

    >>> servers({4, 1, 2})
    'n1, n2 and n4'
    """
    return listed([server(node) for node in sorted(nodes)]) or "nobody"


def listed(names: Sequence[str]) -> str:
    """Names in a row: commas, and "and" before the last."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def entry_name(id: LogId) -> str:
    """An entry by its place and term.

    >>> entry_name(LogId(2, 1, 4)), entry_name(LogId())
    ('entry 4 of term 2', 'the start of the log')
    """
    return f"entry {id.index} of term {id.term}" if id.index else "the start of the log"


def log_end(last: LogId) -> str:
    """Where a log ends."""
    return f"ends with {entry_name(last)}" if last.index else "is empty"


def span(first: Index, last: Index) -> str:
    """Entries from ``first`` to ``last``.

    >>> span(4, 4), span(4, 6)
    ('entry 4', 'entries 4-6')
    """
    return f"entry {first}" if first == last else f"entries {first}-{last}"


def content(entries: Sequence[Entry], most: int = 3) -> str:
    """What the first few entries say."""
    said = [payload_text(entry.payload) for entry in entries]
    return ", ".join(said[:most]) + (f" and {len(said) - most} more" if len(said) > most else "")


def contained(entries: Sequence[Entry]) -> str:
    """Entries by number, and in brackets what they say."""
    return f"{span(entries[0].index, entries[-1].index)} ({content(entries)})"


def payload_text(payload: Payload) -> str:
    """What one entry says."""
    match payload:
        case Noop():
            return "no-op"
        case Normal(data):
            return command_text(data)
        case Configuration(membership):
            return f"membership {membership}"
        case _:
            assert_never(payload)


def command_text(data: bytes) -> str:
    """A client's command in words, whatever machine it is for.

    >>> from msgspec.msgpack import encode
    >>> command_text(encode({"op": "put", "key": "x", "value": 1})), command_text(encode({"op": "get", "key": "x"}))
    ('x=1', 'get x')
    >>> command_text(b"hello")
    "'hello'"
    """
    return _short_command_text(data) if len(data) <= SHORT_COMMAND else _command_text(data)


def _command_text(data: bytes) -> str:
    try:
        command, sealed = unseal(data)
    except ValueError:
        return shortened(repr(data.decode(errors="replace")))
    if isinstance(sealed, Batch):
        some = ", ".join(map(_one_command, command[:3]))
        return shortened(some if len(command) == 1 else f"{len(command)} commands: {some}")
    return shortened(_one_command(command))


_short_command_text = lru_cache(maxsize=4096)(_command_text)  # every node appends the same command


def _one_command(command: Any) -> str:
    return _operation(command) if isinstance(command, dict) else repr(command)


def _operation(command: dict[Any, Any]) -> str:
    key = command.get("key")
    match command:
        case {"op": "put", "value": value}:
            return f"{key}={value}"
        case {"op": "cas", "old": old, "new": new}:
            return f"{key}: {old} to {new}"
        case {"op": "incr"}:
            return f"{key}+={command.get('by', 1)}"
        case {"op": op, "value": value}:
            return f"{op} {value} to {key}"
        case {"op": op}:
            return f"{op} {key}"
        case _:
            return repr(command)


def shortened(text: str) -> str:
    """At most :data:`LONGEST` characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def voters(config: Collection[NodeId]) -> str:
    """A voter set.

    >>> voters({3, 1, 2})
    '{1,2,3}'
    """
    return "{" + ",".join(map(str, sorted(config))) + "}"


def majorities(membership: Membership, holders: Collection[NodeId]) -> str:
    """Which servers of each voter set: the majorities that a decision rests on.

    >>> majorities(Membership.of({1, 2, 3}), {1, 3, 9})
    'n1 and n3 of {1,2,3}'
    """
    present = frozenset(holders)
    return " and ".join(f"{servers(present & config)} of {voters(config)}" for config in membership.configs)


def message_name(message: AnyMessage) -> str:
    """A message in a few words."""
    match message:
        case PreVoteRequest() | VoteRequest() | PreVoteResponse() | VoteResponse():
            return _vote_name(message)
        case AppendRequest() | AppendAccepted() | AppendRefused():
            return _append_name(message)
        case SnapshotRequest() | SnapshotResponse():
            return _snapshot_name(message)
        case HeartbeatRequest() | HeartbeatResponse():
            return "heartbeat" if isinstance(message, HeartbeatRequest) else "answer to a heartbeat"
        case TimeoutNow() | Outdated():
            return "order to campaign" if isinstance(message, TimeoutNow) else "notice that the term is over"
        case _:
            assert_never(message)


def _vote_name(message: CandidateMessage | VoterMessage) -> str:
    match message:
        case PreVoteRequest(vote=vote):
            return f"pre-vote request for term {vote.term}"
        case VoteRequest(vote=vote):
            return f"vote request for term {vote.term}"
        case PreVoteResponse(asked=asked, granted=granted):
            return f"pre-vote {'grant' if granted else 'refusal'} for term {asked.term}"
        case VoteResponse(asked=asked, granted=granted):
            return f"{'vote' if granted else 'refused vote'} for term {asked.term}"
        case _:
            assert_never(message)


def _append_name(message: AppendRequest | AppendAccepted | AppendRefused) -> str:
    match message:
        case AppendRequest(entries=entries) if entries:
            return f"append of {span(entries[0].index, entries[-1].index)}"
        case AppendRequest():
            return "append without entries"
        case AppendAccepted(matched=matched):
            return f"acknowledgement up to entry {matched.index}"
        case AppendRefused(prev=prev):
            return f"refusal of what follows entry {prev.index}"
        case _:
            assert_never(message)


def _snapshot_name(message: SnapshotRequest | SnapshotResponse) -> str:
    match message:
        case SnapshotRequest(offset=offset, data=data):
            return f"snapshot part (bytes {offset}-{offset + len(data)})"
        case SnapshotResponse(offset=offset):
            return f"answer to a snapshot part (bytes up to {offset})"
        case _:
            assert_never(message)
