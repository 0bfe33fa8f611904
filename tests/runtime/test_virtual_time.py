"""A loop in virtual time: nothing waits, order is kept, and a suspended part sees its timers late."""

import asyncio
import time

import pytest

from pyraft_lab.errors import PyraftError
from pyraft_lab.runtime.virtual_time import PART, VirtualLoop, run_virtually


def test_an_hour_passes_at_once() -> None:
    began = time.monotonic()

    async def wait() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run_virtually(wait()) == pytest.approx(3600)
    assert time.monotonic() - began < 60


def test_blocking_work_runs_in_place_and_its_error_arrives() -> None:
    async def both() -> tuple[int, str]:
        done = await asyncio.to_thread(lambda: 3)
        try:
            await asyncio.to_thread(int, "three")
        except ValueError as error:
            return done, type(error).__name__
        return done, ""

    assert run_virtually(both()) == (3, "ValueError")


def test_a_wait_that_nothing_ends_is_an_error_and_no_hang() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(PyraftError, match="nothing is left to happen"):
        run_virtually(wait())


def test_tasks_that_go_on_without_end_and_wait_for_nothing_are_an_error_and_no_hang() -> None:
    async def work() -> None:
        await asyncio.sleep(2)
        again()
        await asyncio.sleep(1)

    def again() -> None:
        asyncio.get_running_loop().call_soon(again)

    with pytest.raises(PyraftError, match="time stands still: tasks go on without end at 2 s"):
        run_virtually(work())


async def _suspended() -> list[str]:
    loop, told, asked = asyncio.get_running_loop(), list[str](), asyncio.Event()
    assert isinstance(loop, VirtualLoop)

    async def answer() -> None:
        await asked.wait()
        told.append(f"asked at {loop.time():g}")

    PART.set(1)
    loop.call_later(1.0, lambda: told.append(f"timer at {loop.time():g}"))
    cancelled = loop.call_later(1.5, lambda: told.append("never"))
    answering = asyncio.create_task(answer())
    PART.set(0)
    await asyncio.sleep(0.5)
    loop.suspend(1)
    await asyncio.sleep(1.0)
    asked.set()
    await asyncio.sleep(1.0)
    assert told == []
    cancelled.cancel()
    loop.resume(1)
    await answering
    await asyncio.sleep(0.1)
    return told


def test_a_part_that_resumes_handles_what_came_in_before_what_expired() -> None:
    assert run_virtually(_suspended()) == ["asked at 2.5", "timer at 2.5"]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError, asyncio.CancelledError])
def test_an_end_while_a_part_is_suspended_raises_its_own_reason(raised: type[BaseException]) -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.1)  # as a node closes its connection
            ended.append("closed")

    async def fail() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        PART.set(1)
        waiting = asyncio.create_task(wait())
        PART.set(0)
        await asyncio.sleep(1)
        loop.suspend(1)
        assert not waiting.done()
        raise raised

    with pytest.raises(raised):
        run_virtually(fail())
    assert ended == ["closed"]
