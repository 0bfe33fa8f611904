"""A pulse: beats and errands on a thread of its own, none made up for, and an end."""

import threading

from pyraft_lab.lab.ticker import ticker

LIMIT = 10.0


def test_it_beats_until_that_is_over() -> None:
    beats: list[int] = []
    third = threading.Event()

    def beat() -> bool:
        beats.append(1)
        if len(beats) == 3:
            third.set()
        return len(beats) < 3

    pulse = ticker(beat, name="three beats", rate=1000).start()
    assert third.wait(LIMIT)
    pulse.close()
    pulse.join(LIMIT)
    assert (len(beats), pulse.is_alive) == (3, False)


def test_errands_are_done_on_its_thread_also_when_it_beats_no_more() -> None:
    done = threading.Event()
    where: list[str] = []
    pulse = ticker(lambda: False, name="errands").start()

    def errand() -> None:
        where.append(threading.current_thread().name)
        done.set()

    pulse.post(errand)
    assert done.wait(LIMIT)
    pulse.close()
    assert where == ["errands"]


def test_it_may_be_closed_by_its_own_beat() -> None:
    def beat() -> bool:
        pulse.close()
        return True

    pulse = ticker(beat, name="closes itself", rate=1000)
    pulse.start().join(LIMIT)
    assert not pulse.is_alive
