"""The dress of figures: on a light page and on a dark one, under long titles."""

import json
import re

import pytest

from pyraft_lab import Simulation, viz
from pyraft_lab.term_colours import NO_TERM, PALETTE, term_colour
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.drawing import Drawing, on_page
from pyraft_lab.viz.sketch import twin

PAGES = {"white": "#FFFFFF", "JupyterLab's dark": "#111111", "the site's dark": "#1E2129"}
DARK = "#16191D"


def light(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def run() -> Simulation:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader, timeout=5)
    sim.write({"op": "put", "key": "x", "value": 1})
    sim.run(0.2)
    return sim


def test_lines_are_seen_on_every_page_and_words_on_every_fill() -> None:
    assert min(contrast(palette.GREY, page) for page in PAGES.values()) >= 3
    fills = [term_colour(term) for term in range(7)]
    assert min(contrast(theme.numeral_colour(term), fill) for term, fill in enumerate(fills)) >= 4.5
    assert min(contrast(palette.NUMERAL, fill) for fill in (palette.PAPER, palette.DEEP, NO_TERM)) >= 4.5


def test_a_still_picture_is_readable_by_day_and_by_night() -> None:
    rules = dict(re.findall(r'\[fill="(#\w+)"]\{fill:(#\w+)}', palette.STATIC_STYLE))
    assert min(contrast(words, palette.PAPER) for words in (palette.TEXT, palette.MUTED)) >= 4.5
    assert min(contrast(rules[words], DARK) for words in (palette.TEXT, palette.MUTED)) >= 4.5
    assert f".paper{{fill:{DARK}}}" in palette.STATIC_STYLE


@pytest.mark.parametrize("draw", [viz.roles, viz.space_time, viz.logs, viz.progress, viz.commit_latency, viz.quorums])
def test_words_take_the_colour_of_the_page_and_terms_keep_theirs(draw: object) -> None:
    assert callable(draw)
    plain = draw(run())
    shown = json.dumps(on_page(plain).to_plotly_json(), default=list)
    assert '"paper_bgcolor": "rgba(0,0,0,0)"' in shown
    assert f'"text": "<span style=\\"fill:{palette.TEXT_VARIABLES[palette.TEXT]}\\">{plain.layout.title.text}' in shown
    before, after = (
        {colour: text.count(f'"{colour}"') for colour in (*PALETTE, NO_TERM)}
        for text in (json.dumps(plain.to_plotly_json(), default=list), shown)
    )
    assert before == after
    assert plain.layout.paper_bgcolor == palette.PAPER, "the figure itself stays as it was drawn"


def test_what_was_not_drawn_here_keeps_its_colours() -> None:
    import plotly.graph_objects as go

    own = go.Figure(layout={"paper_bgcolor": "#123456"})
    assert on_page(own) is own


def test_a_figure_without_a_title_or_axes_is_fit_for_any_page_too() -> None:
    bare = Drawing()
    bare.add_bar(x=["a", "b"], y=[3, -1])
    assert on_page(bare).layout.xaxis.gridcolor == palette.VEIL
    assert twin(bare)


def test_a_long_title_takes_as_many_lines_as_it_needs() -> None:
    sim = run()
    short, long = (viz.logs(sim, title=title) for title in ("Logs", "What all the logs hold " * 7))
    lines = long.layout.title.text.split("<br>")
    assert len(lines) == 3
    assert long.layout.margin.t > short.layout.margin.t
    assert long.story.startswith("What all the logs hold What")


def test_who_led_before_the_window_does_not_begin_to_lead_in_it() -> None:
    sim = run()
    diamonds = [
        [mark for mark in viz.space_time(sim, start=start).data if mark.name == "becomes leader"]
        for start in (0.0, sim.now - 0.1)
    ]
    assert [len(found) for found in diamonds] == [1, 0]
