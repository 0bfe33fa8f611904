"""Whom one hears of in a cluster elsewhere: by the presence its nodes claim, and the broker clears when they die."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyraft_lab import Trace
from pyraft_lab.lab.cluster import FollowedSession
from pyraft_lab.lab.static_svg import alt
from pyraft_lab.network import broker
from pyraft_lab.runtime.presence_tracker import MOMENT, RETURN, PresenceTracker
from pyraft_lab.runtime.trace_stream import Merger
from pyraft_lab.trace.record import Kind, Record


def roll(*present: int) -> PresenceTracker:
    made = PresenceTracker()
    for node in present:
        made.on_presence(node, is_claimed=True, now=0.0)
    return made


def told(kind: Kind, node: int) -> Record:
    return Record(id=0, time=0.0, kind=kind, node=node)


def test_a_node_whose_claim_is_cleared_is_not_heard_of_a_moment_later() -> None:
    cluster = roll(1, 3)
    cluster.on_presence(3, is_claimed=False, now=10.0)
    assert cluster.take(now=10.0) == []
    assert cluster.take(now=10.0 + MOMENT) == [(Kind.SILENT, 3)]
    assert cluster.take(now=60.0) == [], "that is no news any more"


def test_a_claim_that_a_dead_rival_wiped_out_is_back_before_it_is_missed() -> None:
    cluster = roll(3)
    cluster.on_presence(3, is_claimed=False, now=10.0)
    cluster.on_presence(3, is_claimed=True, now=10.1)
    assert cluster.take(now=60.0) == []


def test_a_node_that_was_missed_is_heard_of_again_once() -> None:
    cluster = roll(3)
    cluster.on_presence(3, is_claimed=False, now=0.0)
    cluster.take(now=MOMENT)
    cluster.on_presence(3, is_claimed=True, now=5.0)
    cluster.on_presence(3, is_claimed=True, now=5.1)
    assert cluster.take(now=5.1) == [(Kind.HEARD, 3)]
    assert cluster.take(now=60.0) == []


def test_who_does_not_come_back_after_the_broker_did_is_not_heard_of() -> None:
    cluster = roll(1, 2)
    cluster.connected(now=10.0)
    cluster.on_presence(1, is_claimed=True, now=11.0)
    assert cluster.take(now=10.0 + RETURN) == [(Kind.SILENT, 2)]


@pytest.mark.parametrize("kind", [Kind.CRASH, Kind.PAUSE])
def test_the_silence_of_a_node_that_somebody_hurt_is_no_news(kind: Kind) -> None:
    cluster = roll(3)
    cluster.on_presence(3, is_claimed=False, now=0.0)
    cluster.on_record(told(kind, 3))
    assert cluster.take(now=60.0) == []


def test_a_node_that_goes_on_can_be_missed_again() -> None:
    cluster = roll(3)
    cluster.on_record(told(Kind.PAUSE, 3))
    cluster.on_record(told(Kind.RESUME, 3))
    cluster.on_presence(3, is_claimed=False, now=10.0)
    assert cluster.take(now=60.0) == [(Kind.SILENT, 3)]


def test_silence_follows_the_last_word_whatever_the_clocks_say() -> None:
    merger = Merger()
    merger.add([Record(id=1, node=3, time=100.0, kind=Kind.TIMER)], now=0.0)
    merger.add([Record(id=2, node=3, time=7.0, kind=Kind.SILENT)], now=0.0)
    merger.add([Record(id=3, node=3, time=101.0, kind=Kind.RESTART)], now=0.0)
    assert [(one.id, one.time) for one in merger.take(now=0.0)] == [(1, 100.0), (2, 100.0), (3, 101.0)]


Start = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def running() -> Iterator[broker.Broker]:
    with broker.start() as started:
        yield started


@pytest.fixture
def start(running: broker.Broker, tmp_path: Path) -> Iterator[Start]:
    """Starts node after node of a cluster of three, each a process; the first one founds it."""
    nodes: list[subprocess.Popen[bytes]] = []

    def begin(node: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "pyraft_lab", "node", "--id", str(node), "--broker", running.url]
        command += ["--data", str(tmp_path / str(node))]
        command += ["--init", "--peers", "1,2,3"] if node == 1 else []
        nodes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return nodes[-1]

    yield begin
    for process in nodes:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("each_broker")
def test_a_node_killed_without_mercy_is_shown_as_not_heard_of_and_so_is_one_that_stands_still(
    running: broker.Broker, start: Start
) -> None:
    processes = {node: start(node) for node in (1, 2, 3)}
    with Trace.follow(running.url, "demo") as trace:
        session = FollowedSession(trace)
        until(lambda: {1, 2, 3} <= {one.node for one in trace.records if one.step is not None})
        processes[2].send_signal(signal.SIGSTOP)
        processes[3].kill()
        until(lambda: {2, 3} <= {one.node for one in trace.records if one.kind is Kind.SILENT})
        assert {2, 3} <= {node for node, words in shown(session).items() if words == f"n{node} is no longer heard from"}
        assert "n3 is no longer heard from" in trace.story()
        processes[2].send_signal(signal.SIGCONT)
        start(3)
        until(lambda: {2, 3} <= {one.node for one in trace.records if one.kind is Kind.HEARD})
        until(lambda: not any("no longer heard from" in words for words in shown(session).values()))
    assert not any(one.kind is Kind.CRASH for one in trace.records), "nobody knows that"


def shown(session: FollowedSession) -> dict[int, str]:
    """The servers as the last picture tells of them."""
    list(session.grow())
    film = session.recording("main")
    words = alt(film.view(len(film) - 1), "").split(". ")[1].split(", n")
    return {int(one.removeprefix("n").split()[0]): f"n{one.removeprefix('n')}" for one in words if one}


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)
