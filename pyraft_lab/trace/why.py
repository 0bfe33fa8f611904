"""Why something happened: its causes, back to the beginning."""

from collections.abc import Sequence
from typing import Any

from pyraft_lab.trace.recorder import Record


def why(records: Sequence[Record], what: object = None, **_fact: object) -> Any:
    """The records that led to an event, oldest first."""
    by_id = {record.id: record for record in records}
    event = what.id if isinstance(what, Record) else what
    chain = []
    while isinstance(event, int) and event in by_id:
        chain.append(by_id[event])
        event = by_id[event].cause
    return tuple(reversed(chain))


def why_not(_records: Sequence[Record], _what: object = None, **_fact: object) -> Any:
    """Which rule stood against something."""
    raise NotImplementedError
