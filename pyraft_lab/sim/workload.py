"""What simulated clients did, as a history that can be checked."""

from collections.abc import Iterable
from typing import Any

from pyraft_lab.errors import OutcomeUnknown
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Query, Write


def history(calls: Iterable[ClientCall]) -> History:
    """Writes and reads as operations; what was refused left no trace and is left out, what is open has no return."""
    return History([_operation(call, wish) for call in calls if (wish := _counts(call)) is not None])


def _counts(call: ClientCall) -> Write | Query | None:
    """The wish of a call that a client's history tells of."""
    wish = call.call.wish
    refused = call.error is not None and not isinstance(call.error, OutcomeUnknown)
    return wish if isinstance(wish, (Write, Query)) and not refused else None


def _operation(call: ClientCall, wish: Write | Query) -> Operation:
    asked = ("get", wish.query) if isinstance(wish, Query) else _asked(wish.command)
    returned = call.returned if call.ok else None
    return Operation(client=call.call.client, call=call.invoked, returned=returned, input=asked, output=call.value)


def _asked(command: Any) -> Any:
    """A command of the key-value machine as the models know it, ``("put", key, value)``; any other as it is."""
    if not isinstance(command, dict) or "op" not in command:
        return command
    return tuple(command[field] for field in ("op", "key", "value", "old", "new", "by") if field in command)
