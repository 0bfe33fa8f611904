from collections.abc import Iterator

import pytest

from pyraft_lab.network import broker

BROKERS = ("mosquitto", "embedded")


@pytest.fixture
def mosquitto() -> Iterator[broker.Broker]:
    """A broker for one test; without mosquitto the test is skipped, visibly."""
    if broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind="mosquitto") as running:
        yield running


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest) -> Iterator[broker.Broker]:
    """Each kind of broker in turn: what is promised over one holds over the other."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind=request.param) as running:
        yield running
