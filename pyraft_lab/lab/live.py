"""Figures of a live cluster that stay up to date while cells run."""

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import plotly.graph_objects as go
from msgspec.structs import replace

from pyraft_lab.cell_lifecycle import end_with_the_cell, running
from pyraft_lab.errors import PyraftError
from pyraft_lab.lab.live_source import Live, check_live
from pyraft_lab.lab.ticker import Ticker, ticker
from pyraft_lab.trace import given
from pyraft_lab.trace.record import EventId, Kind, Record
from pyraft_lab.trace.trace import Trace
from pyraft_lab.viz import theme
from pyraft_lab.viz.drawing import on_page
from pyraft_lab.viz.figure import figure_of
from pyraft_lab.viz.sketch import twin, words_of

LOADS = 10.0
"""Seconds after which the figure of a cluster that has ended no longer waits for a page."""

SILENT = 2.0
"""Seconds after which a page that has said nothing is asked; each time it may be silent twice as long."""

LASTING = frozenset({Kind.CRASH, Kind.PAUSE, Kind.RESUME, Kind.PARTITION, Kind.HEAL})
"""Faults of servers and of the network that last until they are undone."""


def live_figure(cluster: Live, draw: Callable[..., go.Figure], *, seconds: float | None = 20.0) -> "LiveFigure":
    """Draw ``draw(trace)`` of a live cluster again and again, until the cluster ends or you ``close()`` the figure.

    It updates at most ten times a second, and less often if drawing is slow. The figure shows the newest ``seconds``
    (``None``: all kept records).

    >>> figure = live_figure(cluster, viz.roles)  # doctest: +SKIP
    """
    check_live(cluster)
    if not callable(draw):
        raise PyraftError(f"draw must be a function that draws a trace, such as viz.roles, not a {type(draw).__name__}")
    if seconds is not None:
        given.stretch("seconds", seconds)
    return LiveFigure(cluster, draw, seconds=seconds)


class LiveFigure(go.FigureWidget):  # type: ignore[misc]
    """A figure that updates itself; made by :func:`live_figure`."""

    _ticker: Ticker
    _follower: "TraceFollower"
    _page: "Page"

    def __init__(self, cluster: Live, draw: Callable[..., go.Figure], *, seconds: float | None) -> None:
        follower = TraceFollower(cluster, draw, seconds=seconds)
        super().__init__(follower.draw_or_explain())
        self._config: Any = {"responsive": True}
        object.__setattr__(self, "_follower", follower)
        object.__setattr__(self, "_page", Page())
        self.open()
        self.observe(self._on_drawn, "_js2py_traceDeltas")
        object.__setattr__(self, "_ticker", ticker(self._refresh, name=f"live figure: {follower.name}"))
        self._ticker.start()
        end_with_the_cell(self._ticker.close)

    def __repr__(self) -> str:
        return f"<live figure: {self._follower.name}>"

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The widget if the page can run it; else a static picture with its text."""
        found: dict[str, Any] = super()._repr_mimebundle_(*arguments, **options)
        return {**found, "text/html": twin(self._follower.picture), "text/plain": repr(self)}

    def open(self) -> None:
        """Tell the page of the figure once it is whole: values that follow while a slow page builds it are lost."""
        if hasattr(self, "_page"):
            super().open()

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 (ipywidgets)
        """The whole present figure, for a page that is loaded again; updates wait until that page is ready."""
        if key is None and hasattr(self, "_follower"):
            self._page.load(self._last_trace_edit_id)
            now = {
                "_widget_layout": self.layout.to_plotly_json(),
                "_widget_data": [one.to_plotly_json() for one in self.data],
            }
            self._trait_values.update(now)
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        return state

    @property
    def story(self) -> str:
        """The content of the picture as text."""
        return words_of(self._follower.picture)

    @property
    def is_live(self) -> bool:
        """Whether it still updates."""
        return self._ticker.is_alive

    def close(self) -> None:
        """Stop updating; the last picture stays."""
        if hasattr(self, "_ticker"):
            self._ticker.close()

    def join(self, timeout: float) -> None:
        """Wait until it stops updating."""
        self._ticker.join(timeout)

    @property
    def updates(self) -> int:
        """The number of pictures drawn; each shows everything since the one before."""
        return self._follower.drawn

    def _on_drawn(self, change: Mapping[str, Any]) -> None:
        """The page tells which update of the traces it has drawn; its first drawing counts as one, too."""
        if change["new"]:
            self._page.drawn = change["new"]["trace_edit_id"]

    def _refresh(self) -> bool:
        try:
            return self._update()
        except Exception:
            if not is_loading():
                raise
            return True

    def _update(self) -> bool:
        new = self._follower.draw_or_explain()
        if new is not None:
            new.layout.autosize = True  # sent after it is on the page, this makes it as wide as its cell
            self._page.unsent = new
        is_over = self._follower.is_over
        if self._page.unsent is not None:
            self._show(self._page, self._page.unsent, is_over=is_over)
        goes_on = not is_over or self._page.unsent is not None
        if not goes_on:
            self.close()
        return goes_on

    def _show(self, page: "Page", picture: go.Figure, *, is_over: bool) -> None:
        """Show the newest picture if the page is ready; one that is silent is asked by a change of nothing."""
        if page.is_ready(is_over=is_over):
            redraw(self, picture)
            page.expect(self._last_trace_edit_id)
            page.unsent = None
        elif page.is_to_be_asked:
            self._send_restyle_msg({}, [])
            page.wait_longer()


class Page:
    """What is known of the page that shows a figure, which may be slow.

    What is sent while a page builds the figure is lost, and what is sent faster than it draws piles up until the page
    stands still. So the newest picture stays ``unsent`` until the page has drawn the one before.

    A page that asks for the whole figure may have it already (JupyterLab asks again when it has found its kernel). Then
    it has nothing to draw and nothing to tell, so that a page that is silent has to be asked.
    """

    def __init__(self) -> None:
        self.unsent: go.Figure | None = None
        self.load(0)

    def load(self, sent: int) -> None:
        """A page begins to build the figure as update ``sent`` left it; outside of a notebook there is no page."""
        self.drawn = -1
        self._is_there = any(running())
        self._over_at = time.monotonic() + LOADS
        self._silent = SILENT
        self.expect(sent)

    def expect(self, update: int) -> None:
        """The page is ready as soon as it tells that it has drawn this update, or a later one."""
        self._expected = update
        self._ask_at = time.monotonic() + self._silent

    def is_ready(self, *, is_over: bool) -> bool:
        """Whether the page has drawn what it was sent; once the cluster ``is_over`` there may never be a page."""
        is_drawn = self._expected <= self.drawn
        return not self._is_there or is_drawn or (is_over and time.monotonic() >= self._over_at)

    @property
    def is_to_be_asked(self) -> bool:
        """Whether it has been silent for so long that it may have nothing to tell."""
        return time.monotonic() >= self._ask_at

    def wait_longer(self) -> None:
        """It has been asked: it may be silent twice as long."""
        self._silent *= 2
        self._ask_at = time.monotonic() + self._silent


class TraceFollower:
    """Polls a cluster: a new figure if something has happened, else ``None``."""

    def __init__(self, cluster: Live, draw: Callable[..., go.Figure], *, seconds: float | None) -> None:
        self.name: str = getattr(draw, "__name__", type(draw).__name__)
        self._cluster, self._draw, self._seconds = cluster, draw, seconds
        self._seen: EventId | None = None
        self.picture = go.Figure()
        self.is_over = False
        self.drawn = 0

    def draw(self) -> go.Figure | None:
        """The present figure; after the end of the cluster for the last time."""
        self.is_over = not self._cluster.is_running
        records = self._cluster.trace.records
        if not records or records[-1].id == self._seen:
            return None
        self._seen = records[-1].id
        self.drawn += 1
        self.picture = self._draw(Trace(newest(records, self._seconds)))
        return self.picture

    def draw_or_explain(self) -> go.Figure | None:
        """The figure for a page, or an empty figure with the reason."""
        try:
            new = self.draw()
        except PyraftError as error:  # nothing to draw yet, perhaps
            new = figure_of(theme.figure(str(error), height=60))
        except Exception as error:  # of the function that draws: its author should see that here
            if is_loading():
                self._seen = None
                raise
            new = figure_of(theme.figure(f"drawing failed: {type(error).__name__}: {error}", height=60))
        return None if new is None else on_page(new)


def is_loading() -> bool:
    """Whether another thread imports pandas or numpy now: Plotly uses both as soon as they are in ``sys.modules``."""
    specs = (getattr(sys.modules.get(name), "__spec__", None) for name in ("pandas", "numpy"))
    return any(getattr(spec, "_initializing", False) for spec in specs)


def newest(records: Sequence[Record], seconds: float | None) -> Sequence[Record]:
    """The records of the last ``seconds``, after records with the state of each server at their start."""
    if seconds is None:
        return records
    begin = records[-1].time - seconds
    first = bisect_left(records, begin, key=lambda record: record.time)
    return [*latest_steps(records[:first], begin), *records[first:]]


def latest_steps(records: Sequence[Record], now: float) -> list[Record]:
    """The last step of each server and its later faults, dated ``now``."""
    last: dict[tuple[int, bool], Record] = {}
    for record in reversed(records):
        if (record.node, True) not in last and (record.after is not None or record.kind in LASTING):
            last.setdefault((record.node, record.after is not None), record)
    return [replace(record, time=now, sent=()) for record in reversed(last.values())]


# Replacing one figure by another


def redraw(shown: go.FigureWidget, new: go.Figure) -> None:
    """Make a figure on the screen look like ``new``, in one message for each sort of change."""
    alike = _alike(shown.data, new.data)
    with shown.batch_update():
        for old, trace in zip(shown.data[:alike], new.data, strict=False):
            _replace(old, trace.to_plotly_json())
        _replace(shown.layout, new.layout.to_plotly_json())
    if len(shown.data) > alike:
        shown.data = shown.data[:alike]
    if len(new.data) > alike:
        shown.add_traces(new.data[alike:])


def _alike(shown: Sequence[Any], new: Sequence[Any]) -> int:
    """The number of traces that can stay with new values: the first ones, while both figures have the same kinds."""
    pairs = takewhile(lambda pair: type(pair[0]) is type(pair[1]), zip(shown, new, strict=False))
    return sum(1 for _ in pairs)


def _replace(old: Any, new: Mapping[str, Any]) -> None:
    """Give an object of Plotly's these properties and no others; its name on the page stays."""
    for gone in old.to_plotly_json().keys() - new.keys() - {"uid", "type"}:
        old[gone] = None
    old.update({name: value for name, value in new.items() if name not in {"uid", "type"}}, overwrite=True)
