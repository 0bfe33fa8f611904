import importlib
import inspect
import pickle
import pkgutil
import re

import pytest

import pyraft_lab
from pyraft_lab import errors
from pyraft_lab.errors import PyraftError

EVERY: tuple[PyraftError, ...] = (
    PyraftError("anything"),
    errors.ConfigError("nodes", 0, "must be at least 1"),
    errors.UnknownNode(9, [1, 2]),
    errors.NotLeader(3, node=1),
    errors.OutcomeUnknown("truncated"),
    errors.QuorumNotEnough([1], "2 of 3"),
    errors.PreconditionFailed("the leader", 1, 2),
    errors.Timeout("a leader", 1.5),
    errors.NetworkFailed("mqtt://nowhere", "refused"),
    errors.MissingExtra("pandas", "data"),
    errors.NoProcesses("name a broker"),
    errors.HistoryError("two at once", line=3),
    errors.CapsuleMismatch(7, "another term"),
    errors.StorageFailed("no space left"),
    errors.WrongStorage("data/3", "node 3 of cluster a", "node 6 of cluster a"),
    errors.Panicked("a bug"),
    errors.RecordNotFound("no record 7"),
)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_comes_home_from_another_process_as_it_was(error: PyraftError) -> None:
    home = pickle.loads(pickle.dumps(error))
    assert (type(home), str(home), vars(home)) == (type(error), str(error), vars(error))


IN_A_BROWSER = "pyraft_lab.network.browser_client"
"""A module that only a browser's Python can import."""
APART = {"Garbage", "Malformed", "_NoNumber", "NotAllowed", "TooLong"}
"""Raised and caught within one room; and the error of the specification, which shares nothing with the package."""


def test_every_error_of_the_package_is_in_the_tree_and_is_a_pyraft_error() -> None:
    names = [
        one.name
        for one in pkgutil.walk_packages(pyraft_lab.__path__, "pyraft_lab.")
        if "__main__" not in one.name and one.name != IN_A_BROWSER
    ]
    found = {
        kind
        for name in names
        for kind in vars(importlib.import_module(name)).values()
        if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__ == name
    }
    told = set(re.findall(r"\w+", errors.__doc__ or ""))
    assert {kind.__name__ for kind in found if not issubclass(kind, PyraftError)} == APART
    assert {kind.__name__ for kind in found} - told == APART
