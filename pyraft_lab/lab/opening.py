"""How a Lab begins: at an election, or playing by itself up to a moment at which it asks something."""

from collections.abc import Callable
from typing import Any

from pyraft_lab.arguments import function
from pyraft_lab.engine.state import Candidate
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.lab.branches import MAX_AHEAD
from pyraft_lab.lab.session import LOOKAHEAD, Session, SimulationSession
from pyraft_lab.lab.wire import Opening, ViewName
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace.record import EventId

VIEWS: tuple[ViewName, ...] = ("ring", "full")
LONGEST = 30.0
"""Virtual seconds within which the condition of ``until`` must become true."""
Condition = Callable[[Simulation], Any]


def checked(view: Any, until: Any, question: Any) -> tuple[ViewName, Condition | None, str]:
    """The three as they were given; raises ``ConfigError`` for anything else."""
    if view not in VIEWS:
        raise ConfigError("view", view, "must be 'ring', the plain first view, or 'full'")
    if not isinstance(question, str):
        raise ConfigError("question", question, "must be a text")
    if until is not None:
        function("until", until)
    return view, until, question


def open_session(session: Session, view: ViewName, until: Condition | None, question: str) -> None:
    """Let a session begin like this; raises ``PyraftError`` if ``until`` cannot be foreseen."""
    stop = None if until is None else first_event(session, until)
    session.opening = Opening(view=view, until=stop, question=question)


def first_event(session: Session, until: Condition) -> EventId:
    """The first event after which ``until`` holds, in a fork; the session knows all events up to it."""
    if not isinstance(session, SimulationSession):
        raise PyraftError("only a Lab of a Simulation can play until something happens: leave until= out")
    main = session.branches["main"]
    scout = main.sim.fork()
    scout.run_until(until, timeout=LONGEST)
    event = scout.world.events - 1
    if event - main.last_event > MAX_AHEAD:
        raise PyraftError(f"until= holds only after {event - main.last_event} events; a Lab foresees {MAX_AHEAD}")
    main.look_ahead(event + 1 + LOOKAHEAD)
    return event


def open_at_election(sim: Simulation, longest: float = 2.0) -> None:
    """Run a new simulation to its first election, one vote before there is a leader."""
    if sim.leader or any(node.term for node in sim.nodes.values()) or not sim.pending:
        return
    stop = sim.now + longest
    while sim.now < stop and not any(is_one_short(sim, node) for node in sim.nodes) and not sim.leader:
        sim.step()


def is_one_short(sim: Simulation, node: int) -> bool:
    """Whether a candidate has more than its own vote and lacks one."""
    state = sim.nodes[node].state
    if not isinstance(state.role, Candidate):
        return False
    lacking = [len(config) // 2 + 1 - len(config & state.role.granted) for config in state.membership.configs]
    return max(lacking) == 1
