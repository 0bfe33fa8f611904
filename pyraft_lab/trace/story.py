"""A step as a sentence."""

from collections.abc import Sequence

from pyraft_lab.trace.recorder import Record


def sentence(record: Record) -> str:
    """One record in one plain sentence."""
    where = f"n{record.node} " if record.node else ""
    return f"t={record.time:.3f} {where}{record.kind}{record.detail and ': ' + record.detail}"


def story(records: Sequence[Record], start: float | None = None, stop: float | None = None) -> str:
    """The sentences of everything from ``start`` to ``stop`` seconds."""
    chosen = [one for one in records if (start is None or one.time >= start) and (stop is None or one.time <= stop)]
    return "\n".join(map(sentence, chosen))
