"""A notebook without pandas: which cells are left out, which run, and which still end with an error."""

import asyncio
import io
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from pyraft_lab.lab.missing import fetch, go_on

FRAME = "from pyraft_lab.extras import needed\nwith needed('pandas'):\n    import pandas\nframe = pandas.DataFrame()"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setitem(sys.modules, "pandas", None)
    before = sys.displayhook, sys.excepthook
    InteractiveShell.clear_instance()
    made: Any = InteractiveShell.instance(colors="nocolor")
    made.history_manager.enabled = False
    asyncio.run(fetch("json", "pandas"))
    yield made
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = before


def said(shell: Any, cell: str) -> str:
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        shell.run_cell(cell, store_history=True)
    return told.getvalue()


@pytest.mark.parametrize(("cell", "name"), [(FRAME, "pandas"), ("import pandas as pd\nframe = pd.DataFrame()", "pd")])
def test_a_cell_that_needs_the_package_and_those_after_it_say_so(shell: Any, cell: str, name: str) -> None:
    assert said(shell, cell) == "Left out: this cell needs pandas. The cells after it still run.\n"
    assert "needs frame, which is made with pandas" in said(shell, "rows = len(frame)")
    assert "needs rows, which is made with pandas" in said(shell, "rows + 1")
    assert f"needs {name}, which is made with pandas" in said(shell, f"print({name}.NA)")
    assert said(shell, "print(2)") == "2\n"


STARTS = "from pyraft_lab.errors import NoProcesses\nplace = 'here'\ncluster = 0\nraise NoProcesses('use a thread')"
OPENS = "raise NotImplementedError('create_datagram_endpoint() is not available here: no raw socket access')"


def test_a_cell_that_needs_processes_and_those_that_use_what_it_made_say_so(shell: Any) -> None:
    assert "NoProcesses" in said(shell, STARTS)
    go_on("processes", "sockets")
    assert said(shell, STARTS) == "Left out: this cell needs processes. The cells after it still run.\n"
    assert "needs place, which is made with processes" in said(shell, "raise OSError(place, 'holds no data')")
    assert "needs cluster, which is made with processes" in said(shell, "leader = cluster.leader")
    assert "needs leader, which is made with processes" in said(shell, "print(leader)")
    assert "needs sockets" in said(shell, OPENS)
    assert "needs pandas" in said(shell, "import pandas"), "what is lacking adds up"
    said(shell, "place = 'there'")
    assert "OSError" in said(shell, "raise OSError(place, 'holds no data')"), "it was made meanwhile"


ERRORS = {"nothing": "NameError", "import nothing": "ModuleNotFoundError", "1 / 0": "ZeroDivisionError"}


@pytest.mark.parametrize(("cell", "error"), ERRORS.items())
def test_every_other_error_is_shown(shell: Any, cell: str, error: str) -> None:
    assert error in said(shell, cell)
