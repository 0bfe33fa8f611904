"""A client goes on where a node is gone."""

from collections.abc import Sequence
from typing import Any

from pyraft_lab.engine.events import ReadPolicy
from pyraft_lab.engine.types import Index, NodeId
from pyraft_lab.errors import UnknownNode
from pyraft_lab.runtime.client import Client


class Vanishing:
    """A door to two nodes, of which the first is killed whenever it is looked for."""

    def __init__(self) -> None:
        self.up: list[NodeId] = [1]

    def nodes(self) -> Sequence[NodeId]:
        return tuple(self.up)

    async def write(self, node: NodeId, commands: Sequence[bytes]) -> Sequence[Any]:
        await self.index(node)
        return [node for _ in commands]

    async def read(self, node: NodeId, _query: Any, _policy: ReadPolicy) -> Any:
        return await self.index(node)

    async def index(self, node: NodeId) -> Index:
        if node == 1:
            self.up = [2]
            raise UnknownNode(node, self.up)
        return 7


async def test_a_node_that_is_killed_while_it_is_asked_is_passed_over() -> None:
    assert await Client(Vanishing()).read("x") == 7
    assert await Client(Vanishing()).write({"op": "get", "key": "x"}) == 2
