"""Log replication (§5.3): entries sent, taken, refused, repaired and acknowledged, seen from both sides."""

from collections import defaultdict
from collections.abc import Sequence

from pyraft_lab.engine.commands import Append, Truncate
from pyraft_lab.engine.engine import on_stored
from pyraft_lab.engine.messages import (
    AppendAccepted,
    AppendRefused,
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
)
from pyraft_lab.engine.replication import (
    on_append_accepted,
    on_append_refused,
    on_append_request,
    on_heartbeat_request,
    on_retry_timer,
    on_unreachable,
    record_ack,
    refuse,
    replicate,
)
from pyraft_lab.engine.rules import conflict_hint, follower_commit, log_matches, new_entries, next_probe
from pyraft_lab.engine.state import Leader, Probe, Progress, Replicate, Reverted, Step
from pyraft_lab.engine.types import Index, LogId, NodeId, Vote
from pyraft_lab.trace.annotate.own import cause, departs
from pyraft_lab.trace.annotate.rule import DECISIVE, ROUTINE, Explained, Remarks, Rule, commands, has_sent, sent
from pyraft_lab.trace.annotate.terms import CONTACT, HEARTBEAT_HEARD, out_of_date
from pyraft_lab.trace.text import contained, entry_name, listed, log_end, server, servers, span

ENTRIES_SENT = Rule("entries sent", "§5.3", replicate, "The leader sends each follower what it lacks, in order.")
PROBED = Rule("probe sent", "§5.3", replicate, "The leader finds out where the logs agree before it streams entries.")
COMMIT_ANNOUNCED = Rule(
    "commit announced", "§5.3", replicate, "Followers are told at once that an entry is committed.", ROUTINE
)
RETRIED = Rule(
    "sent again", "§5.3", on_retry_timer, "What is not answered is sent again, more and more slowly, without end."
)
BACKED_OFF = Rule(
    "unreachable peer waits", "openraft", on_unreachable, "The leader waits before it tries an unreachable peer again."
)
ENTRIES_APPENDED = Rule(
    "entries appended", "§5.3", on_append_request, "The logs agree: new entries are appended.", DECISIVE
)
ALREADY_PRESENT = Rule(
    "entries held already", "§5.3", new_entries, "Entries that the log already holds stay as they are."
)
PREV_MATCHES = Rule(
    "logs agree",
    "§5.3",
    log_matches,
    "The follower holds the entry before the new ones: so both logs are the same up to there.",
)
CONFLICT_TRUNCATED = Rule(
    "conflict truncated",
    "§5.3",
    new_entries,
    "An entry that conflicts with the leader's is removed, with all that follow it.",
    DECISIVE,
)
PREV_MISSING = Rule(
    "append refused: prev missing", "§5.3", refuse, "The log ends before the entry the append builds on.", DECISIVE
)
PREV_DIFFERS = Rule(
    "append refused: prev differs",
    "§5.3",
    refuse,
    "The log has another entry in the place that the append builds on.",
    DECISIVE,
)
LOSS_REPORTED = Rule(
    "heartbeat refused: log lost", "§5.3", on_heartbeat_request, "A follower lacks what it once acknowledged.", DECISIVE
)
COMMIT_LEARNED = Rule(
    "commit learned",
    "§5.3",
    follower_commit,
    "A follower commits what the leader has committed, as far as its log is checked.",
)
CONTRADICTION = Rule(
    "halt: committed entry contradicted", "§5.4.3", on_append_request, "A committed entry is never replaced.", DECISIVE
)
DISK_CAUGHT_UP = Rule(
    "disk caught up", "§5.1", on_stored, "What was promised is on disk: answers may be sent.", ROUTINE
)
OWN_DISK_COUNTS = Rule(
    "own disk counts", "dissertation §10.2.1", on_stored, "A leader counts itself once its own disk holds the entry."
)
LATE_DISK = Rule(
    "late disk", "dissertation §10.2.1", on_stored, "A disk write counts only for the vote it was made under.", ROUTINE
)
ACKNOWLEDGED = Rule("acknowledged", "§5.3", on_append_accepted, "A follower's disk holds more: its match index rises.")
AGREED = Rule(
    "agreement found", "§5.3", on_append_accepted, "The leader knows where the logs agree: entries may stream."
)
PROBE_MOVED = Rule(
    "probe moved back",
    "§5.3",
    next_probe,
    "The logs differ there: the leader looks further back, a whole term at a time.",
)
LATE_REFUSAL = Rule(
    "late refusal", "§5.3", on_append_refused, "A refusal older than an acknowledgement is ignored.", ROUTINE
)
LOG_LOST = Rule(
    "follower lost its log",
    "§5.1, openraft",
    on_append_refused,
    "A follower lost what it had acknowledged: it is sent nothing more.",
    DECISIVE,
)
REVERT_ACCEPTED = Rule(
    "lost log permitted",
    "openraft",
    on_append_refused,
    "With permission a follower starts again from nothing.",
    DECISIVE,
)
FROM_EARLIER_RUN = Rule(
    "earlier incarnation", "openraft", record_ack, "An answer from before this peer's record began is ignored.", ROUTINE
)

RULES = (
    ENTRIES_SENT, PROBED, COMMIT_ANNOUNCED, RETRIED, BACKED_OFF, ENTRIES_APPENDED, ALREADY_PRESENT, PREV_MATCHES,
    CONFLICT_TRUNCATED, PREV_MISSING, PREV_DIFFERS, LOSS_REPORTED, COMMIT_LEARNED, CONTRADICTION, DISK_CAUGHT_UP,
    OWN_DISK_COUNTS, LATE_DISK, ACKNOWLEDGED, AGREED, PROBE_MOVED, LATE_REFUSAL, LOG_LOST,
    REVERT_ACCEPTED, FROM_EARLIER_RUN,
)  # fmt: skip

# The leader sends


def entries_sent(step: Step) -> Remarks:
    """What was sent to the followers; those that get the same are named together."""
    groups: defaultdict[tuple[Index, Index], list[NodeId]] = defaultdict(list)
    for peer, request in sent(step, AppendRequest):
        groups[request.prev.index + 1, request.prev.index + len(request.entries)].append(peer)
    full = [(bounds, peers) for bounds, peers in groups.items() if bounds[0] <= bounds[1]]
    if full:
        yield Explained(ENTRIES_SENT, lambda: f"sends {_spans(full)}")
    for (first, last), peers in groups.items():
        if first > last:
            yield from _without_entries(step, last, peers)


def _spans(groups: Sequence[tuple[tuple[Index, Index], Sequence[NodeId]]]) -> str:
    return listed([f"{span(*bounds)} to {servers(peers)}" for bounds, peers in groups])


def _without_entries(step: Step, prev: Index, peers: Sequence[NodeId]) -> Remarks:
    """An append without entries asks where the logs agree, or announces a commit."""
    role = step.after.role
    pace = role.of(peers[0]) if isinstance(role, Leader) else None
    if pace is not None and isinstance(pace.state, Probe):
        where = f"entry {prev}" if prev else "the start of the log"
        yield Explained(PROBED, lambda: f"asks {servers(peers)} whether the logs agree up to {where}")
    else:
        yield Explained(
            COMMIT_ANNOUNCED,
            lambda: f"tells {servers(peers)} that {span(step.after.committed, step.after.committed)} is committed",
        )


def retried(step: Step, peer: NodeId) -> Remarks:
    """A retry timer fired."""
    before, after = progress(step.before.role, peer), progress(step.after.role, peer)
    if before is None or after is None or before == after:
        yield from out_of_date(f"the retry timer of {server(peer)}")
    else:
        times = f", {after.failures} times in a row" if after.failures > 1 else ""
        yield Explained(RETRIED, lambda: f"has no answer from {server(peer)} in time{times}, and tries again")


def unreachable(step: Step, peer: NodeId) -> Remarks:
    """The transport gave up."""
    if progress(step.before.role, peer) == progress(step.after.role, peer):
        yield from out_of_date(f"a notice that {server(peer)} cannot be reached")
    else:
        yield Explained(BACKED_OFF, lambda: f"cannot reach {server(peer)} and waits before it tries again")


def progress(role: object, peer: NodeId) -> Progress | None:
    """What a leader knows about a peer."""
    return role.of(peer) if type(role) is Leader else None


# The follower answers


def entries_accepted(step: Step, leader: NodeId, request: AppendRequest) -> Remarks:
    """An append arrived from the leader that is followed."""
    if step.after.halted:
        return (Explained(CONTRADICTION, lambda: f"stops for good: {step.after.halted}"),)
    if has_sent(step, AppendRefused):
        return (_prev_refused(step, leader, request),)
    return (*_appended(step, leader, request), *commit_learned(step))


def _prev_refused(step: Step, leader: NodeId, request: AppendRequest) -> Explained:
    own, prev, last = step.before.log.id_at(request.prev.index), request.prev, step.before.log.last
    told = f"refuses {server(leader)}'s entries after {entry_name(prev)}"
    if departs(step, log_matches):
        return Explained(cause(step, PREV_DIFFERS, log_matches), told)
    if own is None:
        return Explained(PREV_MISSING, lambda: f"{told}: its log {log_end(last)}{_hinted(step, prev, last)}")
    return Explained(PREV_DIFFERS, lambda: f"{told}: it has {entry_name(own)} there{_hinted(step, prev, own)}")


def _hinted(step: Step, prev: LogId, named: LogId) -> str:
    """The hint of the refusal, which lets the leader skip whole terms; nothing where ``named`` already says it."""
    offered = sent(step, AppendRefused)[0][1].hint
    if offered == named or departs(step, conflict_hint):
        return ""
    older = f"term {prev.term} or before"
    return f", and of {older} at most {entry_name(offered)}" if offered.index else f", and nothing of {older}"


def _appended(step: Step, leader: NodeId, request: AppendRequest) -> Remarks:
    before = step.before.log
    for cut in commands(step, Truncate):
        gone, place = span(cut.after + 1, before.last.index), cut.after + 1
        other = next((entry_name(entry.id) for entry in request.entries if entry.index == place), "another")
        yield Explained(
            CONFLICT_TRUNCATED, f"removes its {gone}{_of_term(step, place)}: {server(leader)} has {other} there"
        )
    added = [entry for append in commands(step, Append) for entry in append.entries]
    if added:
        yield Explained(ENTRIES_APPENDED, lambda: f"appends {contained(added)} from {server(leader)}")
    elif request.entries:
        held = span(request.entries[0].index, request.entries[-1].index)
        why = "appends nothing of it" if departs(step, new_entries) else "already holds all of it"
        yield Explained(
            cause(step, ALREADY_PRESENT, new_entries), lambda: f"gets {held} from {server(leader)} and {why}"
        )
    elif step.after.committed == step.before.committed:
        yield Explained(
            PREV_MATCHES,
            lambda: f"confirms that its log agrees with {server(leader)}'s up to {_place(request.prev.index)}",
        )


def _place(index: Index) -> str:
    return f"entry {index}" if index else "the start"


def _of_term(step: Step, index: Index) -> str:
    own = step.before.log.id_at(index)
    return f" of term {own.term}" if own is not None else ""


def heartbeat_received(step: Step, leader: NodeId, _: HeartbeatRequest) -> Remarks:
    """A heartbeat arrived from the leader that is followed."""
    if not has_sent(step, AppendRefused):
        return (Explained(HEARTBEAT_HEARD, lambda: f"hears {server(leader)}'s heartbeat"), *commit_learned(step))
    missing = entry_name(sent(step, AppendRefused)[0][1].prev)
    told = f"tells {server(leader)} that it lacks {missing}, which it had acknowledged"
    if departs(step, log_matches):
        told = f"tells {server(leader)} that its log does not match at {missing}"
    return (Explained(cause(step, LOSS_REPORTED, log_matches), told),)


def commit_learned(step: Step) -> Remarks:
    """The leader's commit index reached this follower."""
    if step.after.committed <= step.before.committed:
        return ()
    return (Explained(COMMIT_LEARNED, lambda: _learned(step)),)


def _learned(step: Step) -> str:
    first, last = step.before.committed + 1, step.after.committed
    are = "is" if first == last else "are"
    return f"learns from {server(step.after.leader)} that {span(first, last)} {are} committed"


def stored(step: Step, vote: Vote) -> Remarks:
    """The disk has caught up."""
    before, after = step.before, step.after
    first, last = before.stored.index + 1, after.stored.index
    if vote != before.disk.vote:
        told = Explained(LATE_DISK, "hears from its disk about an earlier vote")
    elif first <= after.disk.log.start.index:
        told = Explained(DISK_CAUGHT_UP, lambda: f"has on disk everything up to entry {last}")
    elif type(before.role) is Leader and first <= last:
        told = Explained(OWN_DISK_COUNTS, lambda: f"has {span(first, last)} on its own disk")
    elif first <= last:
        told = Explained(DISK_CAUGHT_UP, lambda: f"has {span(first, last)} on disk")
    elif before.stored_vote != after.stored_vote:
        told = Explained(DISK_CAUGHT_UP, lambda: f"has its vote of term {vote.term} on disk")
    else:
        told = Explained(DISK_CAUGHT_UP, "has on disk what it wrote")
    return (told,)


# The leader hears


def accepted(step: Step, peer: NodeId, answer: AppendAccepted) -> Remarks:
    """A follower acknowledged."""
    before, after = progress(step.before.role, peer), progress(step.after.role, peer)
    if before is None or not _counts(step, peer, answer.round):
        return _from_earlier(peer)
    name, index = server(peer), answer.matched.index
    if after is None or after.matched > before.matched:
        told = Explained(ACKNOWLEDGED, lambda: f"hears that {name}'s disk holds everything up to entry {index}")
    elif type(before.state) is Probe and type(after.state) is Replicate:
        told = Explained(AGREED, lambda: f"hears that {name}'s log agrees with its own up to {_place(index)}")
    else:
        told = Explained(CONTACT, lambda: f"hears an answer from {name} that brings nothing new")
    return (told,)


def _counts(step: Step, peer: NodeId, round: int) -> bool:
    """Whether an answer belongs to what the leader records of this peer now, not to an earlier membership."""
    role = step.before.role
    if type(role) is not Leader:
        return False
    known = role.of(peer)
    return known is not None and known.since_round <= round <= role.round


def _from_earlier(peer: NodeId) -> Remarks:
    told = f"ignores an answer from {server(peer)} of the time before it was a member"
    return (Explained(FROM_EARLIER_RUN, told),)


def append_refused(step: Step, peer: NodeId, answer: AppendRefused) -> Remarks:
    """A follower lacks the entry that the append builds on."""
    before, after = progress(step.before.role, peer), progress(step.after.role, peer)
    name, lacks = server(peer), entry_name(answer.prev)
    if before is None or after is None or not _counts(step, peer, answer.round):
        yield from _from_earlier(peer)
    elif isinstance(after.state, Reverted) and not isinstance(before.state, Reverted):
        had = (
            f"it had acknowledged entry {before.matched}" if before.matched else "it has been leader: it lost its disk"
        )
        yield Explained(LOG_LOST, lambda: f"hears that {name} lacks {lacks}, though {had}; sends it nothing more")
    elif after.matched < before.matched:
        yield Explained(REVERT_ACCEPTED, lambda: f"hears that {name} lost its log and starts over with it")
    elif after.next < before.next or isinstance(before.state, Replicate) != isinstance(after.state, Replicate):
        where = step.after.log.id_at(after.next - 1)
        looks = f"looks for agreement at {entry_name(where) if where else _place(after.next - 1)}"
        yield Explained(PROBE_MOVED, lambda: f"hears that {name} {_instead(answer)}, and {looks}")
    else:
        yield Explained(LATE_REFUSAL, lambda: f"ignores a late refusal from {name}")


def _instead(answer: AppendRefused) -> str:
    """What a follower has in place of the entry that it lacks, as far as its hint says."""
    lacks, offered = entry_name(answer.prev), answer.hint
    if offered.index == answer.prev.index:
        return f"has {entry_name(offered)} and not {lacks}"
    return f"lacks {lacks} and has nothing after {entry_name(offered)} that could match"


def heartbeat_answered(step: Step, peer: NodeId, answer: HeartbeatResponse) -> Remarks:
    """A follower answered a heartbeat."""
    if not _counts(step, peer, answer.round):
        return _from_earlier(peer)
    return (Explained(CONTACT, lambda: f"hears {server(peer)}'s answer to its heartbeat"),)
