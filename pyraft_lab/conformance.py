"""What a conformance suite finds out: which promises are kept, which are broken, and why they matter.

The suites are :mod:`pyraft_lab.storage.conformance` and :mod:`pyraft_lab.network.conformance`; this is what they share.
"""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from msgspec import Struct

Trial_contra = TypeVar("Trial_contra", contravariant=True)


class Case(Protocol[Trial_contra]):
    """A promise as a coroutine function: its name says what holds, its docstring why."""

    __name__: str

    def __call__(self, trial: Trial_contra, /) -> Awaitable[None]:
        """Raises ``AssertionError`` where the promise is broken."""
        ...


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
        """Whether Raft can rely on it."""
        return not self.broken

    def __str__(self) -> str:
        verdict = f"{len(self.results) - len(self.broken)} of {len(self.results)} promises kept"
        return "\n".join([*map(str, self.results), verdict])


def name_of(case: Case[Trial_contra]) -> str:
    """A case's name, as an id for pytest."""
    return case.__name__


async def result_of(case: Case[Trial_contra], attempt: Awaitable[None]) -> Result:
    """How an attempt at ``case`` goes."""
    result = Result(name_of(case).replace("_", " "), (case.__doc__ or "").strip())
    try:
        await attempt
    except Exception as error:  # noqa: BLE001 - what a stranger wrote may raise anything, and that is the finding
        return Result(result.name, result.why, f"{type(error).__name__}: {error}")
    return result
