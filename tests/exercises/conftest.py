"""What the tests of exercises share."""

from collections.abc import Iterator

import pytest

from pyraft_lab.exercises import apart, own_rules


@pytest.fixture
def judged_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Judge in this process, since starting others would take most of the time; no rule of a learner stays behind."""
    monkeypatch.setattr(apart, "has_processes", lambda: False)
    own_rules.forget()
    yield
    own_rules.forget()
