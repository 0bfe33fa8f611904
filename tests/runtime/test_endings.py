"""However a node has ended, whatever it is asked is answered with what ended it, and at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pyraft_lab.engine.config import Config
from pyraft_lab.errors import Fatal, Panicked, Stopped, StorageFailed
from pyraft_lab.loop_thread import LoopThread
from pyraft_lab.machine import Counter
from pyraft_lab.runtime.raft import Raft
from pyraft_lab.storage.memory import MemoryStorage

ALONE = Config(election_timeout=(0.1, 0.2), heartbeat_interval=0.03, learner_lag=0)
Call = Callable[[Raft], Awaitable[Any]]
CALLS: dict[str, Call] = {
    "client_write": lambda raft: raft.client_write(1),
    "client_write_many": lambda raft: raft.client_write_many([1, 2]),
    "client_write_ff": lambda raft: raft.client_write_ff(1),
    "write_blank": lambda raft: raft.write_blank(),
    "ensure_linearizable": lambda raft: raft.ensure_linearizable(),
    "lease": lambda raft: raft.ensure_linearizable("lease"),
    "read": lambda raft: raft.read(None),
    "initialize": lambda raft: raft.initialize({1}),
    "add_learner": lambda raft: raft.add_learner(2),
    "change_membership": lambda raft: raft.change_membership({1, 2}),
    "wait": lambda raft: raft.wait().leader(7),
    "with_state": lambda raft: raft.with_state(lambda state: state.term),
    "with_machine": lambda raft: raft.with_machine(lambda machine: machine.total),
    "transfer_leader": lambda raft: raft.trigger.transfer_leader(2),
    "allow_next_revert": lambda raft: raft.trigger.allow_next_revert(2),
    "elect": lambda raft: now(raft.trigger.elect),
    "heartbeat": lambda raft: now(raft.trigger.heartbeat),
    "snapshot": lambda raft: now(raft.trigger.snapshot),
    "purge": lambda raft: now(lambda: raft.trigger.purge(1)),
    "tick": lambda raft: now(lambda: raft.runtime.tick(on=True)),
    "runtime.heartbeat": lambda raft: now(lambda: raft.runtime.heartbeat(on=True)),
    "runtime.elect": lambda raft: now(lambda: raft.runtime.elect(on=True)),
    "pre_vote": lambda raft: now(lambda: raft.runtime.pre_vote(on=True)),
    "on_leader_change": lambda raft: now(lambda: raft.on_leader_change(lambda _: None, lambda _: None)),
    "on_cluster_leader_change": lambda raft: now(lambda: raft.on_cluster_leader_change(lambda *_: None)),
}


async def now(act: Callable[[], object]) -> None:
    act()


class Fragile(Counter):
    """A machine with a bug that 666 wakes."""

    def apply(self, command: Any, /) -> Any:
        return super().apply(command) if command != 666 else 1 // 0


async def alone() -> tuple[Raft, MemoryStorage]:
    disk = MemoryStorage()
    raft = Raft(1, config=ALONE, machine=Fragile(), storage=disk)
    await raft.start()
    await raft.initialize({1})
    await raft.wait(10).role("leader")
    await raft.client_write(1)
    return raft, disk


async def shut_down(raft: Raft, _: MemoryStorage) -> None:
    await raft.shutdown()


async def panic(raft: Raft, _: MemoryStorage) -> None:
    await raft.client_write(666)


async def lose_the_disk(raft: Raft, disk: MemoryStorage) -> None:
    disk.fail_next = "no space left"
    await raft.client_write(1)


ENDINGS = [(shut_down, Stopped), (panic, Panicked), (lose_the_disk, StorageFailed)]
End = Callable[[Raft, MemoryStorage], Coroutine[Any, Any, None]]


@pytest.fixture(params=ENDINGS, ids=lambda ending: ending[0].__name__)
def ending(request: pytest.FixtureRequest) -> tuple[End, type[Fatal]]:
    """How a node ends, and what it says from then on."""
    chosen: tuple[End, type[Fatal]] = request.param
    return chosen


async def ended(end: End) -> Raft:
    raft, disk = await alone()
    await asyncio.gather(end(raft, disk), return_exceptions=True)
    await asyncio.gather(raft.wait(10).leader(7), return_exceptions=True)
    return raft


async def answers(raft: Raft) -> dict[str, object]:
    """What each call is answered with: the kind of its error, or its result."""
    found: dict[str, object] = {}
    for name, call in CALLS.items():
        try:
            async with asyncio.timeout(10):
                found[name] = await call(raft)
        except Fatal as fatal:
            found[name] = type(fatal)
    return found


async def test_every_call_on_a_node_that_is_over_says_what_ended_it(ending: tuple[End, type[Fatal]]) -> None:
    end, fatal = ending
    raft = await ended(end)
    assert await answers(raft) == dict.fromkeys(CALLS, fatal)
    assert isinstance(raft.metrics.running, fatal)
    assert [seen.role async for seen in raft.watch()] == ["shutdown"]
    await raft.shutdown()


async def test_the_same_holds_from_another_loop(ending: tuple[End, type[Fatal]]) -> None:
    end, fatal = ending
    with LoopThread("the node's own") as thread:
        raft = await thread.home.run(ended(end))
        assert await answers(raft) == dict.fromkeys(CALLS, fatal)
        await raft.shutdown()


async def test_calls_that_wait_when_a_node_ends_hear_of_it(ending: tuple[End, type[Fatal]]) -> None:
    end, fatal = ending
    raft, disk = await alone()
    waiting = [asyncio.ensure_future(raft.add_learner(2)), asyncio.ensure_future(raft.wait().leader(7))]
    watching = asyncio.create_task(watched(raft))
    await raft.wait(10).until(lambda now: 2 in now.membership.nodes)
    await asyncio.gather(end(raft, disk), return_exceptions=True)
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert (await watching)[-1] == "shutdown"
    assert [type(outcome) for outcome in outcomes] == [fatal, fatal]


async def watched(raft: Raft) -> list[str]:
    return [seen.role async for seen in raft.watch()]


async def test_what_ended_a_node_is_told_again_each_time() -> None:
    """One and the same error, raised again and again, would keep every traceback and all that hangs on it."""
    raft = await ended(shut_down)
    told = []
    for _ in range(3):
        with pytest.raises(Stopped) as caught:
            await raft.client_write(1)
        told.append(len(caught.traceback))
    assert len(set(told)) == 1
