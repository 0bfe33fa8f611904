import os
import signal
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from pyraft_lab.network import broker

settings.register_profile("beside busy processes", deadline=None)
settings.load_profile("beside busy processes")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background; commands on trial would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

if find_spec("nbval") and os.name != "nt":
    import nbval.kernel

    # kernels of notebooks talk over files: free ports, chosen before they start, are taken by others on a busy machine
    place = f"{tempfile.gettempdir()}/kernel-{os.getpid()}"
    nbval.kernel.KernelManager = partial(nbval.kernel.KernelManager, transport="ipc", ip=place)

LONG = ("test_matrix.py", "lite/", "test_docs.py", "lab/", "../notebooks/", "terminal/", "runtime/")
"""Where the longest files are. They are begun first, so that no worker is left with one of them at the end."""
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only whole files change places."""
    places = [str((HERE / place).resolve()) for place in LONG]
    items.sort(
        key=lambda item: next((i for i, place in enumerate(places) if str(item.path).startswith(place)), len(places))
    )


@pytest.fixture(params=["mosquitto", "embedded"])
def each_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a broker of its own gets each kind in turn; without mosquitto that turn is skipped, visibly."""
    if request.param == "embedded":
        monkeypatch.setattr(broker, "PATHS", "")  # as if mosquitto were not installed
    elif broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
