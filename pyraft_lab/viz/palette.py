"""Figures on any ground: words take the page's colour, lines hold on white and on dark, terms keep their fills.

No single ink reads well (4.5 : 1) on white and on dark alike, and Plotly takes no colour of the page for a line. Words
may have a style of their own, so they follow the page; a line needs 3 : 1, which one grey has on both. What lies on a
fill stays as it is.
"""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

TEXT = "#1F2933"
"""Lines and words on the ground."""
MUTED = "#52606D"
"""Words that explain."""
FAINT = "#9AA5B1"
"""What stands back: grid lines, what is down."""
HEARTBEAT = "#B8C1CB"
"""Heartbeats."""
HAIRLINE = "#EEF1F4"
"""Grid lines."""
PAPER = "#FFFFFF"
"""The ground, and what is hollow."""
NUMERAL = "#0B0F14"
"""Numbers and words on a fill: nearly black, for contrast on every one of them."""
HELD = "#3E4C59"
"""The fill of who has something or agrees: dark on white, and not lost on a dark page."""
HALO = "0 0 2px white"
"""The shadow of words that may cross a line."""

VEIL = "rgba(114,126,140,0.22)"
"""A stretch of time that is not like the others."""
SHALLOW = "#DCEBF7"
"""The least on a map: a cell all the same."""
DEEP = "#2E93D1"
"""The most on a map: as deep as dark numbers are readable on (5.9 : 1)."""
GREY = "#727E8C"
"""Lines where the ground is not known: 4.1 : 1 on white, 4.6 : 1 on JupyterLab's dark, 3.9 : 1 on the site's."""
LINES = {TEXT: GREY, MUTED: GREY, FAINT: GREY, HEARTBEAT: "rgba(114,126,140,0.6)", HAIRLINE: VEIL}
TEXT_VARIABLES = {
    TEXT: f"var(--md-typeset-color,var(--jp-content-font-color1,var(--vscode-foreground,{GREY})))",
    MUTED: f"var(--md-default-fg-color--light,var(--jp-content-font-color2,var(--vscode-foreground,{GREY})))",
}
"""The colours of the site, of JupyterLab and of VS Code, whichever page it is."""
BACKGROUND_VARIABLE = "var(--md-default-bg-color,var(--jp-layout-color0,var(--vscode-editor-background,transparent)))"
CLEAR = "rgba(0,0,0,0)"

STATIC_STYLE = (
    f".halo{{paint-order:stroke;stroke:{PAPER};stroke-width:3px}}"
    "@media(prefers-color-scheme:dark){"
    ".paper{fill:#16191D}.halo{stroke:#16191D}"
    f'[fill="{TEXT}"]{{fill:#EEF1F4}}[fill="{MUTED}"]{{fill:#A9B4C0}}'
    f'[stroke="{TEXT}"]{{stroke:#C9D0D8}}[stroke="{MUTED}"]{{stroke:#A9B4C0}}'
    f'[stroke="{HEARTBEAT}"]{{stroke:#5B6672}}[fill="{HEARTBEAT}"]{{fill:#5B6672}}[stroke="{HAIRLINE}"]{{stroke:#2B3138}}}}'
)
"""How a still picture looks on a dark page."""
CARD = f'<rect class="paper" width="100%" height="100%" rx="6" fill="{PAPER}"/>'
"""Its ground, which it brings along: not every browser asks the page whether it is dark."""


def on_any_background(figure: Json) -> Json:
    """The plain ``data`` and ``layout`` of a figure, fit for a page of which nobody knows whether it is dark."""
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
    layout.setdefault("font", {})["color"] = GREY  # of whatever has no words of its own
    for line in [*layout.get("shapes", ()), *data, *(trace.get("marker", {}) for trace in data)]:
        _grey(line.get("line", {}), "color")
    for trace in data:
        _draw_trace(trace)
    return figure


def _grey(thing: Json, *names: str) -> None:
    """Give lines the colour that holds everywhere."""
    for name in names:
        if isinstance(thing.get(name), str):
            thing[name] = LINES.get(thing[name], thing[name])


def _style(font: Mapping[str, Any]) -> str | None:
    """The style of words in this font; none for what stands on a fill."""
    colour = font.get("color", TEXT)
    if not isinstance(colour, str) or colour not in TEXT_VARIABLES:
        return None
    halo = f";paint-order:stroke;stroke:{BACKGROUND_VARIABLE};stroke-width:3px" if "shadow" in font else ""
    return f"fill:{TEXT_VARIABLES[colour]}{halo}"


def _styled(words: Any, style: str | None) -> Any:
    return f'<span style="{style}">{words}</span>' if words and style else words


def _speak(thing: Json) -> None:
    """Let the words of a title or a note follow the page."""
    font = thing.get("font", {})
    thing["text"] = _styled(thing.get("text"), _style(font))
    font.pop("shadow", None)


def _draw_axis(axis: Json) -> None:
    """Its name, its numbers and its lines."""
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
    """Its marks, its words and its name in the legend."""
    _grey(trace.get("marker", {}), "color")
    font = trace.get("textfont", {})
    style = _style(font)
    if trace["type"] == "scatter" and "text" in trace and style:
        trace["text"] = [_styled(words, style) for words in trace["text"]]
        font.pop("shadow", None)
    if "colorbar" in trace:
        _draw_axis(trace["colorbar"])
    trace["name"] = _styled(trace.get("name"), _style({}))
