"""Which clause of Raft decided a step, in a word: what the ``rule`` column holds and ``coverage`` counts."""

from pyraft_lab.engine.commands import (
    Accepted,
    Append,
    Apply,
    Command,
    InstallSnapshot,
    Purge,
    Readable,
    Refuse,
    SaveSnapshot,
    Send,
    TakeSnapshot,
    Truncate,
)
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    HeartbeatRequest,
    Outdated,
    PreVoteResponse,
    TimeoutNow,
    VoteResponse,
)
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, Step
from pyraft_lab.trace.recorder import Record


def rule(record: Record) -> str | None:
    """The most telling thing about a record's step; ``None`` where nothing was decided."""
    step = record.step
    if step is None:
        return None
    return _of_role(step) or next((name for name in map(_of_command, step.commands) if name), None) or _of_state(step)


def _of_role(step: Step) -> str | None:
    """A change of role outweighs everything else."""
    before, after = step.before.role, step.after.role
    if type(before) is type(after) and step.before.term == step.after.term:
        return None
    match after:
        case Leader():
            return "win election"
        case Candidate():
            return "campaign"
        case PreCandidate():
            return "ask before campaign"
        case _ if isinstance(before, (Leader, Candidate, PreCandidate)):
            return "step down"
        case _:
            return None


def _of_command(command: Command) -> str | None:
    match command:
        case Send():
            return _of_answer(command)
        case Truncate():
            return "remove conflicting entries"
        case Readable():
            return "confirm read"
        case Refuse():
            return "refuse request"
        case _:
            return _OF_CLASS.get(type(command))


_OF_CLASS: dict[type[Command], str] = {
    InstallSnapshot: "install snapshot",
    SaveSnapshot: "keep snapshot",
    TakeSnapshot: "build snapshot",
    Purge: "compact log",
    Accepted: "accept request",
    Append: "append entries",
    Apply: "apply committed",
}


def _of_answer(command: Send) -> str | None:
    match command.message:
        case VoteResponse(granted=granted):
            return "grant vote" if granted else "refuse vote"
        case PreVoteResponse(granted=granted):
            return "would grant vote" if granted else "would refuse vote"
        case AppendRefused():
            return "refuse append"
        case Outdated():
            return "refuse stale leader"
        case TimeoutNow():
            return "hand over"
        case AppendAccepted() | HeartbeatRequest():
            return _PLAIN[type(command.message)]
        case _:
            return None


_PLAIN: dict[type, str] = {AppendAccepted: "accept append", HeartbeatRequest: "send heartbeats"}


def _of_state(step: Step) -> str | None:
    if step.after.committed > step.before.committed:
        return "advance commit"
    if step.after.term > step.before.term:
        return "adopt higher term"
    return None if step.after != step.before or step.commands else "nothing to do"
