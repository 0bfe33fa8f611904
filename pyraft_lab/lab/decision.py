"""The current decisions of a cluster: counted votes and copies, for each voter set."""

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from msgspec.structs import replace

from pyraft_lab.engine.consult import is_own, title_of
from pyraft_lab.engine.log import Log, Normal
from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.rules import commit_index, has_won
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, RaftState
from pyraft_lab.engine.types import NodeId
from pyraft_lab.lab.cluster_view import ClusterView, ServerView
from pyraft_lab.lab.wire import Decision, Tally
from pyraft_lab.trace.text import command_text, server, voters


def decisions(view: ClusterView) -> tuple[Decision, ...]:
    """Every current election, commit or leadership of the newest term.

    ``sets`` has one tally for each voter set: its members, the servers that agree, those that refuse, and the need.
    """
    alive = [one for one in view.servers.values() if one.up]
    busy = [one for one in alive if isinstance(one.state.role, (PreCandidate, Candidate, Leader))]
    if not busy:
        return ()
    newest = max(_running_for(one.state) for one in busy)
    return tuple(_by_own_rule(one) for one in busy if _running_for(one.state) == newest)


def _running_for(state: RaftState) -> int:
    return state.term + isinstance(state.role, PreCandidate)


def _by_own_rule(one: ServerView) -> Decision:
    """The decision; if this run's own rule takes it and not Raft's, the need is unknown."""
    decision = _decision(one.state)
    decides = commit_index if isinstance(one.state.role, Leader) else has_won
    name = decides.__name__
    is_settled = isinstance(one.state.role, Leader) and one.state.log.last.index <= one.state.committed
    if is_settled or one.rules is None or is_own(one.rules, decides):
        return decision
    line = f"this run's rule {name} ({title_of(getattr(one.rules, name))}) decides, not Raft's own"
    return replace(decision, line=line, plain=line)


def _decision(state: RaftState) -> Decision:
    match state.role:
        case PreCandidate(granted=granted, refused=refused):
            return _election(state, "prevote", granted, refused)
        case Candidate(granted=granted, refused=refused):
            return _election(state, "vote", granted, refused)
        case Leader() as role:
            return _commitment(state, role) if state.log.last.index > state.committed else _leadership(state)
        case _:
            raise AssertionError("only an active server decides something")


def _election(
    state: RaftState, what: Literal["prevote", "vote"], granted: Collection[NodeId], refused: Collection[NodeId]
) -> Decision:
    term = _running_for(state)
    sets = tuple(_tallies(state.membership, granted, refused))
    question = f"{server(state.id)} asks whether it could win term {term}" if what == "prevote" else ""
    title = question or f"{server(state.id)} asks for votes in term {term}"
    line = f"it {'may become a candidate' if what == 'prevote' else 'leads'} as soon as {_majority(sets)} say yes"
    return Decision(what=what, by=state.id, term=term, title=title, line=line, plain=line, sets=sets)


def _commitment(state: RaftState, role: Leader) -> Decision:
    index = max(state.committed + 1, role.noop)
    holders = [node for node, matched in state.matched.items() if matched >= index]
    sets = tuple(_tallies(state.membership, holders, ()))
    title = f"{server(state.id)} leads term {state.term}"
    if state.membership.is_joint:
        title += ": both sets must agree"
    line = f"entry {index} is committed once {_majority(sets)} have it on disk"
    writes = _written(state.log, index)
    plain = f"{writes} is safe as soon as {_majority(sets)} have stored it" if writes else _plain_leadership(state)
    return Decision(what="commit", by=state.id, term=state.term, index=index, title=title, line=line, plain=plain,
                    sets=sets, writes=bool(writes))  # fmt: skip


def _leadership(state: RaftState) -> Decision:
    title = f"{server(state.id)} leads term {state.term}"
    line = f"everything up to entry {state.committed} is committed"
    sets = tuple(_tallies(state.membership, (), ()))
    plain = _plain_leadership(state)
    return Decision(what="leads", by=state.id, term=state.term, title=title, line=line, plain=plain, sets=sets)


def _plain_leadership(state: RaftState) -> str:
    """What a new leader's first commit means, for a reader who knows writes but neither entries nor commits."""
    held = state.log.slice(state.log.start.index + 1, state.committed + 1)
    has_written = any(isinstance(entry.payload, Normal) for entry in held)
    return "every write so far is safe" if has_written else "the other servers follow it"


def _written(log: Log, index: int) -> str:
    """A client's command at an index, as text; empty if that entry is not a client's."""
    payloads = [entry.payload for entry in log.slice(index, index + 1)]
    return next((command_text(one.data) for one in payloads if isinstance(one, Normal)), "")


def _tallies(membership: Membership, agree: Collection[NodeId], refuse: Collection[NodeId]) -> Iterator[Tally]:
    names = ("C-old", "C-new") if membership.is_joint else ("voters",)
    for place, config in enumerate(membership.configs):
        yield Tally(
            name=names[min(place, len(names) - 1)],
            of=tuple(sorted(config)),
            yes=tuple(sorted(config & set(agree))),
            no=tuple(sorted(config & set(refuse))),
            need=len(config) // 2 + 1,
        )


def _majority(sets: Sequence[Tally]) -> str:
    """The majority that is needed: of each set, if there are two."""
    if len(sets) == 1:
        return f"{sets[0].need} of {len(sets[0].of)} servers"
    return " and ".join(f"{one.need} of {voters(one.of)}" for one in sets)
