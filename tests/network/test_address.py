import pytest

from pyraft_lab.errors import ConfigError
from pyraft_lab.network.address import Address, Certificates, topic_word


def test_an_address_is_read_with_its_defaults() -> None:
    assert Address.parse("mqtt://broker") == Address(host="broker", port=1883)
    assert Address.parse("mqtts://u:p%40ss@broker:1") == Address(
        host="broker", port=1, tls=True, username="u", password="p@ss"
    )


def test_a_password_is_never_shown() -> None:
    address = Address.parse("mqtt://ann:secret@broker")
    assert "secret" not in f"{address} {address!r} {[address]}"


@pytest.mark.parametrize(
    "url", ["", "broker", "http://broker", "mqtt://", "mqtt://b:99999", "mqtt://b/path", "mqtt://[b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="broker"):
        Address.parse(url)


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "$SYS", "a b", "x" * 65, "nul\0"])
def test_a_name_that_would_change_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        topic_word("cluster", name)


def test_a_certificate_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="certificates"):
        Certificates(authority="/nowhere/ca.pem").context()
