"""A cell that runs again: what its last run left going comes to its end, for its output is gone from the page."""

import sys
from collections.abc import Callable
from typing import Any

_ENDS: dict[str, tuple[str, list[Callable[[], None]]]] = {}
"""By cell: which run of it this is, and how to end what it made."""


def end_with_the_cell(end: Callable[[], None]) -> None:
    """Call ``end`` when the notebook cell that runs now is run again; outside of a notebook never."""
    cell, run = running()
    if not cell:
        return
    last, ends = _ENDS.get(cell, ("", []))
    if last != run:
        for each in ends:
            each()
        ends = []
    _ENDS[cell] = (run, [*ends, end])


def running() -> tuple[str, str]:
    """The cell that runs now, and which run of it; both empty outside of a notebook."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    asked = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return asked.get("metadata", {}).get("cellId", ""), asked.get("header", {}).get("msg_id", "")
