"""``pyraft-lab watch``: a dashboard of a running cluster in the terminal."""

import argparse
import asyncio
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pyraft_lab.engine.types import NodeId
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.remote import Remote, leader_of
from pyraft_lab.terminal import words
from pyraft_lab.terminal.client import FIRST_NEWS

EXAMPLES = """pyraft-lab watch --broker mqtt://localhost
pyraft-lab watch --broker mqtt://localhost --once"""
TERM_COLOURS = ("#56B4E9", "#F0E442", "#009E73", "#E69F00", "#0072B2", "#D55E00")
PAUSE = 0.1
"""Seconds between two pictures."""


def main(arguments: Sequence[str]) -> int:
    """Show until interrupted; ``--once`` shows one picture and ends, with 1 if nobody leads."""
    chosen = _face().parse_args(arguments)
    return words.run(_watch(chosen, Console()))


async def _watch(chosen: argparse.Namespace, console: Console) -> int:
    certificates = words.certificates(chosen)
    async with Remote.connect(chosen.broker, cluster=chosen.cluster, certificates=certificates) as remote:
        if chosen.once:
            await asyncio.sleep(FIRST_NEWS)
            console.print(picture(chosen.cluster, remote.metrics))
            return words.OVER if leader_of(remote.metrics) else words.FAILED
        stop = words.stop_on_signals()
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while not stop.is_set():
                live.update(picture(chosen.cluster, remote.metrics), refresh=True)
                await asyncio.sleep(PAUSE)
    return words.OVER


def picture(cluster: str, metrics: Mapping[NodeId, Metrics]) -> Group:
    """One moment: a row for each node that is up or should be."""
    leader = leader_of(metrics)
    table = Table(title=f"cluster {cluster}", title_justify="left", box=SIMPLE_HEAD)
    for column in ("node", "role", "term", "voted", "log", "commit", "applied", "snapshot", "behind"):
        table.add_column(column, justify="left" if column in {"role", "node"} else "right")
    behind = _behind(metrics[leader]) if leader else {}
    for node in everybody(metrics):
        if node in metrics:
            table.add_row(*_row(metrics[node], behind.get(node)))
        else:
            table.add_row(str(node), Text("not there", style="dim"), style="dim")
    return Group(table, Text(f"members {metrics[leader].membership}" if leader else "nobody leads", style="dim"))


def everybody(metrics: Mapping[NodeId, Metrics]) -> list[NodeId]:
    """The nodes that are up, and those that are members."""
    members = (node for now in metrics.values() for node in now.membership.nodes)
    return sorted({*metrics, *members})


def _behind(leader: Metrics) -> Mapping[NodeId, int]:
    """How many entries each follower lacks."""
    return {node: leader.last_log.index - matched for node, matched in leader.replication.items()}


def _row(now: Metrics, behind: int | None) -> Sequence[str | Text]:
    leads = now.role == "Leader"
    return (
        str(now.id),
        Text(now.role, style="bold" if leads else ""),
        Text(f" {now.term} ", style=f"black on {TERM_COLOURS[(now.term - 1) % len(TERM_COLOURS)]}"),
        str(now.vote.node or ""),
        str(now.last_log.index),
        str(now.committed),
        str(now.applied.index),
        str(now.snapshot.index or ""),
        "" if behind is None else str(behind),
    )


def _face() -> argparse.ArgumentParser:
    face = words.parser("watch", "A live dashboard of any running cluster; Ctrl-C ends it.", EXAMPLES)
    words.add_cluster(face)
    face.add_argument("--once", action="store_true", help="show one picture and end; 1 if nobody leads")
    return face
