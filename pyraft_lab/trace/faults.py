"""Sentences for what is done to a cluster from outside: crashes, cut links, lost messages; and what clients see."""

from collections.abc import Mapping

from pyraft_lab.trace.record import Fate, Flight, Kind, MessageId, Record
from pyraft_lab.trace.text import message_name, server

Flights = Mapping[MessageId, Flight]

SENTENCES: Mapping[Kind, str] = {
    Kind.BOOT: "{who} starts",
    Kind.RESTART: "{who} starts again",
    Kind.JOIN: "{who} starts and belongs to no cluster yet",
    Kind.CRASH: "{who} crashes and loses its memory and what its disk did not yet hold",
    Kind.PAUSE: "{who} is paused",
    Kind.RESUME: "{who} resumes and receives what arrived meanwhile",
    Kind.SILENT: "{who} is no longer heard from: it has died, is paused, or lost its broker",
    Kind.HEARD: "{who} is heard from again",
    Kind.GAP: "{who}: {detail}",
    Kind.DRIFT: "{who} has a {detail} from now on",
    Kind.DISK: "{who}'s disk: {detail}",
    Kind.WIPE: "{who} gets an empty disk: everything it had promised or stored is lost",
    Kind.PARTITION: "the network is partitioned into {detail}",
    Kind.CUT: "messages from {who} no longer reach {peer}",
    Kind.HEAL: "the network is whole again",
    Kind.WEATHER: "the weather changes: {detail}",
    Kind.DROP: "{message} is dropped",
    Kind.DUPLICATE: "{message} will arrive twice",
    Kind.DELAY: "{message} is held up {detail}",
    Kind.UNDELIVERED: "{message} is not delivered: {detail}",
    Kind.READ: "{who} answers a read with what it has applied, which may be out of date",
    Kind.CALL: "{detail}",
}
PARTLY_HEALED = "messages pass again: {detail}"
"""Where only some links heal."""
_UNDELIVERED = {Fate.CUT.value: "the link is cut", Fate.DEAD.value: "the server is down"}


def fault(record: Record, flights: Flights) -> str:
    """A record without a step, as a sentence; an unknown kind is shown by its name and detail."""
    template = PARTLY_HEALED if _heals_some(record) else SENTENCES.get(record.kind, "{who}: {kind} {detail}")
    told = template.format(
        who=server(record.node) if record.node else "the cluster",
        kind=record.kind,
        peer=server(record.peer or 0),
        message=carried(record, flights),
        detail=_UNDELIVERED.get(record.detail, record.detail),
    )
    return told.strip()


def _heals_some(record: Record) -> bool:
    return record.kind is Kind.HEAL and bool(record.detail)


def carried(record: Record, flights: Flights) -> str:
    """The message a record is about: what it says where that is known, else its number."""
    flight = flights.get(record.message or 0)
    if flight is None:
        return f"message {record.message} from {server(record.node)} to {server(record.peer or 0)}"
    return f"{server(flight.src)}'s {message_name(flight.message)} to {server(flight.dst)}"
