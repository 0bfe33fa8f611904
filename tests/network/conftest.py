from collections.abc import Iterator

import pytest

from pyraft_lab.network import broker


@pytest.fixture
def mosquitto() -> Iterator[broker.Broker]:
    """A broker for one test; without mosquitto the test is skipped, visibly."""
    if broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind="mosquitto") as running:
        yield running
