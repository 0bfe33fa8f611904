"""The test anyone runs on a storage of their own: every promise Raft relies on, one case a sentence.

In a script or a notebook::

    report = await run(lambda: partial(MyStorage, new_directory()))
    print(report)

In pytest, one test a case::

    @pytest.mark.parametrize("case", CASES, ids=name_of)
    async def test_my_storage(case: Case, tmp_path: Path) -> None:
        await check(case, lambda: partial(MyStorage, Path(mkdtemp(dir=tmp_path))))

The argument makes an empty place and returns what opens it, again and again: that is how a node restarts. What no case
can see from here is whether a disk keeps its word when the process dies: kill yours, too.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from msgspec import Struct

from pyraft_lab.storage.cut_cases import CUT_CASES
from pyraft_lab.storage.log_cases import LOG_CASES
from pyraft_lab.storage.snapshot_cases import SNAPSHOT_CASES
from pyraft_lab.storage.trial import Fresh, Trial


class Case(Protocol):
    """A promise as a coroutine function: its name says what holds, its docstring why."""

    __name__: str

    def __call__(self, trial: Trial, /) -> Awaitable[None]:
        """Raises ``AssertionError`` where the promise is broken."""
        ...


CASES: tuple[Case, ...] = (*LOG_CASES, *CUT_CASES, *SNAPSHOT_CASES)
"""Every promise there is."""
LIMIT = 60.0
"""Seconds after which a case that does not end has failed."""


class Result(Struct, frozen=True):
    """How one case went; ``failure`` is ``None`` where the promise is kept."""

    name: str
    why: str
    failure: str | None = None

    def __str__(self) -> str:
        return (
            f"kept    {self.name}"
            if self.failure is None
            else f"BROKEN  {self.name}: {self.failure}\n        {self.why}"
        )


class Report(Struct, frozen=True):
    """How all cases went; prints as a table."""

    results: tuple[Result, ...]

    @property
    def broken(self) -> tuple[Result, ...]:
        """The promises that are not kept."""
        return tuple(result for result in self.results if result.failure is not None)

    @property
    def ok(self) -> bool:
        """Whether Raft can rely on this storage."""
        return not self.broken

    def __str__(self) -> str:
        verdict = f"{len(self.results) - len(self.broken)} of {len(self.results)} promises kept"
        return "\n".join([*map(str, self.results), verdict])


async def run(fresh: Fresh, cases: Sequence[Case] = CASES) -> Report:
    """Run the cases one after the other, each in an empty place of its own.

    >>> from pyraft_lab.storage.memory import MemoryStorage
    >>> def fresh():
    ...     disk = MemoryStorage()
    ...     return lambda: disk
    >>> asyncio.run(run(fresh)).ok
    True
    """
    return Report(tuple([await _result(case, fresh) for case in cases]))


async def check(case: Case, fresh: Fresh) -> None:
    """Run one case; raises what it raises, ``AssertionError`` where a promise is broken."""
    async with asyncio.timeout(LIMIT), Trial(fresh) as trial:
        await case(trial)


def name_of(case: Case) -> str:
    """A case's name, as an id for pytest."""
    return case.__name__


async def _result(case: Case, fresh: Fresh) -> Result:
    result = Result(name_of(case).replace("_", " "), (case.__doc__ or "").strip())
    try:
        await check(case, fresh)
    except Exception as error:  # noqa: BLE001 - a stranger's storage may raise anything, and that is the finding
        return Result(result.name, result.why, f"{type(error).__name__}: {error}")
    return result
