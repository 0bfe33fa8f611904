import pickle

import pytest

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
    errors.HistoryError("two at once", line=3),
    errors.CapsuleMismatch(7, "another term"),
    errors.StorageFailed("no space left"),
    errors.WrongStorage("data/3", "node 3 of cluster a", "node 6 of cluster a"),
    errors.Panicked("a bug"),
)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_comes_home_from_another_process_as_it_was(error: PyraftError) -> None:
    home = pickle.loads(pickle.dumps(error))
    assert (type(home), str(home), vars(home)) == (type(error), str(error), vars(error))
