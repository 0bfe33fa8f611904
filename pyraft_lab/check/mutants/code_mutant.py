"""A mistake in the code around the rules: one expression of the engine, a storage, the client or the driver changed.

A rule is a value and can be replaced; other code cannot. So such a mistake is an edit of one function, which is made
while the mutant is on trial and taken back afterwards::

    with CODE_MUTANTS["boots-without-its-vote"].edit.applied():
        run_seed(CampaignSettings().trial(seed))
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from inspect import getsource
from textwrap import dedent
from types import FunctionType
from typing import Literal

from msgspec import Struct

from pyraft_lab.errors import PyraftError

Part = Literal["engine", "storage", "client", "driver", "machine"]


class Edit(Struct, frozen=True):
    """One change of a function of this library, named ``module:function`` or ``module:Class.method``."""

    target: str
    old: str
    new: str

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the function has this change, for everybody in this process.

        Raises ``PyraftError`` if the function does not contain what the edit changes.
        """
        function = self._function()
        source = dedent(getsource(function))
        found = source.count(self.old)
        if found != 1:
            raise PyraftError(f"the edit of {self.target} does not fit: it has {self.old!r} {found} times")
        names: dict[str, object] = {}
        code = compile(source.replace(self.old, self.new), f"<{self.target}, edited>", "exec", dont_inherit=True)
        exec(code, function.__globals__, names)  # noqa: S102 (a function of this library, and one of its edits)
        right, function.__code__ = function.__code__, _function_of(names[function.__name__]).__code__
        try:
            yield
        finally:
            function.__code__ = right

    def _function(self) -> FunctionType:
        module, _, path = self.target.partition(":")
        found: object = import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
        return _function_of(found)


def _function_of(found: object) -> FunctionType:
    """A function, or that of a property."""
    found = found.fget if isinstance(found, property) else found
    assert isinstance(found, FunctionType), "an edit changes a function"
    return found


class CodeMutant(Struct, frozen=True, kw_only=True):
    """A Raft with one mistake in its code: what it does otherwise, where the right answer stands, and a hint.

    ``seed`` is a seed of the default campaign that shows it at once.
    """

    name: str
    part: Part
    description: str
    section: str
    hint: str
    edit: Edit
    seed: int = 0
