"""Real processes, real disks and a real broker, while a nemesis kills, pauses, cuts and changes who votes.

The short form runs always; ``make soak`` runs the long one (``SOAK=120``), of three and of five processes.
"""

import asyncio
import itertools
import logging
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from msgspec import Struct, field

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.engine.config import Config
from pyraft_lab.errors import PyraftError
from pyraft_lab.history import History, Operation
from pyraft_lab.runtime.client import Client
from pyraft_lab.runtime.processes import ProcessCluster
from pyraft_lab.runtime.recording_client import RecordingClient
from tests.runtime.nemesis import GoesOn, Nemesis, Usage

log = logging.getLogger(__name__)
SECONDS = float(os.environ.get("SOAK", "8"))
IS_LONG = SECONDS >= 60
CONFIG = Config(
    election_timeout=(0.5, 1.0), heartbeat_interval=0.1, snapshot_logs_since_last=300, keep_logs=50, prompt_commit=False
)
ENOUGH, GENEROUS = int(SECONDS / 4) + 1, 120.0
"""Lines of the journal that a run waits for, and seconds that a busy machine may take longer for them."""
WITNESSES, KEYS, EPOCH = 4, 5, 10.0
"""Clients whose calls are noted; the keys they share, and for how many seconds: short histories are soon checked."""
CALLERS, CROWDS = 500, 10
"""Callers that count, each one call after the other, and the clients that they share."""
OPERATORS = 100
"""Entries that no client's command needs: leaders' noops, memberships, and batches that arrived out of order."""
pytestmark = [
    pytest.mark.usefixtures("each_broker"),
    pytest.mark.timeout(SECONDS * 3 + 180 + GENEROUS),
]


class Journal(Struct):
    """A client that writes one line after the other; what was acknowledged must be there, once and in order."""

    client: Client
    tried: list[int] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)

    async def run(self, goes_on: GoesOn) -> None:
        """Write while the test ``goes_on``."""
        for number in itertools.takewhile(lambda _: goes_on(), itertools.count(1)):
            self.tried.append(number)
            try:
                await self.client.write({"op": "append", "key": "journal", "value": [number]})
            except PyraftError:
                continue
            self.acknowledged.append(number)

    def lost(self, found: Sequence[int]) -> list[int]:
        """What was acknowledged and is not there."""
        return sorted(set(self.acknowledged) - set(found))

    def invented(self, found: Sequence[int]) -> list[int]:
        """What is there twice, out of order, or was never written."""
        follows = [after for before, after in itertools.pairwise(found) if after <= before]
        return [*follows, *sorted(set(found) - set(self.tried))]


class Crowd(Struct):
    """Callers that share a client and count with one key: each acknowledged count once, the others at most once."""

    client: Client
    key: str
    acknowledged: int = 0
    unknown: int = 0

    async def run(self, goes_on: GoesOn) -> None:
        """Count while the test ``goes_on``; between two calls a caller does something else for a moment."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS // CROWDS):
                group.create_task(self._count(goes_on))

    async def _count(self, goes_on: GoesOn) -> None:
        while goes_on():
            try:
                await self.client.write({"op": "incr", "key": self.key})
            except PyraftError:
                self.unknown += 1
            else:
                self.acknowledged += 1
            await asyncio.sleep(0.2)

    def is_exact(self, found: int) -> bool:
        """Whether ``found`` counts every acknowledged call once."""
        return self.acknowledged <= found <= self.acknowledged + self.unknown


async def work(
    witness: RecordingClient, cluster: ProcessCluster, goes_on: GoesOn, *, keys: set[str], chance: random.Random
) -> None:
    """Write and read a few keys, which are noted in ``keys``; a call without an answer is noted as such."""
    number = 0
    while goes_on():
        number += 1
        key = f"k{chance.randrange(KEYS)}-{cluster.now // EPOCH:.0f}"
        keys.add(key)
        try:
            if chance.random() < 0.5:
                await witness.write({"op": "put", "key": key, "value": f"{witness.name}-{number}"})
            else:
                await witness.read(key)
        except PyraftError:
            continue


class Run:
    """One soak: what was done to the cluster, what its clients heard, what its processes used."""

    def __init__(self, nodes: int, seed: int) -> None:
        self.nodes, self.seed = nodes, seed
        self.notes: list[Operation] = []
        self.keys: set[str] = set()
        self.done: list[str] = []
        self.journal: Journal
        self.crowds: list[Crowd] = []
        self.counts: list[int] = []
        self.entries = 0
        self.found: Sequence[int] = ()
        self.used = pd.DataFrame()

    async def live(self, cluster: ProcessCluster) -> None:
        """From the first leader to the last read; it takes longer where hardly anything is acknowledged."""
        await cluster.wait_leader(30)
        end = cluster.now + SECONDS

        def goes_on() -> bool:
            wants_more = len(self.journal.acknowledged) < ENOUGH
            return cluster.now < (end + GENEROUS if wants_more else end)

        nemesis, usage = Nemesis(cluster, self.nodes, random.Random(self.seed)), Usage(cluster)
        self.done, self.journal = nemesis.done, Journal(cluster.new_client(deadline=5))
        witnesses = [self._witness(cluster, name, deadline=5) for name in range(WITNESSES)]
        self.crowds = [Crowd(cluster.new_client(deadline=5), f"crowd {number}") for number in range(CROWDS)]
        async with asyncio.TaskGroup() as group:
            group.create_task(nemesis.run(goes_on))
            group.create_task(usage.run(goes_on))
            group.create_task(self.journal.run(goes_on))
            for crowd in self.crowds:
                group.create_task(crowd.run(goes_on))
            for place, witness in enumerate(witnesses):
                group.create_task(
                    work(witness, cluster, goes_on, keys=self.keys, chance=random.Random(self.seed + place))
                )
        await self._read_all(cluster)
        usage.look()
        self.used = usage.of(nemesis.elder)

    async def _read_all(self, cluster: ProcessCluster) -> None:
        last = self._witness(cluster, "last", deadline=60)
        for key in sorted(self.keys):
            await last.read(key)
        self.found = await last.client.read("journal") or ()
        self.counts = [await last.client.read(crowd.key) or 0 for crowd in self.crowds]
        self.entries = max(now.last_log.index for now in cluster.metrics.values())

    def _witness(self, cluster: ProcessCluster, name: int | str, *, deadline: float) -> RecordingClient:
        client = cluster.new_client(deadline=deadline)
        return RecordingClient(client, name=name, notes=self.notes, now=lambda: cluster.now)

    @property
    def commands(self) -> int:
        """Calls that may each have become an entry of the log; callers that share a client share entries as well."""
        crowds = sum(crowd.acknowledged + crowd.unknown for crowd in self.crowds)
        return crowds + len(self.journal.tried) + len(self.notes)

    @property
    def miscounted(self) -> dict[str, tuple[int, int, int]]:
        """What crowds counted and what was found, where this was not exactly once."""
        pairs = zip(self.crowds, self.counts, strict=True)
        return {one.key: (one.acknowledged, one.unknown, found) for one, found in pairs if not one.is_exact(found)}

    @property
    def files(self) -> tuple[int, int, int]:
        """Open files of the elder: at first, at most, and at last."""
        files = self.used.files
        return int(files.iloc[0]), int(files.max()), int(files.iloc[-1])

    @property
    def megabytes(self) -> list[float]:
        """Memory of the elder, as the median of each quarter of the time."""
        cuts = [len(self.used) * quarter // 4 for quarter in range(5)]
        memory = self.used.megabytes
        return [round(float(memory.iloc[start:stop].median()), 1) for start, stop in itertools.pairwise(cuts)]

    @property
    def figures(self) -> str:
        """What a reader of the log wants to know."""
        told, calls = sum(note.returned is not None for note in self.notes), len(self.notes)
        deeds = ", ".join(f"{name} {times}" for name, times in sorted(Counter(self.done).items()))
        return (
            f"{self.nodes} processes, {SECONDS:g} s, seed {self.seed}: {deeds}; {told} of {calls} calls answered"
            f", {len(self.journal.acknowledged)} of {len(self.journal.tried)} lines of the journal acknowledged"
            f"; {sum(one.acknowledged for one in self.crowds)} counts of {CALLERS} callers acknowledged, "
            f"{sum(one.unknown for one in self.crowds)} unknown; {self.entries} entries for {self.commands} commands"
            f"; open files (first, most, last) {self.files}, MB by quarters of the time {self.megabytes}"
        )


@pytest.mark.parametrize("nodes", [3, 5] if IS_LONG else [3])
async def test_what_clients_were_told_stays_true_whatever_happens(nodes: int, tmp_path: Path) -> None:
    run = Run(nodes, seed=random.randrange(10**6))
    async with ProcessCluster(nodes, config=CONFIG, storage=str(tmp_path), trace=None) as cluster:
        await run.live(cluster)
    log.info("%s", run.figures)
    verdict = check_linearizable(History(run.notes), "kv", timeout=60)
    assert verdict.ok, f"{run.figures}: {verdict.explain()}"
    assert not run.journal.lost(run.found), run.figures
    assert not run.journal.invented(run.found), run.figures
    assert not run.miscounted, f"not exactly once: {run.miscounted}; {run.figures}"
    assert run.entries <= run.commands + OPERATORS, f"the log grows by more than commands: {run.figures}"
    assert len(run.journal.acknowledged) >= ENOUGH, f"hardly anything was acknowledged: {run.figures}"
    first, _, last = run.files
    assert last <= first + 1, f"files are left open: {run.figures}"  # one may be a snapshot that is being written
    _, warm, _, late = run.megabytes
    assert not IS_LONG or late <= 1.1 * warm, f"memory grows: {run.figures}"
