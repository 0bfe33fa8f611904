"""The commands of the live shell: what ``pyraft-lab demo`` and its kin do with their words."""

import argparse
import asyncio
from collections.abc import Sequence

from rich.console import Console

from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.demo import Act, demonstrate

OVER, FAILED, MISUSED = 0, 1, 2
"""Exit codes: all went well, something did not, the words made no sense."""


def demo(arguments: Sequence[str]) -> int:
    """``pyraft-lab demo``: exits 0 when every act happened."""
    chosen = _demo_words().parse_args(arguments)
    console = Console(highlight=False)
    network = chosen.broker or chosen.network
    console.print(f"[bold]Raft live[/]: {chosen.nodes} nodes over {_in_words(network)}\n")
    try:
        report = asyncio.run(
            demonstrate(
                network=network, nodes=chosen.nodes, seconds=chosen.seconds, say=lambda act: console.print(_line(act))
            )
        )
    except PyraftError as failed:
        console.print(f"[bold red]✗[/] {failed}")
        return FAILED
    console.print("\n[bold green]All of it happened.[/]" if report.ok else "\n[bold red]It did not all happen.[/]")
    return OVER if report.ok else FAILED


def _demo_words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog="pyraft-lab demo",
        description="Live nodes elect, write, change membership, snapshot, lose their leader and recover.",
        epilog="examples:\n  pyraft-lab demo\n  pyraft-lab demo --network memory --seconds 1\n"
        "  pyraft-lab demo --broker mqtt://localhost:1883",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument("--network", choices=("memory", "mqtt"), default="mqtt", help="mqtt starts a broker (default)")
    words.add_argument("--broker", metavar="URL", help="use this broker: mqtt://host:1883")
    words.add_argument("--nodes", type=_at_least(3), default=5, metavar="N", help="voters at the start (default 5)")
    words.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long clients write (default 2)")
    return words


def _at_least(least: int) -> type[int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return int(text)

    return number  # type: ignore[return-value]


def _in_words(network: str) -> str:
    return {"memory": "memory", "mqtt": "an MQTT broker of their own"}.get(network, f"the MQTT broker at {network}")


def _line(act: Act) -> str:
    mark = "[bold green]✓[/]" if act.ok else "[bold red]✗[/]"
    return f"{mark} [bold]{act.title}[/] [dim]{act.seconds:.2f} s[/]\n  {act.told}"
