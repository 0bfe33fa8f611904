"""``pyraft-lab watch``: a dashboard of a running cluster in the terminal."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyraft_lab.engine.types import NodeId
from pyraft_lab.runtime.metrics import Metrics, alarms, is_member, leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.term_colours import DARK, term_colour
from pyraft_lab.terminal import options
from pyraft_lab.terminal.client import RETAINED_TIMEOUT
from pyraft_lab.terminal.reach import connect_to_cluster

EXAMPLES = """pyraft-lab watch --broker mqtt://localhost
pyraft-lab watch --broker mqtt://localhost --once"""
PAUSE = 0.1
"""Seconds between two updates of the picture."""
COLUMNS = ("node", "role", "term", "voted", "log", "commit", "applied", "snapshot", "behind")
FEWER = ("node", "role", "term", "log", "commit", "behind")
FEWEST = ("node", "role", "term", "commit")
WIDE, NARROW, NOTES = 78, 52, 26
"""Columns needed for all fields, for fewer fields, and for notes beside them."""
LEFT = frozenset({"node", "role"})


def main(arguments: Sequence[str]) -> int:
    """Show the dashboard until interrupted; ``--once`` shows it once and ends, with 1 if no node leads."""
    chosen = _parser().parse_args(arguments)
    return options.run(_watch(chosen, Console()))


async def _watch(chosen: argparse.Namespace, console: Console) -> int:
    async with connect_to_cluster(chosen) as remote:
        if chosen.once:
            await asyncio.sleep(RETAINED_TIMEOUT)
            console.print(picture(chosen.cluster, remote.metrics, width=console.width))
            return options.OVER if leader_of(remote.metrics) else options.FAILED
        stop = options.stop_on_signals()
        view = View(chosen.cluster, remote)
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while not stop.is_set():
                live.update(Group(view.picture(console.width), _hint()), refresh=True)
                await asyncio.sleep(PAUSE)
    return stop.code


class View:
    """A cluster at present, or as last seen before its broker went away."""

    def __init__(self, cluster: str, remote: Remote) -> None:
        self._cluster, self._remote = cluster, remote
        self._seen: Mapping[NodeId, Metrics] = {}

    def picture(self, width: int, notes: Mapping[NodeId, str] | None = None) -> Group:
        """The present picture, with a note beside some nodes."""
        if self._remote.is_connected:
            self._seen = dict(self._remote.metrics)
            return picture(self._cluster, self._seen, width=width, notes=notes)
        away = Text("the broker is away; this is the last known state. The nodes wait for it, too.", style="bold red")
        return Group(picture(self._cluster, self._seen, width=width, notes=notes), away)


def picture(
    cluster: str, metrics: Mapping[NodeId, Metrics], *, width: int = 80, notes: Mapping[NodeId, str] | None = None
) -> Group:
    """The picture: a row for each node that is up or a member."""
    title = Text(f"cluster {cluster}", style="bold")
    if not metrics:
        return Group(title, Text("no node is here yet; start nodes with: pyraft-lab node, or join", style="dim"))
    leader = leader_of(metrics)
    room = width if notes is None else width - NOTES
    columns = COLUMNS if room >= WIDE else FEWER if room >= NARROW else FEWEST
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        justify: JustifyMethod = "left" if column in LEFT else "center" if column == "term" else "right"
        table.add_column(column, justify=justify, no_wrap=True)
    if notes is not None:
        table.add_column("seat", no_wrap=True)
    behind = _behind(metrics[leader]) if leader else {}
    for node in nodes_and_members(metrics):
        cells = _cells(metrics[node], behind.get(node)) if node in metrics else _absent(node)
        if node in metrics and not is_member(node, metrics):
            cells = {**cells, "role": Text("not a member", style="dim")}
        noted = [] if notes is None else [Text(notes.get(node, ""))]
        table.add_row(*(cells.get(column, "") for column in columns), *noted)
    members = f"node {leader} leads; members {metrics[leader].membership}" if leader else "no leader"
    raised = [Text(f"ALARM: {one}", style="bold red") for one in alarms(metrics)]
    return Group(title, table, Text(members, style="dim" if leader else "bold"), *raised)


def nodes_and_members(metrics: Mapping[NodeId, Metrics]) -> list[NodeId]:
    """The live nodes and the members."""
    newest = max(metrics.values(), key=lambda now: now.membership_id, default=None)
    members = newest.membership.nodes if newest is not None else ()
    return sorted({*metrics, *members})


def _behind(leader: Metrics) -> Mapping[NodeId, int]:
    """The number of entries that each follower lacks."""
    return {node: leader.last_log.index - matched for node, matched in leader.replication.items()}


def _absent(node: NodeId) -> Mapping[str, Text]:
    return {"node": Text(str(node), style="dim"), "role": Text("not heard", style="dim")}


def _cells(now: Metrics, behind: int | None) -> Mapping[str, Text]:
    cells = {
        "node": str(now.id),
        "voted": str(now.vote.node or ""),
        "log": str(now.last_log.index),
        "commit": str(now.committed),
        "applied": str(now.applied.index),
        "snapshot": str(now.snapshot.index or ""),
        "behind": "" if behind is None else str(behind),
    }
    return {
        **{column: Text(cell) for column, cell in cells.items()},
        "role": Text(now.role, style="bold" if now.role == "leader" else ""),
        "term": term_mark(now.term),
    }


def term_mark(term: int) -> Text:
    """A term in its colour, as in all figures."""
    colour = term_colour(term)
    return Text.assemble((f" {term} ", f"{'#FFFFFF' if colour in DARK else '#000000'} on {colour}"))


def _hint() -> Text:
    return Text("Ctrl-C quits", style="dim")


def _parser() -> argparse.ArgumentParser:
    parser = options.parser("watch", "A live dashboard of any running cluster; Ctrl-C quits.", EXAMPLES)
    options.add_cluster(parser)
    parser.add_argument("--once", action="store_true", help="show it once and end; exit code 1 if no node leads")
    return parser
