"""Clear the retained messages of an ended cluster or room from the broker."""

import argparse
from collections.abc import Mapping

from pyraft_lab.errors import NetworkFailed, PyraftError
from pyraft_lab.network.mqtt import MqttNetwork
from pyraft_lab.network.retained import clear, nodes_in, retained
from pyraft_lab.terminal import options


async def clear_cluster(chosen: argparse.Namespace) -> str:
    """Clear the cluster's retained messages, if its name was repeated and none of its nodes is up."""
    network = _network(chosen)
    kept = await retained(network)
    if not kept:
        return f"the broker keeps no messages of cluster {chosen.cluster}"
    if list(chosen.words) != [chosen.cluster]:
        told = f"messages that the broker keeps of cluster {chosen.cluster}:\n{_listed(kept)}"
        return f"{told}\nto clear them: clear {chosen.cluster}"
    alive = ", ".join(map(str, nodes_in(kept)))
    if alive and not chosen.force:
        raise PyraftError(f"nodes {alive} of cluster {chosen.cluster} are up; stop them first, or clear with --force")
    await _clear(network, kept)
    return f"cleared messages of cluster {chosen.cluster}:\n{_listed(kept)}"


async def clear_room(chosen: argparse.Namespace) -> str:
    """Clear the retained messages of a room after its teacher has left, unless a node of the room is up."""
    network = _network(chosen)
    command = f"pyraft-lab client --cluster {chosen.cluster} --broker {network.address} clear {chosen.cluster}"
    try:
        kept = await retained(network)
        if alive := ", ".join(map(str, nodes_in(kept))):
            return f"nodes {alive} are still in room {chosen.cluster}; when they have left: {command}"
        await _clear(network, kept)
    except NetworkFailed as failed:
        return f"no messages of room {chosen.cluster} were cleared: {failed}"
    except PyraftError as kept_on:
        return str(kept_on)
    return f"cleared messages of room {chosen.cluster}: {', '.join(kept)}" if kept else ""


def _network(chosen: argparse.Namespace) -> MqttNetwork:
    return MqttNetwork(chosen.broker, cluster=chosen.cluster, certificates=options.certificates(chosen))


async def _clear(network: MqttNetwork, kept: Mapping[str, bytes]) -> None:
    left = await clear(network, tuple(kept))
    if left:
        raise PyraftError(f"the broker did not clear {', '.join(left)}; use a teacher's account")


def _listed(kept: Mapping[str, bytes]) -> str:
    return "\n".join(f"  {topic}" for topic in kept)
