"""How long a client's timers run: attempts grow with every silence, pauses with every failure.

A driver brings the chance: pauses of clients that failed together should not end together.
"""

from pyraft_lab.client.events import AttemptTimer, SetTimer

ATTEMPT = 1.0
"""Seconds that a first attempt lasts by default."""
LONGEST_ATTEMPT = 60.0
"""Seconds that the longest attempt lasts."""
PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds that a client waits at most after its first failed attempt, and the longest such wait."""
MOST_LEVELS = 16


def length(timer: SetTimer, *, luck: float, attempt: float = ATTEMPT) -> float:
    """Seconds that a timer runs; ``luck`` from 0 to 1 shortens a pause by up to one half.

    >>> from pyraft_lab.client.events import RetryTimer
    >>> length(SetTimer(AttemptTimer(1), 2), luck=0.3), length(SetTimer(RetryTimer(), 1), luck=0.5)
    (4.0, 0.015)
    """
    growth = 2.0 ** min(timer.level, MOST_LEVELS)
    if isinstance(timer.timer, AttemptTimer):
        seconds = min(attempt * growth, LONGEST_ATTEMPT)
    else:
        seconds = min(PAUSE * growth, LONGEST_PAUSE) * (1.0 + luck) / 2
    return max(seconds, timer.at_least)
