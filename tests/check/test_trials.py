"""Trials of storages and of live nodes: right ones pass, the same every time, and each kind of mistake is named."""

import pytest

from pyraft_lab.check.campaign import CampaignSettings, run_seed
from pyraft_lab.check.disk_trial import DAMAGE, KEPT, SYNCED, storage_failure
from pyraft_lab.check.failure import Failure
from pyraft_lab.check.live_trial import LiveTrial, live_failure
from pyraft_lab.check.lookahead import EVERY_WAIT_ENDS
from pyraft_lab.check.mutants.code_mutants import CODE_MUTANTS
from pyraft_lab.check.swarm import Draw, draw
from pyraft_lab.engine.engine import raft
from pyraft_lab.engine.rules import RAFT
from pyraft_lab.errors import PyraftError
from pyraft_lab.history import Operation
from pyraft_lab.runtime.virtual_time import VirtualLoop, run_virtually


def on_disk(seed: int = 0) -> Draw:
    return draw(seed, methods=["storage"])


def live(seed: int = 1) -> Draw:
    return draw(seed, methods=["live"])


def test_the_storages_of_this_library_keep_their_promises() -> None:
    assert storage_failure(on_disk()) is None


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        ("loses-votes", KEPT),
        ("swaps-snapshots", KEPT),
        ("appends-repeated-chunks", KEPT),
        ("accepts-damage", DAMAGE),
        ("publishes-unsynced", SYNCED),
    ],
)
def test_what_a_storage_does_wrong_is_named(mutant: str, name: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        found = storage_failure(on_disk())
    assert found is not None
    assert found.name == name


def test_live_nodes_pass_and_do_the_same_in_every_run() -> None:
    def notes() -> list[Operation]:
        async def run() -> list[Operation]:
            import asyncio

            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            trial = LiveTrial(live(), raft(RAFT), loop)
            assert await trial.run() is None
            return trial.notes

        return run_virtually(run())

    first = notes()
    assert len(first) > 20
    assert notes() == first


@pytest.mark.parametrize("mutant", ["sends-before-it-syncs", "reports-before-it-syncs", "uses-a-serial-twice"])
def test_what_a_driver_or_a_client_does_wrong_is_named(mutant: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        found = live_failure(live(), raft(RAFT))
    assert isinstance(found, Failure)


@pytest.mark.parametrize("mutant", ["lets-writes-wait", "keeps-ended-batches"])
def test_a_request_that_a_node_keeps_for_ever_is_found(mutant: str) -> None:
    with CODE_MUTANTS[mutant].edit.applied():
        found = live_failure(live(), raft(RAFT))
    assert found is not None
    assert found.name == EVERY_WAIT_ENDS


def test_every_edit_of_the_zoo_fits_and_is_taken_back() -> None:
    for one in CODE_MUTANTS.values():
        function = one.edit._function()  # noqa: SLF001 (what it changes is what is asked)
        right = function.__code__
        with one.edit.applied():
            assert function.__code__ is not right
        assert function.__code__ is right


def test_an_edit_that_does_not_fit_says_so() -> None:
    edit = CODE_MUTANTS["loses-votes"].edit
    with pytest.raises(PyraftError, match="does not fit"), type(edit)(edit.target, "no such line", "").applied():
        pass


def test_a_seed_of_a_campaign_can_be_a_storage_or_live_nodes() -> None:
    seed = next(seed for seed in range(100) if draw(seed).method == "storage")
    row = run_seed(CampaignSettings().trial(seed))
    assert (row.ok, row.method, row.capsule, row.events) == (True, "storage", "", 0)


@pytest.mark.parametrize("name", CODE_MUTANTS)
def test_a_seed_of_the_default_campaign_shows_each_mutant_of_the_code(name: str) -> None:
    one = CODE_MUTANTS[name]
    with one.edit.applied():
        row = run_seed(CampaignSettings().trial(one.seed))
    assert not row.ok
    assert row.failed
