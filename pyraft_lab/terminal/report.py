"""The verdict of a campaign as one page that works offline: what was tried, reached and violated, and the story."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from pyraft_lab.check.campaign import Campaign, Row
from pyraft_lab.check.failure import failure
from pyraft_lab.check.situations import SITUATIONS
from pyraft_lab.check.swarm import CHAPTERS
from pyraft_lab.sim.simulation import Simulation

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>pyraft-lab check: {title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #1b1f24;
        background: #fff }}
h2 {{ margin-top: 2.5rem }} table {{ border-collapse: collapse }} td.number {{ text-align: right }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #d8dee4; vertical-align: top }}
pre {{ white-space: pre-wrap; background: #f6f8fa; padding: 1rem; overflow-wrap: anywhere }}
.bad {{ color: #b00020; font-weight: 600 }} .good {{ color: #116329; font-weight: 600 }} small {{ color: #59636e }}
</style></head><body>
<h1>{title}</h1>
{parts}
</body></html>
"""
SHOWN = 20
"""The most failures that have a row of their own."""


def write_report(
    campaign: Campaign, path: Path, *, searches: Sequence[str] = (), story: Simulation | None = None
) -> None:
    """Write the page to ``path``; ``story`` is the shrunk run of the first failure, ``searches`` a line each."""
    title = f"{len(campaign.rows):,} seeds: " + ("nothing is violated" if campaign.ok else _fallen(campaign))
    parts = "\n".join((*_verdict(campaign, searches), *_failures(campaign), *_story(story), *_tried(campaign),
                       *_reached(campaign)))  # fmt: skip
    path.write_text(PAGE.format(title=escape(title), parts=parts), encoding="utf-8")


def _fallen(campaign: Campaign) -> str:
    return f"{len(campaign.failures):,} violate {', '.join(sorted({row.failed for row in campaign.failures}))}"


def _verdict(campaign: Campaign, searches: Sequence[str]) -> Iterator[str]:
    mark = '<p class="good">Nothing is violated.</p>' if campaign.ok else '<p class="bad">Violated.</p>'
    yield mark
    yield f"<p>{campaign.events:,} events of simulated clusters, live nodes and storages besides.</p>"
    lines = [
        *searches,
        *(f"not judged in {seeds} seeds: {what}" for what, seeds in campaign.not_judged.items()),
        *(f"left out: {name}, since it presupposes {', '.join(rules)}" for name, rules in campaign.left_out.items()),
        f"never reached, so nothing is said of it: {', '.join(campaign.missed) or 'nothing'}",
    ]
    yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _failures(campaign: Campaign) -> Iterator[str]:
    if campaign.ok:
        return
    yield "<h2>What is violated</h2>"
    yield _table(("seed", "by", "property", "how"), (_failure(row) for row in campaign.failures[:SHOWN]))
    if len(campaign.failures) > SHOWN:
        yield f"<p>… and {len(campaign.failures) - SHOWN:,} more.</p>"


def _failure(row: Row) -> tuple[object, ...]:
    return row.seed, row.method, row.failed, row.what


def _story(sim: Simulation | None) -> Iterator[str]:
    if sim is None:
        return
    from pyraft_lab.viz import counterexample
    from pyraft_lab.viz.sketch import twin

    found = failure(sim)
    at = {} if sim.violations else {"at": sim.now, "what": found.name if found else "the end"}
    yield f"<h2>The shortest story: {len(sim.trace)} events, {len(sim.nodes)} servers</h2>"
    yield twin(counterexample.sketch(sim, before=max(0.1, sim.now), **at))  # type: ignore[arg-type]
    yield f"<pre>{escape(sim.trace.story())}</pre>"
    yield f"<p>Its capsule, for <code>pyraft-lab simulate --story --capsule TEXT</code>:</p><pre>{sim.capsule()}</pre>"


def _tried(campaign: Campaign) -> Iterator[str]:
    methods = Counter(row.method for row in campaign.rows)
    chapters = Counter(chapter for row in campaign.rows for chapter in row.chapters)
    failed = Counter(row.method for row in campaign.failures)
    yield "<h2>What was tried</h2>"
    yield _table(("method", "seeds", "violated"), ((name, count, failed[name]) for name, count in methods.items()))
    yield "<p></p>"
    yield _table(("chapter", "seeds"), ((name, chapters[name]) for name in CHAPTERS))


def _reached(campaign: Campaign) -> Iterator[str]:
    counts = Counter(name for row in campaign.rows for name in row.situations)
    yield "<h2>Situations reached</h2><p>A situation that no seed has reached is not tested.</p>"
    rows = ((one.name, one.section, one.chapter, counts[one.name] or "never") for one in SITUATIONS.values())
    yield _table(
        ("situation", "section", "chapter", "seeds"), sorted(rows, key=lambda row: (row[3] != "never", row[0]))
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    number = ' class="number"' if isinstance(value, int) else ""
    return f"<td{number}>{escape(str(value))}</td>"
