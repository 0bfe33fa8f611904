"""The page of a demonstration: its steps, and figures of them, in one file that works offline."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from pyraft_lab import viz
from pyraft_lab.terminal.play import DemoReport, DemoStep

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Raft live</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }}
li {{ margin: .3rem 0 }} h2 {{ margin-top: 2.5rem }} small {{ color: #59636e }}
.no {{ color: #b00020; font-weight: 600 }}
</style></head><body>
<h1>Raft live, over {network}</h1>
<p>{verdict}</p>
<ol>
{acts}
</ol>
{figures}
</body></html>
"""
SHOWN = 2.0
"""Seconds around the leader's crash that the space-time chart shows."""


def write_page(report: DemoReport, path: Path) -> None:
    """Write the page to ``path``."""
    parts = [
        f"<h2>{title}</h2>\n{_html(figure, first=not place)}" for place, (title, figure) in enumerate(_all(report))
    ]
    page = PAGE.format(
        network=escape(report.network),
        verdict=escape(report.verdict.explain().splitlines()[0] if report.verdict else "It ended before the verdict."),
        acts="\n".join(map(_item, report.steps)),
        figures="\n".join(parts),
    )
    path.write_text(page, encoding="utf-8")


def _all(report: DemoReport) -> Iterator[tuple[str, go.Figure]]:
    """The figures with their titles."""
    events = report.trace.events
    deaths = events[events["kind"] == "crash"]["time"]
    yield "The role of each node", viz.roles(report.trace)
    yield "The length of each log", viz.progress(report.trace)
    if len(deaths):
        death = float(deaths.iloc[-1])
        yield (
            "Around the leader's crash",
            viz.space_time(report.trace, start=death - 0.1, stop=death + SHOWN, heartbeats=False),
        )
    yield "The latency of commits", viz.commit_latency(report.trace)


def _item(act: DemoStep) -> str:
    mark = "✓" if act.ok else '<span class="no">✗</span>'
    return f"<li>{mark} <b>{escape(act.title)}</b> <small>{act.seconds:.2f} s</small><br>{escape(act.text)}</li>"


def _html(figure: go.Figure, *, first: bool) -> str:
    """A figure as a part of the page; the first one includes the library."""
    return str(figure.to_html(full_html=False, include_plotlyjs=first))
