"""``pyraft-lab client``: talk to the nodes of a running cluster from a shell."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pyraft_lab.engine.membership import as_change
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import LearnerNotFound, PyraftError, Timeout, UnknownNode
from pyraft_lab.network.address import Address
from pyraft_lab.network.faults import LinkFaults
from pyraft_lab.runtime.metrics import Metrics, alarms, is_member, leader_of
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.runtime.rpc import AddLearner, AllowNextRevert, ChangeMembership, TransferLeader, TriggerSnapshot
from pyraft_lab.terminal import options
from pyraft_lab.terminal.acts import NamedCommand, name_of, read_arguments
from pyraft_lab.terminal.clearing import clear_cluster
from pyraft_lab.terminal.link_faults import NoNodeAcceptsFaults, check_divides, check_known, groups_of, impose, listed
from pyraft_lab.terminal.members import remove
from pyraft_lab.terminal.reach import connect_to_cluster
from pyraft_lab.terminal.values import value_of

EXAMPLES = """pyraft-lab client --broker mqtt://localhost put x 1
pyraft-lab client --broker mqtt://localhost get x
pyraft-lab client --broker mqtt://localhost --json status
pyraft-lab client --broker mqtt://localhost add-learner 4
pyraft-lab client --broker mqtt://localhost change-membership 1,2,4
pyraft-lab client --broker mqtt://localhost partition 1,2 3,4,5   for nodes that joined, or run with --weather"""
ACTS: Mapping[str, NamedCommand] = {
    "put": NamedCommand("KEY VALUE", "write; a value that is valid JSON is stored as JSON", (str, value_of)),
    "get": NamedCommand("KEY", "read, linearizably", (str,)),
    "delete": NamedCommand("KEY", "delete a key", (str,)),
    "status": NamedCommand("", "the state of every node"),
    "add-learner": NamedCommand("N", "add a learner; waits until it has the log", (options.node,)),
    "change-membership": NamedCommand(
        "1,2,4", "choose the voters; new voters must be learners before", (options.nodes,)
    ),
    "remove": NamedCommand("N", "remove a learner or a voter from the cluster", (options.node,)),
    "clear": NamedCommand(
        "[CLUSTER]",
        "list what the broker keeps of an ended cluster; with its name: clear it",
        (options.cluster,),
        optional=True,
    ),
    "transfer": NamedCommand("N", "transfer leadership to another voter", (options.node,)),
    "snapshot": NamedCommand("N", "make a node store a snapshot in place of its log", (options.node,)),
    "allow-next-revert": NamedCommand(
        "N", "let a voter that lost its disk start again from nothing, once", (options.node,)
    ),
    "partition": NamedCommand(
        "1,2 3,4,5", "cut the links between groups of nodes that accept faults", (options.nodes,), many=True
    ),
    "loss": NamedCommand("0.2", "lose this share of all messages between nodes that accept faults", (options.share,)),
    "heal": NamedCommand("", "undo partition and loss"),
}
"""All commands of the client."""
RETAINED_TIMEOUT = 0.3
"""Seconds in which every live node is found: its retained status comes with the subscription."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 if it succeeded."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        chosen.words = read_arguments(name_of(ACTS, chosen.act), ACTS[chosen.act], chosen.words)
        if chosen.act == "partition":
            chosen.words = groups_of(chosen.words)
    except PyraftError as wrong:
        parser.error(str(wrong))
    return options.run(_do(chosen))


async def _do(chosen: argparse.Namespace) -> int:
    async with connect_to_cluster(chosen, within=chosen.timeout) as remote:
        try:
            answer = await _ask(remote, chosen)
        except Timeout as late:
            raise _explained(late, remote.metrics, chosen.cluster) from late
    text = as_json(answer) if chosen.json else _in_words(answer)
    print("(nothing)" if chosen.act == "get" and answer is None and not chosen.json else text)
    return options.OVER


def as_json(answer: Any) -> str:
    """Valid JSON for any answer of a machine: other values become text, and NaN or infinity becomes null."""
    try:
        plain = msgspec.to_builtins(answer, str_keys=True, enc_hook=str)
        return json.dumps(msgspec.json.decode(msgspec.json.encode(plain)))
    except (TypeError, ValueError):  # keys that JSON does not allow
        return json.dumps(repr(answer))


def _explained(late: Timeout, metrics: Mapping[NodeId, Metrics], cluster: str) -> PyraftError:
    """Explain a timeout by what is known of the nodes."""
    if not metrics:
        return PyraftError(f"no node of cluster {cluster} is up ({late}); check --cluster, or start its nodes")
    if leader_of(metrics) is not None:
        return late
    voters = max(metrics.values(), key=lambda now: now.membership_id).membership.voters
    missing = ", ".join(map(str, sorted(voters - metrics.keys())))
    if not missing:
        return PyraftError(f"{late}: cluster {cluster} has no leader at present; try again")
    listed = ", ".join(map(str, sorted(voters)))
    return PyraftError(
        f"{late}: cluster {cluster} has no leader, because that takes a majority of its voters {listed}; "
        f"not heard from: {missing}"
    )


async def _ask(remote: Remote, chosen: argparse.Namespace) -> Any:
    """Carry out the command."""
    client = remote.client(deadline=chosen.timeout)
    match chosen.act, chosen.words:
        case "put", [key, value]:
            return await client.write({"op": "put", "key": key, "value": value})
        case "delete", [key]:
            return await client.write({"op": "delete", "key": key})
        case "get", [key]:
            return await client.read(key)
        case "status", []:
            return await _status(remote, chosen.timeout)
        case _:
            return await _operate(remote, chosen)


async def _operate(remote: Remote, chosen: argparse.Namespace) -> Any:
    match chosen.act, chosen.words:
        case "add-learner", [node]:
            return await _add_learner(remote, node, chosen)
        case "change-membership", [nodes]:
            return await _change_membership(remote, nodes, chosen)
        case "remove", [node]:
            await _status(remote, chosen.timeout)
            return await remove(remote, node, seconds=chosen.timeout)
        case "transfer", [node]:
            return await _transfer(remote, node, chosen.timeout)
        case "clear", [] | [_]:
            return await clear_cluster(chosen)
        case "allow-next-revert", [node]:
            return await _allow_next_revert(remote, node, chosen.timeout)
        case "snapshot", [node]:
            return await _snapshot(remote, node, chosen.timeout)
        case _:
            return await _set_faults(remote, chosen)


async def _change_membership(remote: Remote, voters: tuple[NodeId, ...], chosen: argparse.Namespace) -> Any:
    """Change the voters; print which nodes are no longer members, because these do not learn of it."""
    question = ChangeMembership(as_change(voters), retain=chosen.retain)
    try:
        answer = str((await remote.change(question, seconds=chosen.timeout)).membership)
    except LearnerNotFound as unknown:
        raise PyraftError(f"node {unknown.node} has no log yet; first: add-learner {unknown.node}") from unknown
    for node in sorted(remote.metrics):
        if not is_member(node, remote.metrics):
            sys.stderr.write(f"node {node} is no longer a member; you may stop it\n")
    return answer


async def _add_learner(remote: Remote, node: NodeId, chosen: argparse.Namespace) -> Any:
    """Let a node receive the log; if it is not up, print how to start it, at once and again after the timeout."""
    await _status(remote, chosen.timeout)
    if node not in remote.metrics and not chosen.no_wait:
        sys.stderr.write(
            f"node {node} was not heard from yet; waiting {chosen.timeout:g} s. {_how_to_start(node, chosen)}\n"
        )
    try:
        return str((await remote.change(AddLearner(node, not chosen.no_wait), seconds=chosen.timeout)).membership)
    except Timeout:
        if node in remote.metrics or not remote.metrics:
            raise
        is_member = any(node in now.membership.nodes for now in remote.metrics.values())
        raise NotHeardOf(node, chosen, is_member=is_member) from None


def _how_to_start(node: NodeId, chosen: argparse.Namespace) -> str:
    place = f"--cluster {chosen.cluster} " if chosen.cluster != "demo" else ""
    broker = Address.parse(chosen.broker)
    return f"Start it with: pyraft-lab node --id {node} {place}--broker {broker} --data data/{node}"


class NotHeardOf(PyraftError):
    """A node that should receive the log is not up."""

    def __init__(self, node: NodeId, chosen: argparse.Namespace, *, is_member: bool) -> None:
        so_far = "it is a learner now, and receives the log once it is up" if is_member else "it is not a learner yet"
        super().__init__(
            f"node {node} was not heard from within {chosen.timeout:g} s; {so_far}. {_how_to_start(node, chosen)}"
        )


async def _set_faults(remote: Remote, chosen: argparse.Namespace) -> str | Mapping[str, list[NodeId]]:
    """Inject a fault into the links of the nodes that accept faults; the nodes that applied it."""
    await _status(remote, chosen.timeout)
    match chosen.act, chosen.words:
        case "partition", groups:
            check_known(remote, (node for group in groups for node in group))
            check_divides(remote, groups)
            return await _impose(remote, LinkFaults(groups=groups), chosen, named=frozenset().union(*groups))
        case "loss", (share,):
            return await _impose(remote, LinkFaults(loss=share), chosen)
        case _:
            return await _impose(remote, LinkFaults(), chosen)


async def _impose(
    remote: Remote, faults: LinkFaults, chosen: argparse.Namespace, *, named: frozenset[NodeId] = frozenset()
) -> str | Mapping[str, list[NodeId]]:
    """Inject faults, or raise ``NoNodeAcceptsFaults``; ``heal`` is always sent, for nodes that come later."""
    up = remote.metrics.keys()
    refusing = {node for node in named if node in up and node not in remote.faults_applied}
    if (refusing or not up & remote.faults_applied.keys()) and faults != LinkFaults():
        raise NoNodeAcceptsFaults(refusing)
    applied = await impose(remote, faults, seconds=chosen.timeout)
    if not applied:
        raise NoNodeAcceptsFaults
    missing = up - set(applied)
    if chosen.json:
        return {"obeyed": sorted(applied), "not": sorted(missing)}
    return f"done; applied by {listed(applied)}" + (
        f", not by {listed(missing)}: started without --weather" if missing else ""
    )


async def _snapshot(remote: Remote, node: NodeId, seconds: float) -> str:
    """Make one node build a snapshot; the node must be up."""
    up = await _status(remote, seconds)
    if node not in up:
        raise UnknownNode(node, up)
    try:
        async with asyncio.timeout(seconds):
            built: str = await remote.ask(node, TriggerSnapshot())
    except TimeoutError:
        raise Timeout(f"a snapshot of node {node}", seconds) from None
    return built


async def _allow_next_revert(remote: Remote, node: NodeId, seconds: float) -> str:
    """Confirm that a voter lost its disk; the leader then sends it everything again."""
    await remote.ask_leader(AllowNextRevert(node), seconds=seconds)
    return f"node {node} may start again from nothing, once, under the present leader"


async def _transfer(remote: Remote, to: NodeId, seconds: float) -> NodeId:
    """Transfer leadership, and wait until the node leads."""
    await remote.ask_leader(TransferLeader(to), seconds=seconds)
    try:
        async with asyncio.timeout(seconds):
            await remote.until(lambda: to in remote.metrics and remote.metrics[to].role == "leader")
    except TimeoutError:
        raise Timeout(f"the leadership of node {to}", seconds) from None
    return to


async def _status(remote: Remote, seconds: float) -> dict[NodeId, Metrics]:
    """The metrics of every live node; raises an error if none is up."""
    try:
        async with asyncio.timeout(seconds):
            await remote.until(lambda: bool(remote.metrics))
    except TimeoutError:
        raise Timeout("the status of any node", seconds) from None
    await asyncio.sleep(RETAINED_TIMEOUT)
    return dict(sorted(remote.metrics.items()))


def _in_words(answer: Any) -> str:
    match answer:
        case dict() if all(isinstance(one, Metrics) for one in answer.values()):
            lines = [line(now) + ("" if is_member(id, answer) else "  not a member") for id, now in answer.items()]
            return "\n".join([*lines, *(f"ALARM: {one}" for one in alarms(answer))])
        case None:
            return "done"
        case str():
            return answer
        case _:
            return as_json(answer)


def line(now: Metrics) -> str:
    """One node's state in one line."""
    leader = f"leader {now.leader}" if now.leader else "no leader"
    return (
        f"node {now.id}  {now.role:<12} term {now.term}  {leader}  committed {now.committed}  "
        f"applied {now.applied.index}  log {now.last_log.index}  members {now.membership}"
    )


def _parser() -> argparse.ArgumentParser:
    acts = "\n".join(f"  {f'{name} {act.arguments}':<24} {act.about}" for name, act in ACTS.items())
    parser = options.parser("client", f"Write, read and operate a running cluster.\n\ncommands:\n{acts}", EXAMPLES)
    options.add_cluster(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument(
        "--timeout",
        type=options.seconds,
        default=10.0,
        metavar="S",
        help="seconds until the command gives up (default 10)",
    )
    parser.add_argument("--retain", action="store_true", help="change-membership: removed voters stay as learners")
    parser.add_argument("--no-wait", action="store_true", help="add-learner: do not wait until the node has the log")
    parser.add_argument("--force", action="store_true", help="clear: also while nodes are up")
    parser.add_argument("act", metavar="act", help="one of the commands above")
    parser.add_argument("words", nargs="*", metavar="...", help="its arguments")
    return parser
