"""Passwords outside of URLs: in a file that only its owner can read, or in the environment.

``pyraft-lab broker`` keeps the passwords of its accounts there, so that they are the same when it starts again; clients
look there when their URL names a user without a password. One account a line; a line that begins with ``#`` is a
comment::

    ann   G3xQ…
    bob   pVw1…
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyraft_lab.errors import ConfigError

PASSWORD = "PYRAFT_PASSWORD"  # noqa: S105 (its name, not a password)
"""Names the environment variable with a client's password."""
PASSWORDS = "PYRAFT_PASSWORDS"
"""Names the environment variable with the path of the file."""
HELP = f"a URL's user without a password has it in {PASSWORD}, or in the file that {PASSWORDS} names"
"""For the help of every command that takes a broker's URL."""


def password_file(cluster: str) -> Path:
    """The file for a cluster: what ``PYRAFT_PASSWORDS`` names, else one in the user's configuration directory."""
    named = os.environ.get(PASSWORDS)
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "pyraft-lab" / f"{cluster}.passwords"


def find(user: str, cluster: str) -> str | None:
    """The password of ``user``, if the environment or the file has it; ``ConfigError`` for a file that is no good."""
    given = os.environ.get(PASSWORD)
    return given or read(password_file(cluster)).get(user)


def read(path: Path) -> Mapping[str, str]:
    """The passwords in a file, none where there is no file; ``ConfigError`` names the line that is no good."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError("passwords", str(path), f"cannot be read: {wrong}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError("passwords", str(path), "can be read by others; first: chmod 600 " + str(path))
    return _parsed(path, lines)


def get_or_create(path: Path, names: Iterable[str]) -> Mapping[str, str]:
    """The passwords of ``names`` from the file; who has none there gets one, and the file is written."""
    known = dict(read(path))
    new = [name for name in names if name not in known]
    if new:
        known |= {name: secrets.token_urlsafe(12) for name in new}
        _write(path, known)
    return known


def _parsed(path: Path, lines: list[str]) -> Mapping[str, str]:
    known: dict[str, str] = {}
    for number, session in enumerate(lines, 1):
        match session.split():
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case [name, password] if name not in known:
                known[name] = password
            case [name, _]:
                raise ConfigError("passwords", str(path), f"line {number}: {name} is named twice")
            case _:
                raise ConfigError("passwords", str(path), f"line {number} must be a name and a password")
    return known


def _write(path: Path, known: Mapping[str, str]) -> None:
    """All at once, and never readable by others."""
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text("".join(f"{name}  {password}\n" for name, password in known.items()), encoding="utf-8")
        fresh.replace(path)
    except OSError as wrong:
        raise ConfigError("passwords", str(path), f"cannot be written: {wrong}") from None
