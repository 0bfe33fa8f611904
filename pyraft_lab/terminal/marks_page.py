"""The page of one learner's marks: points by form, then every exercise with its feedback; it works offline."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from pyraft_lab.exercises.notebooks import MarkLine

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid; vertical-align: top }}
pre {{ white-space: pre-wrap; font-size: .85rem }}
</style></head><body>
<h1>{title}</h1>
<p>{total}</p>
{problems}
<h2>Points</h2>
<table><tr><th>form</th><th>points</th><th>handed in</th></tr>
{forms}
</table>
<h2>Answers</h2>
<table><tr><th>exercise</th><th>points</th><th>notebook</th><th>feedback</th></tr>
{lines}
</table>
</body></html>
"""


def write_marks_page(learner: str, lines: Sequence[MarkLine], problems: Iterable[str], path: Path) -> None:
    """Write the page of a learner; ``problems`` are notebooks that could not be read."""
    handed = [line for line in lines if line.notebook]
    total = f"{total_of(lines)}; {len(handed)} of {len(lines)} exercises handed in"
    forms = sorted({line.form for line in lines})
    page = PAGE.format(
        title=escape(learner),
        total=escape(total),
        problems="\n".join(f"<p><strong>{escape(one)}</strong></p>" for one in problems),
        forms="\n".join(_form(form, [line for line in lines if line.form == form]) for form in forms),
        lines="\n".join(map(_line, handed)) or "<tr><td colspan=4>nothing was handed in</td></tr>",
    )
    path.write_text(page, encoding="utf-8")


def total_of(lines: Iterable[MarkLine]) -> str:
    """The points of some lines together."""
    kept = list(lines)
    return f"{sum(line.score for line in kept)} of {sum(line.out_of for line in kept)} points"


def _form(form: str, lines: Sequence[MarkLine]) -> str:
    handed = sum(bool(line.notebook) for line in lines)
    return f"<tr><td>{form}</td><td>{total_of(lines)}</td><td>{handed} of {len(lines)}</td></tr>"


def _line(line: MarkLine) -> str:
    points = f"{line.score} of {line.out_of}"
    feedback = f"<details><summary>{escape(line.feedback[:80])}</summary><pre>{escape(line.feedback)}</pre></details>"
    cells = (escape(line.exercise), points, escape(line.notebook), feedback)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
