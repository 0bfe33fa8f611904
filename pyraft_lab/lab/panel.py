"""Panels of a live cluster that stay up to date: a row of measures, and a log of events."""

from collections import deque
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pyraft_lab.cell_lifecycle import end_with_the_cell
from pyraft_lab.lab.live_source import Live, check_live
from pyraft_lab.lab.meter import Meter, MeterReading, records_after
from pyraft_lab.lab.ticker import ticker
from pyraft_lab.term_colours import term_colour
from pyraft_lab.trace import given
from pyraft_lab.trace.record import EventId, Flight, MessageId, Record
from pyraft_lab.trace.story import is_routine, sentence
from pyraft_lab.viz.theme import numeral_colour

STATIC = Path(__file__).parent / "static"
RATE = 5.0
"""The maximum number of updates of a panel per second."""
MAX_MESSAGES = 5_000
"""The number of messages that a log can still describe."""


def live_metrics(cluster: Live, *, seconds: float = 10.0) -> "LiveMetrics":
    """The measures of a live cluster, updated until it ends or you ``close()`` the panel.

    Leader, committed commands per second, their latency, messages on their way; over the last ``seconds``.

    >>> panel = live_metrics(cluster)  # doctest: +SKIP
    """
    check_live(cluster)
    given.stretch("seconds", seconds)
    return LiveMetrics(cluster, seconds=seconds)


def live_log(cluster: Live, *, lines: int = 200) -> "LiveLog":
    """The events of a live cluster, a sentence for each, until it ends or you ``close()`` the panel.

    It holds the newest ``lines`` and scrolls with them, unless you scroll back. Quiet steps, such as heartbeats, are
    counted.

    >>> panel = live_log(cluster)  # doctest: +SKIP
    """
    check_live(cluster)
    given.whole("lines", lines, 1)
    return LiveLog(cluster, lines=lines)


class Panel(anywidget.AnyWidget):
    """A panel that updates itself from a cluster; the drawing gets plain JSON."""

    _esm = STATIC / "panel.js"
    _css = STATIC / "panel.css"
    sort = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)

    def __init__(self, cluster: Live, *, sort: str) -> None:
        self._cluster = cluster
        self._seen: EventId | None = None
        self._ticker = ticker(self._refresh, name=f"live {sort}", rate=RATE)
        super().__init__(sort=sort)
        self._refresh()
        self._ticker.start()
        end_with_the_cell(self._ticker.close)

    def __repr__(self) -> str:
        return f"<live {self.sort}: {self.story.rpartition(chr(10))[2]}>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget if the page can run it; else its text as HTML."""
        found = super()._repr_mimebundle_(**options)
        data, about = found if isinstance(found, tuple) else (found, {})
        return {**(data or {}), "text/html": self._still(), "text/plain": repr(self)}, about

    @property
    def story(self) -> str:
        """The content as text."""
        raise NotImplementedError

    @property
    def is_live(self) -> bool:
        """Whether it still updates."""
        return self._ticker.is_alive

    def close(self) -> None:
        """Stop updating and leave the page."""
        if hasattr(self, "_ticker"):
            self._ticker.close()
        super().close()

    def join(self, timeout: float) -> None:
        """Wait until it stops updating."""
        self._ticker.join(timeout)

    def _refresh(self) -> bool:
        is_over = not self._cluster.is_running
        fresh = records_after(self._cluster.trace.records, self._seen)
        self._seen = fresh[-1].id if fresh else self._seen
        try:
            self.shown = {**self._update(fresh), "over": is_over}
        except Exception as error:  # noqa: BLE001 (a mistake of ours: it is shown, for a log hides it)
            self.shown = {**self.shown, "error": f"{type(error).__name__}: {error}"}
            is_over = True
        if is_over:
            self._ticker.close()
        return not is_over

    def _update(self, fresh: Sequence[Record]) -> dict[str, Any]:
        """The content after these records."""
        raise NotImplementedError

    def _still(self) -> str:
        raise NotImplementedError


class LiveMetrics(Panel):
    """A row of measures; made by :func:`live_metrics`."""

    def __init__(self, cluster: Live, *, seconds: float) -> None:
        self._meter, self._reading, self._seconds = Meter(seconds), MeterReading(), seconds
        super().__init__(cluster, sort="metrics")

    @property
    def reading(self) -> MeterReading:
        """The measures themselves."""
        return self._reading

    @property
    def story(self) -> str:
        """The measures in a sentence."""
        return str(self._reading)

    def _update(self, fresh: Sequence[Record]) -> dict[str, Any]:
        for record in fresh:
            self._meter.add_record(record)
        self._reading = self._meter.read(getattr(self._cluster, "now", None))
        return {
            "cells": [{"name": name, "value": value, "more": more} for name, value, more in cells(self._reading)],
            "bars": list(self._reading.bars),
            "fill": term_colour(self._reading.term),
            "ink": numeral_colour(self._reading.term),
            "seconds": self._seconds,
        }

    def _still(self) -> str:
        rows = (
            f"<td><small>{escape(name)}</small><br><b>{escape(value)}</b><br><small>{escape(more)}</small></td>"
            for name, value, more in cells(self._reading)
        )
        return f"<table><tr>{''.join(rows)}</tr></table>"


def cells(now: MeterReading) -> list[tuple[str, str, str]]:
    """Name, value with unit, and details of each measure."""
    waited = "—" if now.median is None else f"{now.median:.1f} ms"
    slowest = "nothing was committed" if now.slowest is None else f"slowest {now.slowest:.1f} ms"
    pending = f"{now.entries} {'entry' if now.entries == 1 else 'entries'} not yet committed"
    return [
        ("leader", f"n{now.leader}" if now.leader else "nobody", f"term {now.term}"),
        ("throughput", f"{now.throughput:.0f} /s", "commands committed"),
        ("commit latency", waited, slowest),
        ("in flight", f"{now.messages}", f"messages; {pending}"),
        ("servers", f"{now.up} of {now.nodes}", "up"),
    ]


class LiveLog(Panel):
    """A log that scrolls with new events; made by :func:`live_log`."""

    def __init__(self, cluster: Live, *, lines: int) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=lines)
        self._flights: dict[MessageId, Flight] = {}
        self._count = 0
        super().__init__(cluster, sort="log")

    @property
    def story(self) -> str:
        """The lines, oldest first."""
        return "\n".join(f"t={line['time']:.3f} {line['text']}" for line in self._lines)

    def _update(self, fresh: Sequence[Record]) -> dict[str, Any]:
        for record in fresh:
            self._flights |= {flight.id: flight for flight in record.sent}
            self._tell(record)
        for old in list(self._flights)[:-MAX_MESSAGES]:
            del self._flights[old]
        return {"lines": list(self._lines), "earlier": self._count - len(self._lines)}

    def _tell(self, record: Record) -> None:
        """A line for the record; quiet ones share one."""
        quiet = 1 if is_routine(record, self._flights) else 0
        text = sentence(record, self._flights).partition(" ")[2]
        if quiet and self._lines and self._lines[-1]["quiet"]:
            last = self._lines.pop()
            quiet, self._count = last["quiet"] + 1, self._count - 1
        if quiet:
            text = f"{quiet} quiet {'step' if quiet == 1 else 'steps'}: heartbeats, their answers, disks that catch up"
        self._count += 1
        line = {"id": self._count, "time": record.time, "node": record.node, "text": text, "quiet": quiet}
        self._lines.append(line)

    def _still(self) -> str:
        return f"<pre>{escape(self.story)}</pre>"
