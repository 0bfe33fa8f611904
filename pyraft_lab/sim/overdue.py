"""Overdue timers: those that a paused server fires before the events that depend on them.

The rule is the engine's (:func:`~pyraft_lab.engine.rules.fires_first`); a live node uses the same one.
"""

from pyraft_lab.engine.events import Event, Read, Receive
from pyraft_lab.engine.types import NodeId
from pyraft_lab.sim.world import Action, Attempt, Deliver, FireTimer, Invoke, Notify, World

ANY_CALL = Read(())
"""Represents any request of a client."""


def fires_before(world: World, action: Action) -> FireTimer | None:
    """The timer that must fire before ``action``, or ``None``; after it fires there may be another."""
    if not any(node.overdue for node in world.nodes.values()):
        return None
    node, event = _event_for(world, action)
    server = world.nodes.get(node or 0)
    if server is None or server.paused:
        return None
    first = world.setting.engine.rules.fires_first(event, server.overdue)
    return FireTimer(server.id, first[0]) if first else None


def _event_for(world: World, action: Action) -> tuple[NodeId | None, Event]:
    """The node to which an action passes an event, and the event."""
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
