"""The learner's own rules in this session: every ``%%rule`` cell adds one, and Build Raft puts them together."""

from msgspec.structs import replace

from pyraft_lab.engine.rules import Rules
from pyraft_lab.exercises.own_code import rule_from
from pyraft_lab.exercises.skeletons import EMPTY

_SOURCES: dict[str, str] = {}


def keep(name: str, source: str) -> None:
    """Keep the source of a rule; a later one replaces it."""
    _SOURCES[name] = source


def sources() -> dict[str, str]:
    """The kept sources by rule."""
    return dict(_SOURCES)


def forget() -> None:
    """Begin again with an empty table."""
    _SOURCES.clear()


def mine() -> Rules:
    """The empty table with the kept rules in it; raises ``NoRule`` for a source that is no rule."""
    return replace(EMPTY, **{name: rule_from(name, source) for name, source in _SOURCES.items()})
