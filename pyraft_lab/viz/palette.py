"""Figures on light and dark pages: text takes the page's colour, lines are visible on both, terms keep their fills.

No single text colour has enough contrast (4.5 : 1) on both white and dark, and Plotly cannot use a page's colour for a
line. Text may have its own style, so it follows the page; a line needs 3 : 1, and one grey has this on both. Text on a
fill keeps its colour.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

TEXT = "#1F2933"
"""Lines and text on the background."""
MUTED = "#52606D"
"""Explanatory text."""
FAINT = "#9AA5B1"
"""Unimportant parts: grid lines, servers that are down."""
HEARTBEAT = "#B8C1CB"
"""Heartbeats."""
HAIRLINE = "#EEF1F4"
"""Grid lines."""
PAPER = "#FFFFFF"
"""The background, and hollow marks."""
NUMERAL = "#0B0F14"
"""Numbers and text on a fill: nearly black, for contrast on every fill."""
HELD = "#3E4C59"
"""The fill of a server that holds an entry or agrees: visible on white and on dark pages."""
HALO = "0 0 2px white"
"""The shadow of text that may cross a line."""

VEIL = "rgba(114,126,140,0.22)"
"""The background of a special time interval."""
SHALLOW = "#DCEBF7"
"""The colour of the smallest value on a map."""
DEEP = "#2E93D1"
"""The colour of the largest value on a map; dark numbers stay readable on it (5.9 : 1)."""
GREY = "#727E8C"
"""Lines on an unknown background: 4.1 : 1 on white, 4.6 : 1 on JupyterLab's dark, 3.9 : 1 on the site's."""
LINES = {TEXT: GREY, MUTED: GREY, FAINT: GREY, HEARTBEAT: "rgba(114,126,140,0.6)", HAIRLINE: VEIL}
TEXT_VARIABLES = {
    TEXT: f"var(--md-typeset-color,var(--jp-content-font-color1,var(--vscode-foreground,{GREY})))",
    MUTED: f"var(--md-default-fg-color--light,var(--jp-content-font-color2,var(--vscode-foreground,{GREY})))",
}
"""The text colours of the site, of JupyterLab and of VS Code."""
BACKGROUND_VARIABLE = "var(--md-default-bg-color,var(--jp-layout-color0,var(--vscode-editor-background,transparent)))"
CLEAR = "rgba(0,0,0,0)"

STATIC_STYLE = (
    f".halo{{paint-order:stroke;stroke:{PAPER};stroke-width:3px}}"
    "@media(prefers-color-scheme:dark){"
    ".paper{fill:#16191D}.halo{stroke:#16191D}"
    f'[fill="{TEXT}"]{{fill:#EEF1F4}}[fill="{MUTED}"]{{fill:#A9B4C0}}'
    f'[stroke="{TEXT}"]{{stroke:#F4F6F8}}[stroke="{MUTED}"]{{stroke:#A9B4C0}}'
    f'[stroke="{HEARTBEAT}"]{{stroke:#5B6672}}[fill="{HEARTBEAT}"]{{fill:#5B6672}}[stroke="{HAIRLINE}"]{{stroke:#2B3138}}}}'
)
"""The style of a static picture on a dark page."""
CARD = f'<rect class="paper" width="100%" height="100%" rx="6" fill="{PAPER}"/>'
"""The background of a static picture: not every browser knows whether the page is dark."""


def on_any_background(figure: Json) -> Json:
    """The plain ``data`` and ``layout`` of a figure, for light and dark pages."""
    layout, data = figure["layout"], figure["data"]
    layout.update(paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, modebar={"bgcolor": CLEAR, "color": GREY})
    title = layout.get("title", {})
    for said in (title, title.get("subtitle", {})):
        _speak(said)
    for name in sorted({"xaxis", "yaxis", *layout}):
        if name.startswith(("xaxis", "yaxis")):
            _draw_axis(layout.setdefault(name, {}))
    for note in layout.get("annotations", ()):
        note.setdefault("arrowcolor", GREY)
        _speak(note)
    layout.setdefault("font", {})["color"] = GREY  # of text without its own style
    for line in [*layout.get("shapes", ()), *data, *(trace.get("marker", {}) for trace in data)]:
        _grey(line.get("line", {}), "color")
    for trace in data:
        _draw_trace(trace)
    return figure


def _grey(thing: Json, *names: str) -> None:
    """Give lines the colour that is visible on every page."""
    for name in names:
        if isinstance(thing.get(name), str):
            thing[name] = LINES.get(thing[name], thing[name])


def _style(font: Mapping[str, Any]) -> str | None:
    """The style of text in this font; none for text on a fill."""
    colour = font.get("color", TEXT)
    if not isinstance(colour, str) or colour not in TEXT_VARIABLES:
        return None
    halo = f";paint-order:stroke;stroke:{BACKGROUND_VARIABLE};stroke-width:3px" if "shadow" in font else ""
    return f"fill:{TEXT_VARIABLES[colour]}{halo}"


def _styled(words: Any, style: str | None) -> Any:
    return f'<span style="{style}">{words}</span>' if words and style else words


def _speak(thing: Json) -> None:
    """Let the text of a title or a note follow the page."""
    font = thing.get("font", {})
    thing["text"] = _styled(thing.get("text"), _style(font))
    font.pop("shadow", None)


def _draw_axis(axis: Json) -> None:
    """Draw an axis: its name, its numbers and its lines."""
    axis.update(gridcolor=axis.get("gridcolor", HAIRLINE), zerolinecolor=axis.get("zerolinecolor", HAIRLINE))
    _grey(axis, "gridcolor", "zerolinecolor", "tickcolor", "linecolor")
    style = _style({})
    if "title" in axis:
        _speak(axis["title"])
    if "tickvals" in axis:
        named = axis["ticktext"] if "ticktext" in axis else axis["tickvals"]
        axis["ticktext"] = [_styled(words, style) for words in named]
    else:
        axis.update(tickprefix=f'<span style="{style}">', ticksuffix="</span>")


def _draw_trace(trace: Json) -> None:
    """Draw one trace: its marks, its text and its name in the legend."""
    _grey(trace.get("marker", {}), "color")
    font = trace.get("textfont", {})
    style = _style(font)
    if trace["type"] == "scatter" and "text" in trace and style:
        trace["text"] = [_styled(words, style) for words in trace["text"]]
        font.pop("shadow", None)
    if "colorbar" in trace:
        _draw_axis(trace["colorbar"])
    trace["name"] = _styled(trace.get("name"), _style({}))
