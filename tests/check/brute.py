"""The plainest explorer there is: whole values, no numbers, no memory of local steps, no message dropped."""

from collections import deque
from collections.abc import Iterator

from msgspec.structs import replace

from pyraft_lab.check.explore.bounds import Bounds, Budget, choices, full_budget, is_within
from pyraft_lab.check.explore.explorer_state import Action, Deliver, ExplorerState, apply
from pyraft_lab.check.explore.history_variables import HistoryVariables, check_facts
from pyraft_lab.check.explore.server_state import LocalStep, Message, ServerState
from pyraft_lab.engine.engine import Engine
from pyraft_lab.sim.safety import logs_match

Spelt = tuple[tuple[ServerState, ...], HistoryVariables, Budget, tuple[Message, ...]]
Past = tuple[tuple[ServerState, ...], HistoryVariables, Budget]


def brute(engine: Engine, bounds: Bounds, start: ExplorerState) -> tuple[set[Spelt], str]:
    """Every world there is, or those until the first broken promise."""
    first: Spelt = (start.servers, start.history, full_budget(bounds), start.messages)
    found, waiting = {first}, deque([first])
    while waiting:
        for after, broken in successors(engine, bounds, waiting.popleft()):
            if broken:
                return found, broken
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found, ""


def successors(engine: Engine, bounds: Bounds, world: Spelt) -> Iterator[tuple[Spelt, str]]:
    servers, history, budget, messages = world
    for place, message in enumerate(messages):
        rest = messages[:place] + messages[place + 1 :]
        yield from _after(engine, bounds, (servers, history, budget, rest), Deliver(message))
        if budget.duplicates:
            spent = replace(budget, duplicates=budget.duplicates - 1)
            yield from _after(engine, bounds, (servers, history, spent, messages), Deliver(message))
    for server in servers:
        for act, left in choices(server, budget, history.over):
            yield from _after(engine, bounds, (servers, history, left, messages), act)


def _after(engine: Engine, bounds: Bounds, world: Spelt, act: Action) -> Iterator[tuple[Spelt, str]]:
    servers, history, budget, messages = world
    place = next(place for place, server in enumerate(servers) if server.state.id == act.node)
    move = apply(engine, servers[place], act, instant=bounds.instant_disk)
    if not is_within(bounds, move.after):
        return
    if move == LocalStep(servers[place]) and not isinstance(act, Deliver):
        return  # an order that is refused costs nothing
    later, broken = check_facts(history, move.facts)
    changed = (*servers[:place], move.after, *servers[place + 1 :])
    if not all(logs_match(move.after.state.log, other.state.log) for other in changed):
        broken = broken or "log matching"
    yield (changed, later, budget, tuple(sorted(messages + move.sent, key=repr))), broken
