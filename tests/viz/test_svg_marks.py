"""Still pictures: the same marks as the moving ones, without a browser."""

import re

import pytest

from pyraft_lab.viz.drawing import Drawing


def test_bars_stand_or_lie_in_a_still_picture() -> None:
    drawn = {}
    for orientation, ends in (("v", {"x": ["a", "b"], "y": [2, 4]}), ("h", {"y": ["a", "b"], "x": [2, 4]})):
        chart = Drawing()
        chart.add_bar(orientation=orientation, marker={"color": "#123456"}, **ends)
        found = re.findall(r'width="([\d.]+)" height="([\d.]+)" fill="#123456"', chart.to_svg())
        drawn[orientation] = [(float(width), float(height)) for width, height in found]
    (wide, low), (as_wide, high) = drawn["v"]
    assert wide == as_wide
    assert high == pytest.approx(2 * low, abs=0.2)
    (short, tall), (long, as_tall) = drawn["h"]
    assert tall == as_tall
    assert long == pytest.approx(2 * short, abs=0.2)


def test_marks_without_a_look_of_their_own_are_drawn_as_their_line() -> None:
    chart = Drawing()
    chart.add_scatter(x=[0, 1, 2], y=[0, 1, 0], mode="lines+markers", line={"color": "#123456"})
    assert chart.to_svg().count("#123456") == 2
