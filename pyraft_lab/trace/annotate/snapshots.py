"""Snapshots (§7, Figure 13): built, kept, sent in parts, installed; and the log that is then purged."""

from pyraft_lab.engine.commands import (
    Alarm,
    Halt,
    InstallSnapshot,
    Purge,
    SaveSnapshot,
    SendChunk,
    TakeSnapshot,
    WriteChunk,
)
from pyraft_lab.engine.compaction import (
    build,
    on_snapshot_built,
    on_snapshot_gone,
    on_snapshot_request,
    on_snapshot_response,
    purge,
)
from pyraft_lab.engine.consult import answer_of
from pyraft_lab.engine.events import SnapshotBuilt
from pyraft_lab.engine.messages import SnapshotRequest, SnapshotResponse
from pyraft_lab.engine.replication import replicate
from pyraft_lab.engine.rules import (
    is_snapshot_due,
    is_snapshot_useful,
    purge_limit,
    purge_upto,
    would_interrupt_transfer,
)
from pyraft_lab.engine.state import Leader, SendSnapshot, Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.replication import progress
from pyraft_lab.trace.annotate.rule import DECISIVE, ROUTINE, Explained, Remarks, Rule, commands, sent
from pyraft_lab.trace.annotate.terms import out_of_date
from pyraft_lab.trace.text import entry_name, server, span

SNAPSHOT_BEGUN = Rule(
    "snapshot begun", "§7", is_snapshot_due, "Enough was applied: the machine is asked for its state."
)
SNAPSHOT_KEPT = Rule("snapshot kept", "§7", on_snapshot_built, "The state is on disk and replaces the log up to there.")
SNAPSHOT_SET_ASIDE = Rule(
    "snapshot discarded",
    "§7",
    on_snapshot_built,
    "A later snapshot arrived meanwhile, or the machine built none.",
    ROUTINE,
)
SNAPSHOT_NEEDLESS = Rule(
    "snapshot not needed", "§7", build, "Nothing was applied since the last, or one is being built."
)
PURGED = Rule("log purged", "§7", purge_upto, "Entries that the snapshot covers are removed from the log.")
PURGE_WITHHELD = Rule("purge withheld", "§7", purge, "Only entries that a snapshot covers may be purged.")
SNAPSHOT_NEEDED = Rule(
    "snapshot instead of entries",
    "§7",
    replicate,
    "The entries that the follower lacks are purged: it gets the snapshot.",
    DECISIVE,
)
CHUNK_SENT = Rule("snapshot part sent", "§7", replicate, "The leader sends the next bytes of its snapshot.")
CHUNK_ASKED = Rule(
    "snapshot part acknowledged",
    "§7",
    on_snapshot_response,
    "The follower says up to which byte it holds the snapshot.",
)
CHUNK_TAKEN = Rule("snapshot part stored", "§7", on_snapshot_request, "Bytes are written in order.")
CHUNK_OUT_OF_ORDER = Rule(
    "snapshot part out of order", "§7", on_snapshot_request, "Other bytes are needed: the answer says which."
)
INSTALLED = Rule(
    "snapshot installed",
    "§7",
    on_snapshot_request,
    "All bytes have arrived: they replace the log and the state of the machine.",
    DECISIVE,
)
SNAPSHOT_DAMAGED = Rule(
    "snapshot damaged",
    "§7",
    on_snapshot_request,
    "The bytes are not those that were sent: the transfer starts over.",
    DECISIVE,
)
SNAPSHOT_USELESS = Rule("snapshot not useful", "§7", is_snapshot_useful, "It ends within what is committed here.")
SNAPSHOT_CONTRADICTS = Rule(
    "halt: snapshot contradicts commit", "§5.4.3", on_snapshot_request, "What is committed is never replaced.", DECISIVE
)
SNAPSHOT_IMPOSSIBLE = Rule(
    "snapshot of a later leadership",
    "§5.4.3",
    on_snapshot_request,
    "A leader cannot have a snapshot of a leadership after its own.",
)
SNAPSHOT_GONE = Rule("snapshot replaced in transfer", "§7", on_snapshot_gone, "The newest snapshot is sent instead.")

RULES = (
    SNAPSHOT_BEGUN, SNAPSHOT_KEPT, SNAPSHOT_SET_ASIDE, SNAPSHOT_NEEDLESS, PURGED, PURGE_WITHHELD, SNAPSHOT_NEEDED,
    CHUNK_SENT, CHUNK_ASKED, CHUNK_TAKEN, CHUNK_OUT_OF_ORDER, INSTALLED, SNAPSHOT_DAMAGED, SNAPSHOT_USELESS,
    SNAPSHOT_CONTRADICTS, SNAPSHOT_IMPOSSIBLE, SNAPSHOT_GONE,
)  # fmt: skip

# Building and forgetting


def ordered(step: Step) -> Remarks:
    """An operator asked for a snapshot; :func:`begun` explains the start of one."""
    if not commands(step, TakeSnapshot):
        yield Explained(
            cause(step, SNAPSHOT_NEEDLESS, would_interrupt_transfer), lambda: f"builds no snapshot{_needless(step)}"
        )


def _needless(step: Step) -> str:
    if departs(step, would_interrupt_transfer):
        return ""
    if step.before.building:
        return ": one is being built"
    waits = answer_of(step, would_interrupt_transfer) is True
    return ": a peer is still receiving an earlier one" if waits else ": the last one covers all that is applied"


def built(step: Step, event: SnapshotBuilt) -> Remarks:
    """The machine is done."""
    kept = commands(step, SaveSnapshot)
    if kept:
        meta = kept[0].meta
        yield Explained(
            SNAPSHOT_KEPT,
            lambda: f"keeps a snapshot of {meta.size} bytes that replaces the log up to {entry_name(meta.last)}",
        )
    else:
        why = "a later one arrived meanwhile" if event.meta else "the machine built none"
        yield Explained(SNAPSHOT_SET_ASIDE, lambda: f"keeps no snapshot: {why}")


def begun(step: Step) -> Remarks:
    """The machine is asked for its state."""
    for take in commands(step, TakeSnapshot):
        yield Explained(
            cause(step, SNAPSHOT_BEGUN, is_snapshot_due),
            f"asks its machine for a snapshot up to {entry_name(take.last)}",
        )


def purged(step: Step) -> Remarks:
    """Entries were purged."""
    for forget in commands(step, Purge):
        first = step.before.log.first_index
        why = "" if departs(step, purge_limit, purge_upto) else ", which its snapshot covers"
        yield Explained(cause(step, PURGED, purge_limit, purge_upto), f"purges {span(first, forget.upto.index)}{why}")


def purge_ordered(step: Step) -> Remarks:
    """An operator asked for a purge; :func:`purged` explains one that is carried out."""
    if not commands(step, Purge):
        why = "" if departs(step, purge_limit) else ": no snapshot covers more of its log"
        yield Explained(cause(step, PURGE_WITHHELD, purge_limit), lambda: f"purges nothing{why}")


# Sending


def parts_sent(step: Step) -> Remarks:
    """Bytes were sent, perhaps the first ones."""
    for chunk in commands(step, SendChunk):
        known = progress(step.before.role, chunk.dst)
        if known is None or not isinstance(known.state, SendSnapshot) or known.state.meta != chunk.meta:
            lacks = f"{server(chunk.dst)} needs entries that are purged"
            yield Explained(
                SNAPSHOT_NEEDED, f"begins to send its snapshot up to {entry_name(chunk.meta.last)}: {lacks}"
            )
        end = min(chunk.offset + chunk.length, chunk.meta.size)
        yield Explained(CHUNK_SENT, f"sends {server(chunk.dst)} bytes {chunk.offset}-{end} of {chunk.meta.size}")


def asked_on(step: Step, peer: NodeId, answer: SnapshotResponse) -> Remarks:
    """A follower says how far it is."""
    known = progress(step.before.role, peer)
    if known is None or not isinstance(known.state, SendSnapshot) or known.state.meta.last != answer.last:
        yield from out_of_date(f"{server(peer)}'s answer about another snapshot")
    else:
        size = known.state.meta.size
        yield Explained(
            CHUNK_ASKED, lambda: f"hears that {server(peer)} holds {answer.offset} of the snapshot's {size} bytes"
        )


def gone(step: Step, peer: NodeId) -> Remarks:
    """The driver no longer has the snapshot that was being sent."""
    known = progress(step.before.role, peer)
    if isinstance(step.before.role, Leader) and known is not None and isinstance(known.state, SendSnapshot):
        yield Explained(
            SNAPSHOT_GONE, lambda: f"no longer has the snapshot it was sending {server(peer)} and takes the newest"
        )
    else:
        yield from out_of_date(f"a notice that the snapshot for {server(peer)} is gone")


# Taking


def part_arrived(step: Step, leader: NodeId, request: SnapshotRequest) -> Remarks:
    """Bytes arrived from the leader that is followed."""
    last, size = entry_name(request.meta.last), request.meta.size
    if commands(step, Halt):
        yield Explained(SNAPSHOT_CONTRADICTS, lambda: f"stops for good: {step.after.halted}")
    elif request.meta.last.leader > (request.vote.term, request.vote.node):
        yield Explained(
            SNAPSHOT_IMPOSSIBLE, lambda: f"does not take {server(leader)}'s snapshot: it ends in a later leadership"
        )
    elif commands(step, InstallSnapshot):
        yield Explained(CHUNK_TAKEN, lambda: f"takes the last bytes of {server(leader)}'s snapshot, {size} in all")
        yield Explained(INSTALLED, lambda: f"installs it: log and machine are now at {last}")
    elif commands(step, Alarm):
        yield Explained(SNAPSHOT_DAMAGED, lambda: f"finds {server(leader)}'s snapshot damaged and asks for it again")
    else:
        yield from _part(step, leader, request)


def _part(step: Step, leader: NodeId, request: SnapshotRequest) -> Remarks:
    answers = sent(step, SnapshotResponse)
    end, size = request.offset + len(request.data), request.meta.size
    if commands(step, WriteChunk):
        yield Explained(
            CHUNK_TAKEN, lambda: f"takes bytes {request.offset}-{end} of the {size} of {server(leader)}'s snapshot"
        )
    elif answers:
        wanted = f"it goes on from byte {answers[0][1].offset}"
        yield Explained(
            CHUNK_OUT_OF_ORDER,
            lambda: f"cannot use bytes {request.offset}-{end} of {server(leader)}'s snapshot: {wanted}",
        )
    else:
        why = "" if departs(step, is_snapshot_useful) else ": it has committed that far"
        rule = cause(step, SNAPSHOT_USELESS, is_snapshot_useful)
        yield Explained(rule, lambda: f"does not take a snapshot up to {entry_name(request.meta.last)}{why}")
