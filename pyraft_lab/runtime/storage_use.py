"""A storage serves one node at a time, from the node's start to its end, and always the same node."""

from typing import ClassVar

from pyraft_lab.engine.state import Disk
from pyraft_lab.errors import StorageFailed
from pyraft_lab.storage.base import Identity, Storage, claim
from pyraft_lab.storage.memory import MemoryStorage


class StorageUse:
    """The use of a storage by one node; a second node with the same object is refused meanwhile."""

    _open: ClassVar[dict[int, "StorageUse"]] = {}

    def __init__(self, storage: Storage | None, identity: Identity) -> None:
        self.storage: Storage = MemoryStorage() if storage is None else storage
        self.identity = identity

    async def begin(self) -> Disk:
        """Claim the storage and load it; ``StorageFailed`` if it is in use, another node's, or damaged."""
        other = self._open.setdefault(id(self.storage), self)
        if other is not self:
            raise StorageFailed(
                f"the {type(self.storage).__name__} that {self.identity} was given is in use by {other.identity}",
                "give every node a storage of its own; a restarted node uses its own again after shutdown()",
            )
        try:
            await claim(self.storage, self.identity)
            return await self.storage.load()
        except BaseException:
            await self.end()
            raise

    async def end(self) -> None:
        """Close the storage, if it is in use here; a second call is no error."""
        if self._open.get(id(self.storage)) is not self:
            return
        try:
            await self.storage.close()
        finally:
            del self._open[id(self.storage)]
