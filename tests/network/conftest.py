from collections.abc import Iterator

import pytest

from pyraft_lab.network import broker

BROKERS = ("mosquitto", "embedded")


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest) -> Iterator[broker.Broker]:
    """Each kind of broker in turn: what is promised over one holds over the other."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind=request.param) as running:
        yield running
