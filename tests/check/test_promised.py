"""Mistakes in the calls of a node, in its directory, and in what servers seldom come to: each trial names them."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from pyraft_lab.check.client_trial import client_failure
from pyraft_lab.check.disk_trial import storage_failure
from pyraft_lab.check.mutants.code_mutant import Edit
from pyraft_lab.check.node_trial import node_failure
from pyraft_lab.check.swarm import draw
from pyraft_lab.check.what_if import Asked
from pyraft_lab.engine.engine import Engine
from pyraft_lab.sim.simulation import Simulation

CLIENT: Sequence[tuple[str, str, str]] = (
    ("pyraft_lab.client.machine:_on_outcome", "must_wait=True, sent=batch.sent - 1)", "must_wait=True)"),
    (
        "pyraft_lab.client.machine:_release",
        "_change(turn, batch, request=None, sent=batch.sent - 1)",
        "_change(turn, batch, request=None)",
    ),
    (
        "pyraft_lab.client.machine:_on_reply",
        "is_from_leader = operation is None or not operation.is_local",
        "is_from_leader = True",
    ),
    (
        "pyraft_lab.client.machine:_on_failure",
        "is_final = request in turn.state.operating and isinstance(error, TRIED_ONCE)",
        "is_final = False",
    ),
    ("pyraft_lab.client.machine:_on_answers", "_put_back(turn, reading, left)", "_put_back(turn, reading, ())"),
    ("pyraft_lab.client.machine:_on_timer", "turn.tell(Forget(request))", "pass"),
    (
        "pyraft_lab.client.sending:_of_policy",
        "takewhile(lambda read: read.policy == policy, reads)",
        "read for read in reads if read.policy == policy",
    ),
)
"""Edits of the client: where, what, and by what."""
CALLS: Sequence[tuple[str, str, str]] = (
    ("pyraft_lab.runtime.driver:Driver.notice", "self._fatal = DuplicateNode(node)", "pass"),
    ("pyraft_lab.runtime.driver:Driver.receive", "> INBOX:", "> INBOX * 1000:"),
    (
        "pyraft_lab.runtime.driver:Driver._step_after_due_timers",
        'isinstance(event, Read) and event.policy == "lease"',
        "False",
    ),
    (
        "pyraft_lab.runtime.applier:_first_piece",
        "max(1, sum(1 for size in sizes if size <= AT_ONCE_BYTES))",
        "sum(1 for size in sizes if size <= AT_ONCE_BYTES)",
    ),
    ("pyraft_lab.runtime.disk_queue:DiskQueue.write", "self._memory.write_now(commands)", "pass"),
    ("pyraft_lab.runtime.requests:OpenRequests.fail", "if waiter.what and waiter.changes:", "if False:"),
    (
        "pyraft_lab.runtime.requests:OpenRequests._expire",
        "self._alarm = self._loop.call_at(waiter.end, self._expire)",
        "pass",
    ),
    ("pyraft_lab.runtime.requests:_overdue", "if waiter.changes:", "if not waiter.changes:"),
    ("pyraft_lab.runtime.requests:OpenRequests.settle", "self._settled.set()", "pass"),
    ("pyraft_lab.runtime.requests:OpenRequests.settle", "if len(waiter.outcomes) < waiter.size:", "if False:"),
    (
        "pyraft_lab.runtime.requests:OpenRequests._take_reads",
        "if theirs == policy), policy)",
        'if theirs == policy), "lease")',
    ),
    (
        "pyraft_lab.runtime.client_requests:ClientRequests._check_room",
        "if open_requests >= self._max_waiting:",
        "if False:",
    ),
    (
        "pyraft_lab.runtime.client_requests:ClientRequests._settled",
        "self._bytes -= self._pending.pop(name).size",
        "self._pending.pop(name)",
    ),
    (
        "pyraft_lab.runtime.client_requests:ClientRequests._decided",
        "await asyncio.wait((outcome,), timeout=self._deadline)",
        "await outcome",
    ),
    ("pyraft_lab.runtime.timers:Timers.set", "self._rung.pop(timer, None)", "pass"),
    ("pyraft_lab.runtime.timers:Timers._note_round", "if len(self._rounds) > ROUNDS:", "if False:"),
    ("pyraft_lab.runtime.timers:Timers.thaw", "self._wake()", "pass"),
    ("pyraft_lab.runtime.lifecycle:NodeLifecycle._close", "driver.requests.fail(reason)", "pass"),
    ("pyraft_lab.runtime.lifecycle:NodeLifecycle._close", "self._changed()", "pass"),
    ("pyraft_lab.runtime.lifecycle:_claim", "if id(machine) in _SERVES:", "if False:"),
    ("pyraft_lab.runtime.raft:Raft._change", "membership is None or", "membership is not None or"),
    ("pyraft_lab.runtime.metrics:has_left", " and now.committed >= now.membership_id.index", ""),
    (
        "pyraft_lab.runtime.client_driver:OpenCall.take",
        "values[part.place : part.place + part.count]",
        "values[: part.count]",
    ),
    ("pyraft_lab.engine.timers:stopped_by", "[one for one in running if one.kind is cancelled.kind]", "()"),
    ("pyraft_lab.client.serving:reply", "one if isinstance(one, Rejected) else Value(one)", "Value(one)"),
)
DIRECTORIES: Sequence[tuple[str, str, str]] = (
    ("pyraft_lab.storage.sqlite:Opened._announce", "if coming:", "if False:"),
    ("pyraft_lab.storage.snapshots:SnapshotFiles.keep", "self._drop(meta)", "pass"),
    ("pyraft_lab.storage.snapshots:SnapshotFiles.delete_unused", "path.unlink()", "pass"),
    ("pyraft_lab.storage.database:settle", " and owner == found.owner", ""),
    ("pyraft_lab.storage.database:layout_fault", "if found > FORMAT:", "if False:"),
    (
        "pyraft_lab.storage.snapshots:SnapshotFiles.read",
        "verified(meta, path.read_bytes() if path.exists() else None)",
        "path.read_bytes()",
    ),
    ("pyraft_lab.storage.memory:MemoryStorage._check_room", "if self.room is None:", "if True:"),
)
MOMENTS: Sequence[tuple[str, str, str]] = (
    ("pyraft_lab.engine.replication:on_unreachable", " and not isinstance(progress.state, Reverted)", ""),
    (
        "pyraft_lab.engine.compaction:on_snapshot_gone",
        "SendSnapshot(newest, asked=same,",
        "SendSnapshot(progress.state.meta, asked=True,",
    ),
    ("pyraft_lab.engine.replication:start_over", ", may_revert=False", ""),
    ("pyraft_lab.engine.requests:_stop_transfer", "turn.write(Noop())", "pass"),
    ("pyraft_lab.engine.engine:on_trigger", "turn.update(config=config)", "pass"),
    ("pyraft_lab.engine.requests:transfer", " or handover.to != event.to:", ":"),
    ("pyraft_lab.engine.requests:transfer", "_stop_transfer(turn)", "pass"),
    ("pyraft_lab.engine.requests:_transfer_refusal", "event.to in state.membership.voters", "True"),
    (
        "pyraft_lab.engine.membership:_table_after",
        "{**_addresses(learners), **nodes}",
        "{**nodes, **_addresses(learners)}",
    ),
    ("pyraft_lab.engine.replication:on_heartbeat_timer", " and not turn.leader.reads", ""),
)


@pytest.mark.parametrize("edit", [None, *CALLS])
def test_a_broken_promise_to_a_caller_is_named(edit: tuple[str, str, str] | None) -> None:
    if edit is None:
        assert node_failure(draw(0)) is None
        return
    with Edit(*edit).applied():
        assert node_failure(draw(0)) is not None


@pytest.mark.parametrize("edit", DIRECTORIES)
def test_a_mistake_in_a_directory_is_named(edit: tuple[str, str, str]) -> None:
    with Edit(*edit).applied():
        assert storage_failure(replace(draw(0, methods=["storage"]), walk={"steps": 1})) is not None


@pytest.mark.parametrize("edit", MOMENTS)
def test_a_mistake_in_a_moment_that_seldom_comes_is_named(edit: tuple[str, str, str]) -> None:
    sim = Simulation(3, learners=1)
    leader = sim.run_until(lambda s: s.leader)
    assert leader is not None
    sim.run(0.5)
    sim.snapshot(leader)
    sim.run(0.5)
    asked = Asked(
        state=sim.nodes[leader].state, engine=Engine(), others=tuple(one for one in sim.nodes if one != leader)
    )
    assert not [*asked.answers()]
    with Edit(*edit).applied():
        assert [*asked.answers()]


@pytest.mark.parametrize(("where", "old", "new"), CLIENT)
def test_what_a_client_does_not_keep_to_is_named(where: str, old: str, new: str) -> None:
    with Edit(where, old, new).applied():
        assert any(client_failure(draw(seed)) for seed in range(5))
