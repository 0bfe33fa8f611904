"""What the cluster is deciding right now, and how far it is: votes counted, copies counted, set by set."""

from collections.abc import Collection, Iterator
from typing import Any

from pyraft_lab.engine.consult import is_own, title_of
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import commit_index, has_won
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, RaftState
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.moment import Moment, Server
from pyraft_lab.trace.words import server, voters

Tallies = list[dict[str, Any]]


def decisions(moment: Moment) -> list[dict[str, Any]]:
    """Every election, commitment or leadership of the newest term that is under way; plain JSON.

    ``sets`` has one tally for each voter set: who is in it, who agrees, who refuses, how many are needed.
    """
    alive = [one for one in moment.servers.values() if one.up]
    busy = [one for one in alive if isinstance(one.state.role, (PreCandidate, Candidate, Leader))]
    if not busy:
        return []
    newest = max(_running_for(one.state) for one in busy)
    return [_decision(one) | _by_own_rule(one) for one in busy if _running_for(one.state) == newest]


def _running_for(state: RaftState) -> int:
    return state.term + isinstance(state.role, PreCandidate)


def _by_own_rule(one: Server) -> dict[str, Any]:
    """The line of a decision that a rule of this run takes, and not Raft's own: nobody knows what that rule needs."""
    decides = commit_index if isinstance(one.state.role, Leader) else has_won
    name = decides.__name__
    is_settled = isinstance(one.state.role, Leader) and one.state.log.last.index <= one.state.committed
    if is_settled or one.rules is None or is_own(one.rules, decides):
        return {}
    return {"line": f"this run's rule {name} ({title_of(getattr(one.rules, name))}) decides, not Raft's own"}


def _decision(one: Server) -> dict[str, Any]:
    state = one.state
    match state.role:
        case PreCandidate(granted=granted, refused=refused):
            return _election(state, "prevote", granted, refused)
        case Candidate(granted=granted, refused=refused):
            return _election(state, "vote", granted, refused)
        case Leader() as role:
            return _commitment(state, role) if state.log.last.index > state.committed else _leadership(state)
        case _:
            raise AssertionError("only who is active decides something")


def _election(state: RaftState, what: str, granted: Collection[NodeId], refused: Collection[NodeId]) -> dict[str, Any]:
    term = _running_for(state)
    sets = list(_tallies(state.membership, granted, refused))
    question = f"{server(state.id)} asks whether it could win term {term}" if what == "prevote" else ""
    title = question or f"{server(state.id)} asks for votes in term {term}"
    line = f"it {'may stand' if what == 'prevote' else 'leads'} as soon as {_majority(sets)} say yes"
    return {"what": what, "by": state.id, "term": term, "title": title, "line": line, "sets": sets}


def _commitment(state: RaftState, role: Leader) -> dict[str, Any]:
    index = max(state.committed + 1, role.blank)
    holders = [node for node, matched in state.matched.items() if matched >= index]
    sets = list(_tallies(state.membership, holders, ()))
    title = f"{server(state.id)} leads term {state.term}"
    if state.membership.is_joint:
        title += ": both sets must agree"
    line = f"entry {index} is committed once {_majority(sets)} have it on disk"
    found = {"what": "commit", "by": state.id, "term": state.term, "index": index}
    return {**found, "title": title, "line": line, "sets": sets}


def _leadership(state: RaftState) -> dict[str, Any]:
    title = f"{server(state.id)} leads term {state.term}"
    line = f"everything up to entry {state.committed} is committed"
    sets = list(_tallies(state.membership, (), ()))
    return {"what": "leads", "by": state.id, "term": state.term, "title": title, "line": line, "sets": sets}


def _tallies(membership: Membership, agree: Collection[NodeId], refuse: Collection[NodeId]) -> Iterator[dict[str, Any]]:
    names = ("C-old", "C-new") if membership.is_joint else ("voters",)
    for place, config in enumerate(membership.configs):
        yield {
            "name": names[min(place, len(names) - 1)],
            "of": sorted(config),
            "yes": sorted(config & set(agree)),
            "no": sorted(config & set(refuse)),
            "need": len(config) // 2 + 1,
        }


def _majority(sets: Tallies) -> str:
    """How many it takes: of each set, where there are two."""
    if len(sets) == 1:
        return f"{sets[0]['need']} of {len(sets[0]['of'])} servers"
    return " and ".join(f"{one['need']} of {voters(one['of'])}" for one in sets)
