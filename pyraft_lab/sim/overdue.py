"""What a server that stood still fires first: timers that ran out meanwhile, before what asks about them.

The rule is the engine's (:func:`~pyraft_lab.engine.rules.fires_first`), and a live node keeps the same one.
"""

from pyraft_lab.engine.events import Event, Read, Receive
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.world import Action, Attempt, Deliver, FireTimer, Invoke, Notify, World

ANY_CALL = Read(())
"""Stands for whatever a client asks."""


def fires_before(world: World, action: Action) -> FireTimer | None:
    """The timer that fires before ``action`` may happen, if there is one; then ask again."""
    if not any(node.overdue for node in world.nodes.values()):
        return None
    node, event = _event_for(world, action)
    server = world.nodes.get(node or 0)
    if server is None or server.paused:
        return None
    first = world.setting.engine.rules.fires_first(event, server.overdue)
    return FireTimer(server.id, first[0]) if first else None


def _event_for(world: World, action: Action) -> tuple[NodeId | None, Event]:
    """Which node an action gives an event to, and which."""
    match action:
        case Deliver(message):
            flight = world.flights[message]
            return flight.dst, Receive(flight.src, flight.message)
        case Attempt(request):
            waiting = world.calls[request]
            return waiting.call.to or waiting.hint or world.leader, ANY_CALL
        case Invoke(call):
            return call.to or world.leader, ANY_CALL
        case Notify(node, event):
            return node, event
        case _:
            return None, ANY_CALL
