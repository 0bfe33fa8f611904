"""A run as a story: a line for each record, and one line for several records of routine in a row."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby

from pyraft_lab.engine.commands import Send
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.messages import HeartbeatRequest, HeartbeatResponse
from pyraft_lab.engine.state import Step
from pyraft_lab.engine.types import NodeId
from pyraft_lab.trace.annotate.rule import ROUTINE
from pyraft_lab.trace.annotate.table import remarks, rule
from pyraft_lab.trace.annotate.terms import CONTACT
from pyraft_lab.trace.faults import Flights, fault
from pyraft_lab.trace.record import Fate, Flight, Kind, MessageId, Record, Reply
from pyraft_lab.trace.sentences import headline, predicate, sections
from pyraft_lab.trace.text import listed, message_name, server, servers, shortened

NOTHING_KNOWN: Flights = {}


def story(records: Sequence[Record], start: float | None = None, stop: float | None = None) -> str:
    """What happened from ``start`` to ``stop`` seconds, a line for each thing; runs of routine share a line."""
    flights = {flight.id: flight for record in records for flight in record.sent}
    chosen = [one for one in records if (start is None or one.time >= start) and (stop is None or one.time <= stop)]
    return "\n".join(lines(chosen, flights))


def lines(records: Iterable[Record], flights: Flights = NOTHING_KNOWN) -> Iterator[str]:
    """The story's lines one by one; of routine only the messages that arrived."""
    for routine, group in groupby(records, key=lambda record: is_routine(record, flights)):
        run = list(group)
        told = [record for record in run if _is_news(record)] if routine else run
        if routine and len(run) > 1 and any(_is_heartbeat(record, flights) for record in run):
            yield f"t={run[0].time:.3f}-{run[-1].time:.3f} {_in_short(run, flights)}"
        else:
            yield from (sentence(record, flights) for record in told)


def _is_news(record: Record) -> bool:
    """Of routine: messages that arrived, except answers that bring nothing new."""
    return record.step is not None and record.kind is Kind.RECEIVE and rule(record.step) is not CONTACT


def sentence(record: Record, flights: Flights = NOTHING_KNOWN) -> str:
    """One record in one sentence; ``flights`` lets it name messages by more than their number."""
    when = f"t={record.time:.3f}"
    if record.step is None:
        return f"{when} {fault(record, flights)}{_ended(record)}"
    told = headline(remarks(record.step))
    then = f"{_purpose(record)}{_released(record, record.step)}{_lost(record)}{_ended(record)}"
    return f"{when} {server(record.node)} {predicate(told)}{sections(told)}{then}"


def is_routine(record: Record, flights: Flights = NOTHING_KNOWN) -> bool:
    """Whether only routine happened, which shares a line: heartbeats, renewed leases, a disk that caught up."""
    if record.step is None:
        return record.kind is Kind.UNDELIVERED and _is_heartbeat(record, flights)
    if any(remark.rule.importance > ROUTINE for remark in remarks(record.step)):
        return False
    return not (record.replies or record.detail or _released(record, record.step) or _lost(record))


def _is_heartbeat(record: Record, flights: Flights) -> bool:
    """Whether the record is of the arrival of a heartbeat, or of an answer to one."""
    flight = flights.get(record.message or 0)
    return flight is not None and _beats(flight)


def _beats(flight: Flight) -> bool:
    return type(flight.message) in _HEARTBEATS


_HEARTBEATS = frozenset({HeartbeatRequest, HeartbeatResponse})

# What a record tells beyond its step


def _purpose(record: Record) -> str:
    """What a client's own question is for."""
    return f"; {record.detail}" if record.kind is Kind.READ and record.detail else ""


def _released(record: Record, step: Step) -> str:
    """Promises that waited for the disk and leave now (§5.1: on stable storage before it answers)."""
    if record.kind is not Kind.STORED or not record.sent:
        return ""
    at_once = [command.message for command in step.commands if isinstance(command, Send)]
    held = [flight for flight in record.sent if flight.message not in at_once]
    return "".join(f"; its {what} goes to {servers(dsts)}" for what, dsts in _together(held))


def _lost(record: Record) -> str:
    """Messages that were lost at once, or whose link is cut; heartbeats are not named."""
    lost = [flight for flight in record.sent if flight.fate is not Fate.FLYING and not _beats(flight)]
    if not lost:
        return ""
    return "".join(f"; lost on the way: the {what} to {servers(dsts)}" for what, dsts in _together(lost))


def _together(flights: Iterable[Flight]) -> Iterable[tuple[str, list[NodeId]]]:
    """Messages of the same name, and whom they go to."""
    found: dict[str, list[NodeId]] = {}
    for flight in flights:
        found.setdefault(message_name(flight.message), []).append(flight.dst)
    return found.items()


def _ended(record: Record) -> str:
    """Calls of clients that end here; those that fail for the same reason are told together."""
    if not record.replies:
        return ""
    told = [_reply(reply) for reply in record.replies if reply.ok]
    reasons: dict[str, list[Reply]] = {}
    for reply in record.replies:
        if not reply.ok:
            reasons.setdefault(reply.error.partition(": ")[0], []).append(reply)
    return "".join(f"; {one}" for one in (*told, *(_failed(replies) for replies in reasons.values())))


def _failed(replies: Sequence[Reply]) -> str:
    if len(replies) == 1:
        return f"the client's call {replies[0].request} fails: {replies[0].error}"
    numbers = [reply.request for reply in replies]
    in_a_row = numbers[-1] - numbers[0] == len(numbers) - 1
    calls = f"{numbers[0]}-{numbers[-1]}" if in_a_row else listed(list(map(str, numbers)))
    return f"the clients' calls {calls} fail, the first because {replies[0].error}"


def _reply(reply: Reply) -> str:
    call = f"the client's call {reply.request}"
    value = str(reply.value) if isinstance(reply.value, Membership) else shortened(repr(reply.value))
    return f"{call} is done" if reply.value is None else f"{call} returns {value}"


# Runs of routine


def _in_short(run: Sequence[Record], flights: Flights) -> str:
    """Many heartbeats and other small things in a few words: who kept in touch with whom."""
    met = [flights[record.message] for record in run if record.message and _is_heartbeat(record, flights)]
    sent = [flight for record in run for flight in record.sent]
    beats = [flight for flight in (*met, *sent) if isinstance(flight.message, HeartbeatRequest)]
    missed = {record.message for record in run if record.kind is Kind.UNDELIVERED}
    leaders = sorted({flight.src for flight in beats} or {flight.dst for flight in met})
    return f"{'; '.join(_routine_contact(leader, beats, missed) for leader in leaders)} (§5.2)"


def _routine_contact(leader: NodeId, beats: Sequence[Flight], missed: Collection[MessageId | None]) -> str:
    own = [flight for flight in beats if flight.src == leader]
    lost = {flight.dst for flight in own if flight.id in missed or flight.fate is not Fate.FLYING}
    heard = {flight.dst for flight in own} - lost
    if not own:
        return f"{server(leader)} hears answers to its heartbeats"
    touch = f"{server(leader)} keeps in touch with {servers(heard)} by heartbeats"
    return f"{touch} and does not reach {servers(lost)}" if lost else touch
