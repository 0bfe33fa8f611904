"""Pages that play a run without kernel and network: the drawing, its style and the whole recording in one piece."""

import gzip
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from msgspec.json import encode
from msgspec.structs import replace

from pyraft_lab.lab.recording import CHUNK
from pyraft_lab.lab.session import Session
from pyraft_lab.lab.wire import Chunk, OfflinePage, Timeline

STATIC = Path(__file__).parent / "static"
MAX_EVENTS = 10_000
"""The maximum number of events of one branch in a page; the newest ones of longer runs."""


def page(session: Session, title: str, picture: str) -> str:
    """The whole page; ``picture`` is shown if scripts are off."""
    style, script = (STATIC / "lab.css").read_text(encoding="utf-8"), (STATIC / "lab.js").read_text(encoding="utf-8")
    assert "</script" not in script, "the drawing would end its own element"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>body {{ margin: 12px; background: Canvas; color-scheme: light dark; }}
{style}</style>
</head>
<body>
<main id="lab"><noscript>{picture}</noscript></main>
<script type="module">
{script}
play(document.getElementById("lab"), "{pack(recorded(session))}");
</script>
</body>
</html>
"""


def player(session: Session, picture: str) -> str:
    """A piece of HTML for any page: the picture, which the Lab replaces if scripts run.

    It contains everything, so it also plays from a file: an exported notebook, an editor without a kernel.
    """
    module = pack({"style": (STATIC / "lab.css").read_text("utf-8"), "script": (STATIC / "lab.js").read_text("utf-8")})
    return f"""<div>{picture}</div><script>
(async (place) => {{
  const bytes = Uint8Array.from(atob("{module}"), (character) => character.codePointAt(0));
  const packed = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const {{ style, script }} = await new Response(packed).json();
  const lab = await import(URL.createObjectURL(new Blob([script], {{ type: "text/javascript" }})));
  const look = Object.assign(document.createElement("style"), {{ textContent: style }});
  place.replaceChildren(look);
  await lab.play(place, "{pack(recorded(session, foreseen=True))}");
}})(document.currentScript.previousElementSibling);
</script>"""


def recorded(session: Session, *, foreseen: bool = False) -> OfflinePage:
    """Header and chunks of every branch, up to the last seen event; or up to the last foreseen one, if it plays."""
    header = session.header()
    foreseen = foreseen or header.opening.until is not None
    timelines = tuple(_ended(one) if foreseen else _happened(one) for one in header.timelines)
    chunks = tuple((one.name, chunk) for one in timelines for chunk in _chunks(session, one))
    return OfflinePage(header=replace(header, timelines=timelines, grows=False), chunks=chunks)


def _ended(timeline: Timeline) -> Timeline:
    """A timeline without further events."""
    return replace(timeline, limit=timeline.count)


def _happened(timeline: Timeline) -> Timeline:
    """A timeline without foreseen events."""
    count = timeline.seen + 1
    times = timeline.times[:count]
    return replace(
        timeline,
        count=count,
        limit=count,
        times=times,
        end=times[-1],
        marks=tuple(mark for mark in timeline.marks if mark.event < count),
        bands=tuple(band for band in timeline.bands if band.event < count),
    )


def _chunks(session: Session, timeline: Timeline) -> Iterator[Chunk]:
    for number in range((timeline.count - 1) // CHUNK + 1):
        chunk = session.chunk(timeline.name, number)
        yield replace(chunk, events=tuple(event for event in chunk.events if event.id < timeline.count))


def pack(value: Any) -> str:
    """JSON, compressed and in base64; the same for the same value."""
    return b64encode(gzip.compress(encode(value), mtime=0)).decode()
