"""A server's state as text: the paper's Figure 2."""

from pyraft_lab.engine.rules import has_heard_leader
from pyraft_lab.engine.state import Candidate, Leader, PreCandidate, RaftState
from pyraft_lab.exercises.questions import log_row
from pyraft_lab.trace.text import server, servers


def state_sheet(state: RaftState) -> str:
    """The state, one line for each field of Figure 2.

    >>> print(state_sheet(RaftState(id=2)))
    n2, learner, term 0
      votedFor    nobody
      log         empty
      committed   0 (applied 0)
      members     nobody
    """
    lines = [f"{server(state.id)}, {state.role_name}, term {state.term}"]
    lines += [f"  {name:<10}  {value}" for name, value in rows(state)]
    return "\n".join(lines)


def rows(state: RaftState) -> list[tuple[str, str]]:
    """Names and values of the fields of a server's state."""
    voted = f"{server(state.vote.node)}{' (leader)' if state.vote.committed else ''}"
    found = [
        ("votedFor", voted),
        ("log", log_row(state)),
        ("committed", f"{state.committed} (applied {state.applied})"),
        ("members", str(state.membership)),
    ]
    match state.role:
        case Leader():
            matched = ", ".join(f"{server(node)} {index}" for node, index in sorted(state.matched.items()))
            found.append(("matchIndex", matched))
        case Candidate(granted=granted, refused=refused) | PreCandidate(granted=granted, refused=refused):
            found.append(("votes", f"for it: {servers(granted)}; against it: {servers(refused)}"))
        case _ if state.leader:
            heard = "heard within its lease" if has_heard_leader(state) else "silent for a while"
            found.append(("leader", f"{server(state.leader)}, {heard}"))
        case _:
            pass
    return found
