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
from collections.abc import Sequence

from pyraft_lab import conformance
from pyraft_lab.conformance import Report, name_of, result_of
from pyraft_lab.storage.cut_cases import CUT_CASES
from pyraft_lab.storage.log_cases import LOG_CASES
from pyraft_lab.storage.snapshot_cases import SNAPSHOT_CASES
from pyraft_lab.storage.start_cases import START_CASES
from pyraft_lab.storage.trial import Fresh, StorageTrial

__all__ = ["CASES", "Case", "Report", "check", "name_of", "run"]
Case = conformance.Case[StorageTrial]
"""A promise of a storage, as a coroutine function."""
CASES: tuple[Case, ...] = (*LOG_CASES, *CUT_CASES, *SNAPSHOT_CASES, *START_CASES)
"""Every promise there is."""
LIMIT = 60.0
"""Seconds after which a case that does not end has failed."""


async def run(fresh: Fresh, cases: Sequence[Case] = CASES) -> Report:
    """Run the cases one after the other, each in an empty place of its own.

    >>> from pyraft_lab.storage.memory import MemoryStorage
    >>> def fresh():
    ...     disk = MemoryStorage()
    ...     return lambda: disk
    >>> asyncio.run(run(fresh)).ok
    True
    """
    return Report(tuple([await result_of(case, check(case, fresh)) for case in cases]))


async def check(case: Case, fresh: Fresh) -> None:
    """Run one case; raises what it raises, ``AssertionError`` where a promise is broken."""
    async with asyncio.timeout(LIMIT), StorageTrial(fresh) as trial:
        await case(trial)
