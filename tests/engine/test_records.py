"""What a leader remembers of a peer when things go wrong for long: back-off without end, and logs that start over."""

import pytest
from msgspec.structs import replace

from pyraft_lab.engine.commands import Alarm, SetTimer
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import step
from pyraft_lab.engine.events import AllowRevert, Fire, Unreachable
from pyraft_lab.engine.state import Reverted
from pyraft_lab.engine.timers import TimerKind, delay, retry
from tests.engine.builders import (
    EAGER,
    accepted,
    after,
    all_stored,
    commands,
    id_of,
    leader,
    leadership,
    progress,
    propose,
    refused,
    streaming,
)


@pytest.mark.row("FC-16")
def test_a_peer_may_be_dead_for_ever() -> None:
    state = streaming(leader(1))
    for _ in range(1100):
        state = after(state, Unreachable(3))
    last = commands(step(state, Fire(retry(3))), SetTimer)[-1]
    assert delay(Config(), TimerKind.RETRY, last.backoff, 0.0) == Config().retry_limit


@pytest.mark.row("CR-12")
@pytest.mark.parametrize("allowed", ["by the configuration", "beforehand", "afterwards"])
def test_what_a_peer_acknowledged_before_it_lost_its_log_counts_no_more(allowed: str) -> None:
    config = replace(EAGER, allow_log_revert=allowed == "by the configuration")
    state = after(streaming(leader(1, config=config)), propose("x"))
    late = accepted(3, state)
    beaten = after(state, Fire(retry(3)))
    permitted = after(beaten, AllowRevert(9, 3)) if allowed == "beforehand" else beaten
    round = leadership(permitted).round + 1
    lost = replace(permitted, role=replace(leadership(permitted), round=round))
    turn = step(lost, refused(3, lost, id_of(1)))
    if allowed == "afterwards":
        assert commands(turn, Alarm)
        assert progress(turn.after, 3).state == Reverted()
        turn = step(turn.after, AllowRevert(9, 3))
    assert progress(turn.after, 3).matched == 0
    again = after(turn.after, late, all_stored(turn.after))
    assert progress(again, 3).matched == 0
    assert again.committed == 1, "one copy, and a word from before the loss"
    assert after(again, accepted(3, again)).committed == 2
