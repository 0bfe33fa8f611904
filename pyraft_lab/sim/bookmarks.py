"""Time travel: the moments of a run by name, and where two branches of time differ.

::

    ──●────────────●──────────●──────▶  a run: jump to an election, a crash, a commit, a violation
                   └───────●─────────▶  a branch that was forked there; diff tells what went otherwise
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pyraft_lab.engine.state import Leader
from pyraft_lab.errors import ConfigError
from pyraft_lab.extras import needed
from pyraft_lab.sim.properties import Violation
from pyraft_lab.trace.record import EventId, Kind, Record
from pyraft_lab.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

Moment = str | Callable[[Record], bool]
"""The name of what to look for (:data:`MOMENTS`, or any kind of event), or a question to ask of records."""
COLUMNS = ["time", "node", "kind", "peer", "term", "role", "leader", "commit", "applied", "last_index", "rule"]
"""What makes two events the same in :func:`diff`."""


class HasTrace(Protocol):
    """A simulation, as far as its past goes."""

    @property
    def trace(self) -> Trace:
        """What happened."""
        ...

    @property
    def violations(self) -> Sequence[Violation]:
        """What was broken."""
        ...


def elects(record: Record) -> bool:
    """A server becomes leader."""
    step = record.step
    return step is not None and isinstance(step.after.role, Leader) and not isinstance(step.before.role, Leader)


def commits(record: Record) -> bool:
    """A leader commits."""
    step = record.step
    return step is not None and isinstance(step.after.role, Leader) and step.after.committed > step.before.committed


def changes_term(record: Record) -> bool:
    """A server enters another term."""
    return record.step is not None and record.step.after.term > record.step.before.term


def answers(record: Record) -> bool:
    """A client has its answer."""
    return bool(record.replies)


MOMENTS: Mapping[str, Callable[[Record], bool]] = {
    "election": elects,
    "commit": commits,
    "term": changes_term,
    "answer": answers,
}
"""Moments by name; besides these, ``"violation"`` and every kind of event, as ``"crash"`` or ``"partition"``."""


def moments(past: HasTrace, what: Moment, after: EventId = -1) -> Iterator[Record]:
    """The records of such moments behind event ``after``, in order; ``ConfigError`` where there is no such name."""
    chosen = _question(past, what)
    return (record for record in past.trace.records if record.id > after and chosen(record))


def _question(past: HasTrace, what: Moment) -> Callable[[Record], bool]:
    if callable(what):
        return what
    if what == "violation":
        broken = {violation.event for violation in past.violations}
        return lambda record: record.id in broken
    if what in MOMENTS:
        return MOMENTS[what]
    if what not in list(Kind):
        raise ConfigError("what", what, f"is no moment; known are violation, {', '.join([*MOMENTS, *Kind])}")
    return lambda record: record.kind == what


def diff(first: HasTrace, second: HasTrace) -> "pd.DataFrame":
    """What happened in one of two runs and not in the other, in order of time; nothing where they are the same.

    One row an event: ``run`` is ``"first"`` or ``"second"``, the other columns are those of ``trace.events``. The
    first row is where they part. Ids do not count, for behind that point every event has another one.
    """
    with needed("pandas"):
        import pandas as pd

    one, other = (_numbered(run.trace.events) for run in (first, second))
    merged = one.merge(other, how="outer", on=[*COLUMNS, "again"], suffixes=("", "_second"), indicator="run")
    merged["id"] = merged["id"].fillna(merged["id_second"])
    only = merged[merged["run"] != "both"].sort_values(["time", "id"], kind="stable")
    runs = only["run"].map({"left_only": "first", "right_only": "second"}).astype("str")
    return pd.DataFrame({"run": runs, **{name: only[name] for name in ["id", *COLUMNS]}}).reset_index(drop=True)


def _numbered(events: "pd.DataFrame") -> "pd.DataFrame":
    """The columns that count, with a number that tells equal rows apart."""
    frame = events[["id", *COLUMNS]].astype(dict.fromkeys(("kind", "role", "rule"), "str"), errors="ignore")
    return frame.assign(again=frame.groupby(COLUMNS, dropna=False, observed=True).cumcount())
