"""A small cluster in bad weather: one seed decides everything, and every step is judged."""

from collections.abc import Iterable
from typing import Any

from pyraft_lab.engine.events import (
    ChangeMembership,
    Elect,
    Propose,
    PurgeLog,
    Read,
    TransferLeader,
)
from pyraft_lab.engine.log import Normal
from pyraft_lab.engine.membership import (
    AddLearners,
    AddVoters,
    Batch,
    Change,
    RemoveLearners,
    RemoveVoters,
    ReplaceVoters,
)
from pyraft_lab.engine.types import NodeId, RequestId
from tests.engine.driver import Driver


class Storm(Driver):
    """Clients that write and read, operators with orders sensible or not, and trouble; until it is calm."""

    def __init__(self, seed: int, **setting: Any) -> None:
        super().__init__(seed, **setting)
        for again in (self.write, self.ask, self.trouble, self.order):
            self.later(self.chance.uniform(0.3, 0.6), again)

    # Clients, operators, and trouble

    def fresh(self) -> RequestId:
        self.requests += 1
        return self.requests

    def anybody(self) -> NodeId:
        return self.chance.choice([*self.leaders, *self.leaders, *self.nodes])

    def write(self) -> None:
        self.later(self.chance.uniform(0.3, 0.5) if self.calm else self.chance.uniform(0.002, 0.02), self.write)
        request = self.fresh()
        self.feed(self.anybody(), Propose(requests=(request,), payloads=(Normal(b"%d" % request),)))

    def ask(self) -> None:
        self.later(self.chance.uniform(0.005, 0.03), self.ask)
        request = self.fresh()
        self.witness.expect(request)
        self.feed(self.anybody(), Read((request,), "lease" if self.chance.random() < 0.5 else "index"))

    def order(self) -> None:
        """An operator's orders, sensible or not."""
        self.later(self.chance.uniform(0.05, 0.4), self.order)
        if self.calm:
            return
        whom, to = self.anybody(), self.chance.choice(list(self.nodes))
        dice = self.chance.random()
        if dice < 0.6 and self.weather.churn:
            request, retain = self.fresh(), self.chance.random() < 0.5
            self.feed(whom, ChangeMembership(request=request, change=self.any_change(), retain=retain))
        elif dice < 0.8 and self.weather.transfer:
            self.feed(whom, TransferLeader(self.fresh(), to))
        elif dice < 0.9:
            self.feed(whom, PurgeLog(self.nodes[whom].state.applied))
        elif self.weather.elect:
            self.feed(to, Elect(pre_vote=self.chance.random() < 0.5))

    def any_change(self) -> Change:
        everybody = sorted(self.nodes)
        some = frozenset(self.chance.sample(everybody, self.chance.randint(1, len(everybody))))
        changes: list[Change] = [
            Batch((AddLearners(some), ReplaceVoters(some))),
            Batch((AddLearners(some), ReplaceVoters(some))),
            AddVoters(dict.fromkeys(some, "")),
            RemoveVoters(some),
            AddLearners(some),
            RemoveLearners(some),
            Batch(()),
        ]
        return self.chance.choice(changes)

    def trouble(self) -> None:
        self.later(self.chance.uniform(0.05, 0.6), self.trouble)
        if self.calm:
            return
        dice = self.chance.random()
        if dice < 0.3 and self.weather.crash:
            self.crash(self.chance.choice([*self.leaders, *self.nodes]))
        elif dice < 0.6:
            for id, node in self.nodes.items():
                if not node.up:
                    self.start(id)
        elif dice < 0.8 and self.weather.partition:
            self.cut(self.chance.sample(sorted(self.nodes), self.chance.randint(1, len(self.nodes) - 1)))
        elif dice < 0.85 and self.weather.partition:
            pair = self.chance.sample(sorted(self.nodes), 2)
            self.cuts.add((pair[0], pair[1]))
        else:
            self.cuts.clear()

    def cut(self, few: Iterable[NodeId]) -> None:
        """A partition: nothing passes between these and the others."""
        side = set(few)
        self.cuts = {(a, b) for a in self.nodes for b in self.nodes if (a in side) != (b in side)}
