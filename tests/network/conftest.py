from collections.abc import Iterator

import pytest

from pyraft_lab.network import broker
from pyraft_lab.network.access import Account

BROKERS = ("mosquitto", "embedded")


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest) -> Iterator[broker.Broker]:
    """Each kind of broker in turn: what is promised over one holds over the other."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    with broker.start(kind=request.param) as running:
        yield running


@pytest.fixture(params=BROKERS)
def websocket_broker(request: pytest.FixtureRequest) -> Iterator[broker.Broker]:
    """Each kind of broker with a listener for WebSockets, and accounts on both of its listeners."""
    if request.param == "mosquitto" and broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == "embedded":
        pytest.importorskip("websockets")
    accounts = [Account(name="ann", part="client"), Account(name="eve", part="teacher")]
    control = broker.AccessControl(cluster="demo", accounts=(*accounts, *map(Account.node, (1, 2, 3))))
    with broker.start(kind=request.param, websocket_port=0, access_control=control) as running:
        yield running
