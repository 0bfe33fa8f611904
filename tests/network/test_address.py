from urllib.parse import quote

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
    "url",
    [
        "",
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://b:99999",
        "mqtt://b:0",
        "mqtt://b/path",
        "mqtt://[b",
        "\ud800",
        5,
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="broker"):
        Address.parse(url)


@pytest.mark.parametrize(
    "login",
    ["ann:1#2", "ann:se?cret", "ann:se/cret", "ann:%ff", "ann:%00", ":secret", f"ann:{'x' * 70_000}", "%00:secret"],
)
def test_a_login_that_cannot_be_meant_or_sent_is_refused_without_showing_it(login: str) -> None:
    with pytest.raises(ConfigError, match="broker") as refused:
        Address.parse(f"mqtt://{login}@broker")
    assert login.split(":")[1] not in str(refused.value).replace("mqtts://user:password", "")


@pytest.mark.parametrize("password", ["p@ss", "p:ss", "p ss", "100%", "%23", "ü€🔑", "#?/"])
def test_a_password_of_odd_characters_arrives_as_it_was(password: str) -> None:
    assert Address.parse(f"mqtts://ann:{quote(password, safe='')}@broker").password == password


def test_a_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(ConfigError, match="key"):
        Certificates(key="key.pem").context()


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "$SYS", "a b", "x" * 65, "nul\0"])
def test_a_name_that_would_change_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cluster"):
        topic_word("cluster", name)


def test_a_certificate_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="certificates"):
        Certificates(authority="/nowhere/ca.pem").context()
