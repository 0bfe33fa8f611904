"""Goals of puzzles: each says what of it is missing in a run; nothing where it is reached."""

from collections.abc import Iterator

from pyraft_lab.engine.commands import InstallSnapshot, Truncate
from pyraft_lab.engine.messages import AppendRequest
from pyraft_lab.engine.state import Leader, Step
from pyraft_lab.engine.types import LogId, NodeId
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.views import ClientCall
from pyraft_lab.sim.world import Query, Write
from pyraft_lab.trace.record import Kind


def leaders(sim: Simulation) -> list[NodeId]:
    """The servers in the role of leader, whatever their terms."""
    return [node.id for node in sim.nodes.values() if node.up and node.role == "leader"]


def no_two_leaders(sim: Simulation) -> str:
    """What is missing to two leaders at once."""
    now = leaders(sim)
    return "" if len(now) > 1 else f"{f'only n{now[0]} leads' if now else 'no server leads'} at this moment"


def no_late_commit(sim: Simulation) -> str:
    """What is missing to a write that took two seconds."""
    call = _write(sim, 2)
    if not call.ok or call.returned is None:
        return "the write of x = 2 has not been answered"
    took = call.returned - call.invoked
    return "" if took >= 2.0 else f"it was answered after {took:.2f} s"


def no_stale_read(sim: Simulation) -> str:
    """What is missing to a read that is older than an acknowledged write."""
    reads = [one for one in sim.calls if isinstance(one.call.request, Query) and one.ok]
    if not reads:
        return "no read has been answered"
    return "" if any(_is_stale(one, sim) for one in reads) else "every read saw the newest acknowledged value"


def no_stale_lease_read(sim: Simulation) -> str:
    """The same, by a lease read."""
    leased = [one for one in sim.calls if isinstance(one.call.request, Query) and one.call.request.policy == "lease"]
    if not any(one.ok for one in leased):
        return "no lease read has been answered"
    return "" if any(_is_stale(one, sim) for one in leased if one.ok) else "every lease read saw the newest value"


def _is_stale(read: ClientCall, sim: Simulation) -> bool:
    before = [one for one in sim.calls if one.ok and one.ended is not None and one.ended < read.began]
    values = [one.call.request.command["value"] for one in before if isinstance(one.call.request, Write)]
    return bool(values) and read.value != values[-1]


def no_lost_entry(sim: Simulation) -> str:
    """What is missing to an entry that was removed from a log."""
    return "" if any(_commands(sim, Truncate)) else "no server has removed an entry from its log"


def no_figure_8(sim: Simulation) -> str:
    """What is missing to an entry on three disks that is replaced afterwards."""
    entry = LogId(1, 1, 3)
    copies = (
        sum(node.synced.log.has(entry) for node in world.nodes.values()) for world in sim.worlds(0, sim.world.events)
    )
    if max(copies) < 3:
        return "entry 3 of term 1 was never on three disks"
    left = [node.id for node in sim.nodes.values() if node.disk.log.has(entry)]
    return "" if len(left) < 3 else f"it is still on the disks of {', '.join(f'n{node}' for node in left)}"


def no_leader_3(sim: Simulation) -> str:
    """What is missing to the leadership of n3."""
    now = leaders(sim)
    return "" if now == [3] else f"the leaders now: {', '.join(f'n{node}' for node in now) or 'none'}"


def no_split_votes(sim: Simulation) -> str:
    """What is missing to three terms in a row without a leader."""
    led_terms = {one.after.term for one in _steps(sim) if isinstance(one.after.role, Leader)}
    last = max(node.term for node in sim.nodes.values())
    empty = last - max(led_terms, default=0)
    return "" if empty >= 3 else f"the last {empty} terms had no leader" if empty else f"term {last} had a leader"


def no_snapshot_sent(sim: Simulation) -> str:
    """What is missing to an installed snapshot."""
    return "" if any(_commands(sim, InstallSnapshot)) else "no server has installed a snapshot from its leader"


def not_joint(sim: Simulation) -> str:
    """What is missing to two seconds in a joint membership."""
    began: dict[NodeId, float] = {}
    longest = 0.0
    for record in sim.trace.records:
        if record.step is not None and record.step.after.membership.is_joint:
            began.setdefault(record.node, record.time)
        elif record.step is not None and record.node in began:
            longest = max(longest, record.time - began.pop(record.node))
    longest = max([longest, *(sim.now - time for time in began.values())])
    if not longest:
        return "no server has entered a joint membership"
    return "" if longest >= 2.0 else f"the longest joint membership lasted {longest:.2f} s"


def not_twice(sim: Simulation) -> str:
    """What is missing to entries that arrive twice."""
    copied = {
        one.id for record in sim.trace.records for one in record.sent if one.copy_of is not None and _has(one.message)
    }
    came = {record.message for record in sim.trace.records if record.kind is Kind.RECEIVE}
    return "" if copied & came else "no message with entries arrived a second time"


def _has(message: object) -> bool:
    return isinstance(message, AppendRequest) and bool(message.entries)


def not_deposed(sim: Simulation) -> str:
    """What is missing to a leader that gave up while it was up."""
    ended = [
        one for one in _steps(sim) if isinstance(one.before.role, Leader) and not isinstance(one.after.role, Leader)
    ]
    return "" if ended else "the leader has not given up its leadership"


def not_enough(sim: Simulation) -> str:
    """What is missing to a committed write while two servers are down."""
    down = sum(not node.up for node in sim.nodes.values())
    if down < 2:
        return f"{down} of 5 servers {'is' if down == 1 else 'are'} down"
    return "" if _write(sim, 2).ok else "no write of x = 2 has been acknowledged"


def not_forgotten(sim: Simulation) -> str:
    """What is missing to the loss of an acknowledged write."""
    call = next((one for one in sim.calls if isinstance(one.call.request, Write) and _value(one) == 2), None)
    if call is None or not call.ok:
        return "no write of x = 2 was acknowledged; write it"
    if sim.leader is None:
        return "there is no leader"
    return "" if sim.nodes[sim.leader].machine.query("x") != 2 else "the leader still knows that x is 2"


def _value(call: ClientCall) -> object:
    return call.call.request.command["value"] if isinstance(call.call.request, Write) else None


def _write(sim: Simulation, value: int) -> ClientCall:
    found = [one for one in sim.calls if _value(one) == value]
    return found[0] if found else sim.calls[0]


def _steps(sim: Simulation) -> Iterator[Step]:
    return (record.step for record in sim.trace.records if record.step is not None)


def _commands(sim: Simulation, kind: type) -> Iterator[object]:
    return (command for step in _steps(sim) for command in step.commands if isinstance(command, kind))
