"""The conformance suite for your own storage: one case for every promise that Raft relies on.

In a script or a notebook::

    report = await run(lambda: partial(MyStorage, new_directory()))
    print(report)

In pytest, one test a case::

    @pytest.mark.parametrize("case", CASES, ids=name_of)
    async def test_my_storage(case: Case, tmp_path: Path) -> None:
        await check(case, lambda: partial(MyStorage, Path(mkdtemp(dir=tmp_path))))

The argument makes an empty place and returns a function that opens it, again and again, as a restarting node does. No
case can show whether synced data survives when the process is killed: test that separately.
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
"""All cases."""
LIMIT = 60.0
"""Seconds after which an unfinished case has failed."""


async def run(fresh: Fresh, cases: Sequence[Case] = CASES) -> Report:
    """Run the cases one after the other, each in its own empty place, and report their results.

    >>> from pyraft_lab.storage.memory import MemoryStorage
    >>> def fresh():
    ...     disk = MemoryStorage()
    ...     return lambda: disk
    >>> asyncio.run(run(fresh)).ok
    True
    """
    return Report(tuple([await result_of(case, check(case, fresh)) for case in cases]))


async def check(case: Case, fresh: Fresh) -> None:
    """Run one case; raises ``AssertionError`` if a promise is broken, or the case's own exception."""
    async with asyncio.timeout(LIMIT), StorageTrial(fresh) as trial:
        await case(trial)
