"""Pictures of answers: how often each choice happened, beside the one that was guessed."""

from collections.abc import Mapping

from pyraft_lab.trace import given
from pyraft_lab.viz import palette, theme
from pyraft_lab.viz.figure import draws
from pyraft_lab.viz.sketch import Sketch


@draws
def shares(counts: Mapping[str, int], *, guess: str = "", title: str | None = None, finding: str = "") -> Sketch:
    """Bars of counts, one for each choice, in the given order; the ``guess`` has a heavy frame and a word.

    ``finding`` is the sentence below the title; without it, the figure names the most frequent choice.
    """
    for name, value in (("title", title), ("guess", guess), ("finding", finding)):
        given.text(name, value)
    given.counts("counts", counts)
    names, total = list(counts), sum(counts.values())
    if not names:
        return theme.empty_figure(title or "Answers", "nothing was counted")
    most = max(names, key=lambda name: counts[name])
    said = [f"{counts[name]} of {total}" + (", your answer" if name == guess else "") for name in names]
    fig = theme.figure(
        title or "What happened",
        finding or f"{most}: {counts[most]} of {total}",
        height=34 * len(names),
        key="heavy frame: your answer" if guess in counts else "",
        words="; ".join(f"{name}: {word}" for name, word in zip(names, said, strict=True)),
    )
    fig.add_bar(
        orientation="h",
        base=[0] * len(names),
        x=[counts[name] for name in names],
        y=list(range(len(names))),
        width=0.7,
        marker={
            "color": palette.SHALLOW,
            "line": {"color": palette.TEXT, "width": [4 if name == guess else 1 for name in names]},
        },
        hovertext=said,
        hovertemplate="%{hovertext}<extra></extra>",
    )
    for row, (name, word) in enumerate(zip(names, said, strict=True)):
        fig.add_annotation(theme.note(counts[name], row, word, xshift=6))
    fig.update_y_axis(
        tickvals=list(range(len(names))),
        ticktext=[_short(name) for name in names],
        range=[len(names) - 0.45, -0.55],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    fig.update_x_axis(range=[0, max(total, 1) * 1.35], gridcolor=palette.HAIRLINE, zeroline=False)
    fig.update_layout(margin={"l": 12 + 7 * max(len(_short(name)) for name in names)})
    return fig


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
