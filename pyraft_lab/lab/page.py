"""Pages that play a run without kernel and network: the drawing, its dress and the whole film in one piece."""

import gzip
from base64 import b64encode
from html import escape
from pathlib import Path

from msgspec.json import encode

from pyraft_lab.lab.desk import Desk
from pyraft_lab.lab.film import REEL
from pyraft_lab.lab.scene import Json

STATIC = Path(__file__).parent / "static"
MOST_EVENTS = 10_000
"""Events of one branch that a page carries; of longer runs the newest."""


def page(desk: Desk, title: str, picture: str) -> str:
    """The whole page; ``picture`` is what is seen where no script runs."""
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
play(document.getElementById("lab"), "{pack(film(desk))}");
</script>
</body>
</html>
"""


def player(desk: Desk, picture: str) -> str:
    """A piece of HTML for any page: the picture, in whose place the Lab plays where scripts run.

    Everything is in it, so that it plays from a disk, too: a notebook made into a page, an editor without a kernel.
    """
    module = pack({"style": (STATIC / "lab.css").read_text("utf-8"), "script": (STATIC / "lab.js").read_text("utf-8")})
    return f"""<div>{picture}</div><script>
(async (place) => {{
  const bytes = Uint8Array.from(atob("{module}"), (letter) => letter.codePointAt(0));
  const packed = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const {{ style, script }} = await new Response(packed).json();
  const lab = await import(URL.createObjectURL(new Blob([script], {{ type: "text/javascript" }})));
  const dress = Object.assign(document.createElement("style"), {{ textContent: style }});
  place.replaceChildren(dress);
  await lab.play(place, "{pack(film(desk, foreseen=True))}");
}})(document.currentScript.previousElementSibling);
</script>"""


def film(desk: Desk, *, foreseen: bool = False) -> Json:
    """Board and reels of every branch, as far as somebody has looked; or as far as the desk has looked ahead."""
    board = desk.board()
    board["strips"] = [_ended(strip) if foreseen else _happened(strip) for strip in board["strips"]]
    board["grows"] = False
    reels = [(strip["name"], reel) for strip in board["strips"] for reel in _reels(desk, strip)]
    return {"board": board, "reels": reels}


def _ended(strip: Json) -> Json:
    """A strip after which nothing can be had."""
    return {**strip, "limit": strip["count"]}


def _happened(strip: Json) -> Json:
    """A strip without what is only foreseen."""
    count = strip["seen"] + 1
    marks = [mark for mark in strip["marks"] if mark[0] < count]
    bands = [band for band in strip["bands"] if band[0] < count]
    times = strip["times"][:count]
    return {**strip, "count": count, "limit": count, "times": times, "end": times[-1], "marks": marks, "bands": bands}


def _reels(desk: Desk, strip: Json) -> list[Json]:
    whole = desk.film(strip["name"])
    return [_cut(whole.reel(number), strip["count"]) for number in range((strip["count"] - 1) // REEL + 1)]


def _cut(reel: Json, count: int) -> Json:
    return {**reel, "events": [event for event in reel["events"] if event["id"] < count]}


def pack(value: Json) -> str:
    """JSON, zipped and in letters; the same for the same value."""
    return b64encode(gzip.compress(encode(value), mtime=0)).decode()
