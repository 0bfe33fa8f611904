import stat
from pathlib import Path

import pytest

from pyraft_lab.errors import ConfigError
from pyraft_lab.network import passwords
from pyraft_lab.network.mqtt import MqttNetwork


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where passwords are, in this test."""
    monkeypatch.delenv(passwords.PASSWORD, raising=False)
    monkeypatch.setenv(passwords.PASSWORDS, str(tmp_path / "kept" / "passwords"))
    return tmp_path / "kept" / "passwords"


def test_passwords_are_made_once_and_only_their_owner_can_read_them(file: Path) -> None:
    first = passwords.get_or_create(file, ["ann", "bob"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = passwords.get_or_create(file, ["bob", "eve"])
    assert second == {**first, "eve": second["eve"]}
    assert passwords.read(file) == second


def test_a_url_may_leave_the_password_to_the_file_or_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = passwords.get_or_create(passwords.password_file("demo"), ["ann"])
    assert passwords.password_file("demo") == file
    assert MqttNetwork("mqtt://ann@localhost").address.password == known["ann"]
    assert MqttNetwork("mqtt://bob@localhost").address.password is None
    assert MqttNetwork("mqtt://localhost").address.password is None
    monkeypatch.setenv(passwords.PASSWORD, "from the environment")
    assert MqttNetwork("mqtt://ann@localhost").address.password == "from the environment"
    assert MqttNetwork("mqtt://ann:from+the+url@localhost").address.password == "from+the+url"


def test_an_editor_may_begin_the_file_with_its_mark_and_end_lines_in_its_way(file: Path) -> None:
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_bytes(b"\xef\xbb\xbfann  s#cr\xc3\xa9t:@%\r\nbob  two\r\n")
    assert passwords.read(file) == {"ann": "s#crét:@%", "bob": "two"}


def test_a_password_in_the_environment_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(passwords.PASSWORD, "\udcff")
    with pytest.raises(ConfigError, match=passwords.PASSWORD):
        MqttNetwork("mqtt://ann@localhost")


def test_each_cluster_has_a_file_of_its_own_unless_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(passwords.PASSWORDS, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert passwords.password_file("red") == tmp_path / "pyraft-lab" / "red.passwords"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ann\n", "line 1 must have a name and a password"),
        ("# names\n\nann x\nann y\n", "line 4: ann appears twice"),
        ("ann x y\n", "line 1 must have a name and a password"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_line_that_is_no_good_is_named(file: Path, text: str | bytes, why: str) -> None:
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=why):
        passwords.find("ann", "demo")


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    passwords.get_or_create(file, ["ann"])
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        passwords.find("ann", "demo")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be"):
        passwords.get_or_create(tmp_path / "file" / "passwords", ["ann"])
