"""Hints in steps: one more for every call, and never the finished answer."""

from collections.abc import Iterable, Sequence
from typing import overload


class Hints(Sequence[str]):
    """All hints of an exercise; printing shows only those that were asked for with :meth:`more`.

    >>> hints = Hints(["look at the terms", "look at the last entry"])
    >>> len(hints), hints.more()
    (2, 'look at the terms')
    >>> hints
    1. look at the terms
    (1 more: .hint())
    """

    def __init__(self, hints: Iterable[str]) -> None:
        self._all = tuple(hints)
        self.given = 0

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        return self._all[place]

    def more(self) -> str:
        """The next hint; the last one again when there are no more."""
        self.given = min(self.given + 1, len(self))
        return self._all[self.given - 1] if self._all else "there is no hint for this one"

    def __repr__(self) -> str:
        shown = [f"{number}. {hint}" for number, hint in enumerate(self._all[: self.given], 1)]
        left = len(self) - self.given
        return "\n".join([*shown, *([f"({left} more: .hint())"] if left else [])])
