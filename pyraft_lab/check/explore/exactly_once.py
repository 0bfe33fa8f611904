"""Commands that clients send again: the machine must carry out each one once (dissertation §6.3)."""

from collections.abc import Callable, Sequence

from pyraft_lab.engine.log import Entry, Normal
from pyraft_lab.machine import Sessions, StateMachine

MakeMachine = Callable[[], StateMachine | Sessions]
"""A function without arguments that makes a new state machine, such as ``KeyValue``."""
EXACTLY_ONCE = "every command takes effect once"


def acts_once(committed: Sequence[Entry], machine: MakeMachine) -> bool:
    """Whether a machine that applies this log counts each different command once; see ``explorer_state.counted``."""
    replica = Sessions.of(machine())
    for entry in committed:
        replica.apply(entry)
    commands = {entry.payload.data for entry in committed if isinstance(entry.payload, Normal)}
    return bool((replica.query("x") or 0) == len(commands))
