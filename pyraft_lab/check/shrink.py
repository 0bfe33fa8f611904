"""Shrinking: from a run that violates a property to a short run that violates the same property.

First it removes servers, then moves: halves, quarters … single ones, as long as the same property is still violated
(delta debugging). Then it turns back every knob that the violation does not need. For a run under wrong rules, the same
moves under the right rules must not violate the property, so the result shows the mistake of those rules and nothing
that would happen to any Raft.
"""

from collections.abc import Sequence
from itertools import combinations

from msgspec.structs import fields, replace

from pyraft_lab.check.checkers import checks_of
from pyraft_lab.check.failure import LINEARIZABLE, failure
from pyraft_lab.check.schedule import Move, Timing, by_the_clock, in_order_only, moves_of, play
from pyraft_lab.engine.config import Config
from pyraft_lab.engine.engine import Engine, raft
from pyraft_lab.engine.rules import ADVANCED, RAFT, supersedes_in_order
from pyraft_lab.engine.types import NodeId
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.sim.world import Invoke, Query

LEAST = 3
"""The minimum number of servers: with fewer, a majority is all of them."""


def shrink(run: Simulation | str) -> Simulation:
    """A short run that violates the same property as ``run``, a simulation or its capsule.

    Raises ``PyraftError`` if ``run`` violates no property.
    """
    if isinstance(run, str):
        run = _rebuilt(run)
    if not isinstance(run, Simulation):
        raise ConfigError("run", run, "must be a Simulation, or its capsule, a string")
    found = failure(run)
    if found is None:
        raise PyraftError(
            "nothing is violated in this run, so there is nothing to shrink; shrink a run with a violation"
        )
    small = Shrinker(run, found.name)
    small.drop_servers()
    small.drop_moves()
    while small.drop_servers() or small.reset_knobs():
        small.drop_moves()
    return small.result()


def _rebuilt(text: str) -> Simulation:
    """The run in a capsule, with all checks of a campaign if those of every simulation find nothing in it."""
    run = Simulation.from_capsule(text)
    if failure(run) is not None:
        return run
    setting = run.world.setting
    return Simulation.from_capsule(text, checks=checks_of(setting.engine, setting.config, strict=True))


class Shrinker:
    """Finds the smallest run that violates a property; holds the smallest so far."""

    def __init__(self, run: Simulation, violation: str) -> None:
        self.run, self.violation = run, violation
        self.left_out: tuple[NodeId, ...] = ()
        self.config = run.world.setting.config
        self.moves: Sequence[Move] = moves_of(run)
        self.right = _right_engine(run)
        self.timing: Timing = in_order_only
        if self._rests_on_clocks() or not self._accept(self.moves):
            self.timing = by_the_clock
            if not self._accept(self.moves):
                raise PyraftError(f"{violation} is not violated again when the run is played move by move")

    def _rests_on_clocks(self) -> bool:
        """Whether lease reads make the run depend on clocks, without right rules to exclude that as the cause."""
        wishes = [move.action.call.request for move in self.moves if isinstance(move.action, Invoke)]
        return self.right is None and any(isinstance(wish, Query) and wish.policy == "lease" for wish in wishes)

    def drop_servers(self) -> bool:
        """Remove as many servers as possible, two before one, down to three; returns whether any were removed."""
        before = self.left_out
        for count in (2, 1):
            servers = [node for node in self.run.again(record=False).nodes if node not in self.left_out]
            for gone in combinations(servers, count) if len(servers) - count >= LEAST else ():
                if self._accept(self.moves, (*self.left_out, *gone)):
                    break
        return self.left_out != before

    def reset_knobs(self) -> bool:
        """Give every setting its default, as far as the violation stays; returns whether any was changed."""
        before, usual = self.config, Config()
        for name in (field.name for field in fields(Config)):
            if getattr(self.config, name) != getattr(usual, name):
                self._accept_config(replace(self.config, **{name: getattr(usual, name)}))
        return self.config != before

    def _accept_config(self, config: Config) -> None:
        """Keep a configuration if it is valid and the moves still violate the property."""
        before = self.config
        try:
            self.config = config.validated()
        except ConfigError:
            self.config = before
            return
        if not self._accept(self.moves):
            self.config = before

    def drop_moves(self) -> None:
        """Remove smaller and smaller pieces until no single move can be removed."""
        size = len(self.moves) // 2
        while size:
            before = len(self.moves)
            self._drop_pieces(size)
            if size > 1 or len(self.moves) == before:
                size //= 2

    def _drop_pieces(self, size: int) -> None:
        end = len(self.moves)
        while end > 0:
            self._accept((*self.moves[: max(0, end - size)], *self.moves[end:]))
            end = min(end - size, len(self.moves))

    def result(self) -> Simulation:
        """The shrunk run."""
        sim = self.run.again(without=self.left_out, config=self.config)
        play(sim, self.moves, self._is_over, timing=self.timing)
        return sim

    def _accept(self, moves: Sequence[Move], gone: tuple[NodeId, ...] | None = None) -> bool:
        """Keep these moves as the best so far if they violate the property, and would not under right rules."""
        gone = self.left_out if gone is None else gone
        sim = self.run.again(without=gone, config=self.config, record=False)
        made = play(sim, moves, self._is_over, timing=self.timing)
        if not self._is_violated(sim) or self._is_unfair(made, gone):
            return False
        self.moves, self.left_out = made, gone
        return True

    def _is_unfair(self, moves: Sequence[Move], gone: tuple[NodeId, ...]) -> bool:
        if self.right is None:
            return False
        sim = self.run.again(without=gone, engine=self.right, config=self.config, record=False)
        play(sim, moves, self._is_over, timing=self.timing)
        return failure(sim) is not None

    def _is_violated(self, sim: Simulation) -> bool:
        found = failure(sim) if self.violation == LINEARIZABLE or sim.violations else None
        return found is not None and found.name == self.violation

    def _is_over(self, sim: Simulation) -> bool:
        return bool(sim.violations)


def _right_engine(run: Simulation) -> Engine | None:
    """The engine with the right rules for a run under wrong ones; ``None`` if the run's rules are right."""
    rules = run.world.setting.engine.rules
    right = ADVANCED if rules.supersedes is supersedes_in_order else RAFT
    return None if rules == right else raft(right)
