import pytest
from hypothesis import settings

from pyraft_lab.network import broker

settings.register_profile("beside busy processes", deadline=None)
settings.load_profile("beside busy processes")


@pytest.fixture(params=["mosquitto", "embedded"])
def each_broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a broker of its own gets each kind in turn; without mosquitto that turn is skipped, visibly."""
    if request.param == "embedded":
        monkeypatch.setattr(broker, "PATHS", "")  # as if mosquitto were not installed
    elif broker.mosquitto() is None:
        pytest.skip("mosquitto is not installed")
