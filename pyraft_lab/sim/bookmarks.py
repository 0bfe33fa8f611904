"""Bookmarks: find the moments of a run by name, and compare two runs.

::

    ──●────────────●──────────●──────▶  a run: jump to an election, a crash, a commit, a violation
                   └───────●─────────▶  a branch that was forked there; diff shows the different events
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
"""The name of a moment (:data:`MOMENTS`, or any kind of event), or a predicate of records."""
COLUMNS = ["time", "node", "kind", "peer", "term", "role", "leader", "commit", "applied", "last_index", "rule"]
"""The columns by which :func:`diff` compares events."""


class HasTrace(Protocol):
    """A simulation's past: its trace and its violations."""

    @property
    def trace(self) -> Trace:
        """The records of the run."""
        ...

    @property
    def violations(self) -> Sequence[Violation]:
        """The violations of the run."""
        ...


def elects(record: Record) -> bool:
    """Whether a server becomes leader in this record."""
    step = record.step
    return step is not None and isinstance(step.after.role, Leader) and not isinstance(step.before.role, Leader)


def commits(record: Record) -> bool:
    """Whether a leader advances its commit index in this record."""
    step = record.step
    return step is not None and isinstance(step.after.role, Leader) and step.after.committed > step.before.committed


def changes_term(record: Record) -> bool:
    """Whether a server enters another term in this record."""
    return record.step is not None and record.step.after.term > record.step.before.term


def answers(record: Record) -> bool:
    """Whether a client receives its answer in this record."""
    return bool(record.replies)


MOMENTS: Mapping[str, Callable[[Record], bool]] = {
    "election": elects,
    "commit": commits,
    "term": changes_term,
    "answer": answers,
}
"""Moments by name; besides these, ``"violation"`` and every kind of event, as ``"crash"`` or ``"partition"``."""


def moments(past: HasTrace, what: Moment, after: EventId = -1) -> Iterator[Record]:
    """The records of such moments after event ``after``, in order; raises ``ConfigError`` for an unknown name."""
    chosen = _question(past, what)
    return (record for record in past.trace.records if record.id > after and chosen(record))


def _question(past: HasTrace, what: Moment) -> Callable[[Record], bool]:
    if callable(what):
        return what
    if not isinstance(what, str):
        raise ConfigError("what", what, "must be the name of a moment, or a predicate of records")
    if what == "violation":
        broken = {violation.event for violation in past.violations}
        return lambda record: record.id in broken
    if what in MOMENTS:
        return MOMENTS[what]
    if what not in list(Kind):
        raise ConfigError("what", what, f"is no moment; known are violation, {', '.join([*MOMENTS, *Kind])}")
    return lambda record: record.kind == what


def diff(first: HasTrace, second: HasTrace) -> "pd.DataFrame":
    """The events of only one of two runs, in order of time; an empty frame if the runs are the same.

    One row per event: ``run`` is ``"first"`` or ``"second"``, the other columns are those of ``trace.events``. The
    first row is the first difference. Ids are not compared, since after that point every event has another one.
    """
    if not isinstance(getattr(second, "trace", None), Trace):
        raise ConfigError("other", second, "must be a run that has a trace")
    with needed("pandas"):
        import pandas as pd

    one, other = (_numbered(run.trace.events) for run in (first, second))
    merged = one.merge(other, how="outer", on=[*COLUMNS, "again"], suffixes=("", "_second"), indicator="run")
    merged["id"] = merged["id"].fillna(merged["id_second"])
    only = merged[merged["run"] != "both"].sort_values(["time", "id"], kind="stable")
    runs = only["run"].map({"left_only": "first", "right_only": "second"}).astype("str")
    return pd.DataFrame({"run": runs, **{name: only[name] for name in ["id", *COLUMNS]}}).reset_index(drop=True)


def _numbered(events: "pd.DataFrame") -> "pd.DataFrame":
    """The compared columns, with a number that distinguishes equal rows."""
    frame = events[["id", *COLUMNS]].astype(dict.fromkeys(("kind", "role", "rule"), "str"), errors="ignore")
    return frame.assign(again=frame.groupby(COLUMNS, dropna=False, observed=True).cumcount())
