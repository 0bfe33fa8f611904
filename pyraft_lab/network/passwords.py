"""Passwords outside of URLs: in a file that only the user can read, or in the environment.

``pyraft-lab broker`` keeps the passwords of its accounts there, so that they stay the same at its next start; clients
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
"""The environment variable with a client's password."""
PASSWORDS = "PYRAFT_PASSWORDS"
"""The environment variable with the path of the password file."""
HELP = f"a password that the URL lacks comes from {PASSWORD}, or from the file that {PASSWORDS} names"
"""Part of the ``--help`` of every command with a broker's URL."""


def password_file(cluster: str) -> Path:
    """The password file of a cluster: named by ``PYRAFT_PASSWORDS``, else in the user's configuration directory."""
    named = os.environ.get(PASSWORDS)
    if named:
        return Path(named).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "pyraft-lab" / f"{cluster}.passwords"


def find(user: str, cluster: str) -> str | None:
    """The password of ``user`` from the environment or the file, or ``None``; ``ConfigError`` for an invalid file."""
    given = os.environ.get(PASSWORD)
    if given and any("\ud800" <= one <= "\udfff" for one in given):
        raise ConfigError(PASSWORD, "…", "must be text in UTF-8")
    return given or read(password_file(cluster)).get(user)


def read(path: Path) -> Mapping[str, str]:
    """All passwords of a file, none if there is no file; ``ConfigError`` names the invalid line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError("passwords", str(path), f"cannot be read: {wrong}") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError("passwords", str(path), "can be read by others; to fix this: chmod 600 " + str(path))
    return _parsed(path, lines)


def get_or_create(path: Path, names: Iterable[str]) -> Mapping[str, str]:
    """The passwords of ``names`` from the file; for a new name a password is made and saved."""
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
                raise ConfigError("passwords", str(path), f"line {number}: {name} appears twice")
            case _:
                raise ConfigError("passwords", str(path), f"line {number} must have a name and a password")
    return known


def _write(path: Path, known: Mapping[str, str]) -> None:
    """Write the file atomically, never readable by others."""
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text("".join(f"{name}  {password}\n" for name, password in known.items()), encoding="utf-8")
        fresh.replace(path)
    except OSError as wrong:
        raise ConfigError("passwords", str(path), f"cannot be written: {wrong}") from None
