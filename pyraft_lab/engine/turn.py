"""The working copy of one step: the changing state and the collected commands; the engine's only mutable object."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pyraft_lab.engine.commands import (
    Alarm,
    Append,
    CancelTimer,
    Command,
    Halt,
    InstallSnapshot,
    Purge,
    RestoreMachine,
    SaveSnapshot,
    SaveVote,
    Send,
    SetTimer,
    StorageCommand,
    Truncate,
)
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.log import Entry, Log, Payload, SnapshotMeta
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import AnyMessage
from pyraft_lab.engine.rules import Rules
from pyraft_lab.engine.state import Leader, Progress, RaftState, Role
from pyraft_lab.engine.timers import Timer
from pyraft_lab.engine.types import ORIGIN, Index, LogId, NodeId, Vote


class Turn:
    """State and commands during one call of ``step``; one method both changes the disk and emits its command."""

    __slots__ = ("commands", "rules", "state")

    def __init__(self, state: RaftState, rules: Rules) -> None:
        self.state, self.rules = state, rules
        self.commands: list[Command] = []

    # What handlers read most

    @property
    def id(self) -> NodeId:
        """The node on which this turn runs."""
        return self.state.id

    @property
    def vote(self) -> Vote:
        """currentTerm and votedFor."""
        return self.state.disk.vote

    @property
    def log(self) -> Log:
        """log[], with what this turn has appended and truncated (Figure 2)."""
        return self.state.disk.log

    @property
    def config(self) -> Config:
        """The node's configuration."""
        return self.state.config

    @property
    def role(self) -> Role:
        """Follower, learner, candidate or leader, as this turn has left it."""
        return self.state.role

    @property
    def leader(self) -> Leader:
        """The role of a leader; only a leader's handlers may ask for it."""
        role = self.state.role
        assert type(role) is Leader, "only a leader's handler asks for the leader's role"
        return role

    @property
    def membership(self) -> Membership:
        """The effective membership."""
        return self.state.membership

    # Memory

    def update(self, **changes: Any) -> None:
        """Change volatile fields of the state."""
        self.state = replace(self.state, **changes)

    def become(self, role: Role) -> None:
        """Change the role."""
        self.state = replace(self.state, role=role)

    def lead(self, **changes: Any) -> None:
        """Change fields of the leader's role."""
        self.become(replace(self.leader, **changes))

    def set_progress(self, progress: Progress) -> None:
        """Replace the progress record of one peer."""
        self.become(self.leader.with_progress(progress))

    # Disk

    def save_vote(self, vote: Vote) -> None:
        """Store a vote, given or adopted."""
        if vote != self.vote:
            self._store(SaveVote(vote))

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries to the log."""
        if entries:
            self._store(Append(tuple(entries)))

    def write(self, *payloads: Payload) -> LogId:
        """Append new entries of this leadership; returns the id of the first."""
        at = self.log.last.index + 1
        ids = (LogId(self.vote.term, self.id, at + place) for place in range(len(payloads)))
        entries = tuple(map(Entry, ids, payloads))
        self.append(entries)
        return entries[0].id

    def truncate(self, after: Index) -> None:
        """Remove every entry after index ``after``."""
        self._store(Truncate(after))
        if self.state.stored.index > after:
            self.update(stored=self.log.last)

    def purge(self, upto: LogId) -> None:
        """Remove every entry up to ``upto``."""
        self._store(Purge(upto))

    def save_snapshot(self, meta: SnapshotMeta) -> None:
        """Store the snapshot that was built."""
        self._store(SaveSnapshot(meta))

    def install(self, meta: SnapshotMeta) -> None:
        """Replace the log up to the arrived snapshot's end, and the machine's state, by the snapshot."""
        self._store(InstallSnapshot(meta))
        stored = self.state.stored if self.log.has(self.state.stored) else ORIGIN
        self.update(stored=stored, committed=meta.last.index, applied=meta.last.index, incoming=None)
        self.commands.append(RestoreMachine(meta))

    def _store(self, command: StorageCommand) -> None:
        self.update(disk=self.state.disk.after(command))
        self.commands.append(command)

    # Outside

    def send(self, dst: NodeId, message: AnyMessage) -> None:
        """Send a message; one that is a promise waits for the disk."""
        self.commands.append(Send(dst, message, self.rules.waits_for_disk(self.state, message)))

    def set_timer(self, timer: Timer, backoff: int = 0) -> None:
        """Start or restart a timer; ``backoff`` counts failures in a row."""
        self.commands.append(SetTimer(timer, backoff))

    def cancel_timer(self, timer: Timer) -> None:
        """Stop a timer."""
        self.commands.append(CancelTimer(timer))

    def emit(self, command: Command) -> None:
        """Emit a command: an answer to a client, or a task for the state machine."""
        self.commands.append(command)

    def alarm(self, peer: NodeId, what: str) -> None:
        """Report something unusual about a peer to the operator."""
        self.commands.append(Alarm(peer, what))

    def halt(self, why: str) -> None:
        """Stop this node: ``why`` names something that cannot happen in a correct cluster."""
        self.update(halted=why)
        self.commands.append(Halt(why))
