"""``pyraft-lab demo``: the demonstration in the terminal, its exit code, and a page of figures."""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.cluster import LocalCluster
from pyraft_lab.terminal import options
from pyraft_lab.terminal.play import DemoReport, DemoStep, demonstrate

MAX_NODES = 15
"""The most nodes that one process can run without delays."""
OVER, FAILED = 0, 1
"""Exit codes: everything succeeded, or not."""


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; 0 if every step succeeded and the clients' calls were linearizable."""
    parser = build_parser()
    chosen = parser.parse_args(arguments)
    if chosen.broker and chosen.network == "memory":
        parser.error("--network memory has no broker; leave out --network or --broker")
    console = Console(highlight=False, soft_wrap=True)
    try:
        report = asyncio.run(_play(chosen, console))
        if chosen.report is not None:
            from pyraft_lab.terminal.page import write_page

            write_page(report, chosen.report)
            console.print(f"\nThe figures are in [bold]{escape(str(chosen.report))}[/]")
    except (PyraftError, OSError) as failed:
        if isinstance(failed, BrokenPipeError):
            raise
        console.print(f"[bold red]✗[/] {escape(str(failed))}")
        return FAILED
    console.print("\n[bold green]Every step succeeded.[/]" if report.ok else "\n[bold red]Not every step succeeded.[/]")
    return OVER if report.ok else FAILED


async def _play(chosen: argparse.Namespace, console: Console) -> DemoReport:
    def begin(cluster: LocalCluster) -> None:
        console.print(f"[bold]Raft live[/]: {chosen.nodes} nodes over {in_words(chosen, cluster)}\n")

    return await demonstrate(
        network=chosen.broker or chosen.network,
        nodes=chosen.nodes,
        seconds=chosen.seconds,
        begin=begin,
        say=lambda act: console.print(line(act)),
    )


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = options.OptionParser(
        prog="pyraft-lab demo",
        description="Live nodes elect, write, change membership, snapshot, lose their leader and recover.",
        epilog="examples:\n  pyraft-lab demo\n  pyraft-lab demo --network memory --seconds 1\n"
        "  pyraft-lab demo --broker mqtt://localhost:1883 --report demo.html",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--network", choices=("memory", "mqtt"), default="mqtt", help="mqtt starts a broker (default)")
    parser.add_argument(
        "--broker", type=options.broker, metavar="URL", help="use this broker: mqtt://host:1883 or ws://host:9001/mqtt"
    )
    parser.add_argument(
        "--nodes",
        type=options.count("a cluster that can lose a node", 3, MAX_NODES),
        default=5,
        metavar="N",
        help="voters at the start (default 5)",
    )
    parser.add_argument(
        "--seconds", type=options.seconds, default=2.0, metavar="S", help="how long clients write (default 2)"
    )
    parser.add_argument(
        "--report",
        type=options.new_file(".html", needs=("pandas", "plotly")),
        metavar="FILE",
        help="write a page of figures: out.html",
    )
    return parser


def in_words(chosen: argparse.Namespace, cluster: LocalCluster) -> str:
    """The network in words, with kind and address of a broker that was started."""
    if cluster.broker is not None:
        return f"MQTT, with a broker of their own: {cluster.broker}"
    return "memory" if chosen.network == "memory" and not chosen.broker else f"MQTT, with the broker at {chosen.broker}"


def line(act: DemoStep) -> str:
    """One step of the demonstration in two lines."""
    mark = "[bold green]✓[/]" if act.ok else "[bold red]✗[/]"
    return f"{mark} [bold]{act.title}[/] [dim]{act.seconds:.2f} s[/]\n  {escape(act.text)}"
