import pytest

from pyraft_lab.network import broker

LONG = ("tests/test_matrix.py", "tests/lite/", "tests/test_docs.py", "tests/lab/", "notebooks/", "tests/terminal/", "tests/runtime/")
"""Where the longest files are. They are begun first, so that no worker is left with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only whole files change places."""
    items.sort(key=lambda item: next((rank for rank, place in enumerate(LONG) if item.nodeid.startswith(place)), len(LONG)))


@pytest.fixture(params=["mosquitto", "embedded"])
def each_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a broker of its own gets each kind in turn; without mosquitto that turn is skipped, visibly."""
    if request.param == "embedded":
        monkeypatch.setattr(broker, "PATHS", "")  # as if mosquitto were not installed
    elif broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
