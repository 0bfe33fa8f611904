"""The space of worlds as plain integers: whatever makes up a world is numbered, whatever happens is computed once.

::

    world  =  messages | context | server n … server 2 | server 1      each field holds a number;
               (top)     24 bits     24 bits    24 bits    24 bits     context = past and budget left

Another world is then this one plus a difference, and the difference is remembered: hundreds of thousands of worlds
need no more than a few thousand turns of Raft. Processes that search together use fingerprints of 64 bits instead of
small numbers, so that a world is the same integer in all of them.

What need not be explored, and why:

* **Losses.** A message that is never delivered is a lost one.
* **Orders that lead to the same world.** Deliveries to different servers commute; both orders give the same integer,
  and a world that was found is not visited again. This already does what partial-order reduction is for: in Raft it
  could leave out steps between worlds, but hardly a world.
* **Stale messages.** A message of a term older than its receiver's disk that has no effect now will never have one,
  because terms on disk only grow. It is removed at once, and worlds that differ by it alone are one.
* **Requests without effect.** What a server refuses at once, without any change, is not a step.
* **Orders of timers that leases rule out** (:mod:`~pyraft_lab.check.explore.leases`); every other one is tried.
* **Names** (:mod:`~pyraft_lab.check.explore.symmetry`), where the caller says so.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pyraft_lab.check.explore.bounds import Bounds, Budget, choices, full_budget, is_within
from pyraft_lab.check.explore.exactly_once import EXACTLY_ONCE, MakeMachine, acts_once
from pyraft_lab.check.explore.explorer_state import Action, Deliver, ExplorerState, apply
from pyraft_lab.check.explore.history_variables import HistoryVariables, check_facts
from pyraft_lab.check.explore.numbering import NARROW, WIDE, FingerprintTable, Memo, MultisetTable, Table, fingerprint
from pyraft_lab.check.explore.reads import LocalFacts
from pyraft_lab.check.explore.server_state import Message, ServerState
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.messages import AnyMessage, PreVoteResponse, VoteResponse
from pyraft_lab.engine.rules import supersedes_in_order
from pyraft_lab.engine.types import Term
from pyraft_lab.machine import KeyValue
from pyraft_lab.sim.safety import COMMIT_IS_BACKED, LOG_MATCHING, has_entry, is_own_commit, logs_match

WorldKey = int
"""A world as an integer."""


class StateChange(NamedTuple):
    """What concerns the rest of the world: facts, another log, a later term on disk, a leader's commit."""

    server: int
    after: int
    facts: int
    has_new_log: bool
    has_new_term: bool
    has_commit: bool


class Outcome(NamedTuple):
    """What an act does to a world: what it adds to the integer, what was sent, and whether there is news."""

    difference: int
    sent: int
    change: StateChange | None


class Context(NamedTuple):
    """The part of a world that is neither server nor message: the past, and the remaining budget."""

    history: HistoryVariables
    budget: Budget


class Choice(NamedTuple):
    """Something that may happen to a server besides deliveries, and how it changes the context."""

    act: int
    difference: int
    outcome: Outcome


InFlight = tuple[int, ...]
"""Messages on their way, as the numbers of their deliveries, in the order of their fingerprints."""


class StateSpace:
    """All worlds that ``engine`` may bring about from ``start`` within ``bounds``."""

    def __init__(
        self,
        engine: Engine,
        bounds: Bounds,
        start: ExplorerState,
        *,
        machine: MakeMachine = KeyValue,
        table: type[Table[Any]] = Table,
    ) -> None:
        self.engine, self.bounds, self.machine = engine, bounds, machine
        self.one_a_term = engine.rules.supersedes is not supersedes_in_order
        self.nodes = [local.state.id for local in start.servers]
        self.width = WIDE if table is FingerprintTable else NARROW
        self.mask = (1 << self.width) - 1
        self.shifts = [self.width * place for place in range(len(self.nodes))]
        self.context_shift = self.width * len(self.nodes)
        self.in_flight_shift = self.context_shift + self.width
        self.calm = (1 << self.in_flight_shift) - 1
        self.servers: Table[ServerState] = table()
        self.acts: Table[Action] = table()
        self.contexts: Table[Context] = table()
        self.multisets: Table[InFlight] = MultisetTable(()) if table is FingerprintTable else Table(())
        self.posts, self.facts = Table[InFlight](()), Table[LocalFacts](())
        self.order = Memo(self._order)
        self.outcomes = Memo(self._outcome)
        self.deliveries, self.copies = Memo(self._deliveries), Memo(self._copies)
        self.choices = Memo(self._choices)
        self.recipients, self.needed = Memo(self._recipients), Memo(self._needed)
        self.mixed, self.cleared = Memo(self._mixed), Memo(self._cleared)
        self.checked, self.matches = Memo(self._checked), Memo(self._matches)
        self.backed: dict[tuple[int, tuple[int, ...]], bool] = {}
        self.first = self.key(start)

    # From worlds to integers and back

    def key(self, world: ExplorerState) -> WorldKey:
        """A world that is spelt out, with the whole budget, as an integer."""
        servers = sum(self.servers.number(one) << shift for one, shift in zip(world.servers, self.shifts, strict=True))
        context = self.contexts.number(Context(world.history, full_budget(self.bounds)))
        multiset = self.multisets.number(self._in_flight(world.messages))
        return servers | context << self.context_shift | multiset << self.in_flight_shift

    def world(self, key: WorldKey) -> ExplorerState:
        """A world spelt out."""
        context = self.contexts.values[key >> self.context_shift & self.mask]
        acts = (self.acts.values[number] for number in self.multisets.values[key >> self.in_flight_shift])
        return ExplorerState(
            servers=tuple(self.servers.values[key >> shift & self.mask] for shift in self.shifts),
            messages=tuple(act.message for act in acts if isinstance(act, Deliver)),
            history=context.history,
        )

    def facts_seen(self) -> tuple[str, ...]:
        """The kinds of messages that were sent so far, and of facts that came about."""
        sent = {type(self._message_of(act).message).__name__ for post in self.posts.values.values() for act in post}
        facts = {type(fact).__name__ for facts in self.facts.values.values() for fact in facts}
        return tuple(sorted(sent | facts))

    # What may happen

    def successors(self, key: WorldKey) -> Iterator[tuple[int, WorldKey, str]]:
        """Every act that may happen, by number, the world after it, and the promise it breaks (empty: none)."""
        width, mask = self.width, self.mask
        servers = [key >> shift & mask for shift in self.shifts]
        calm, multiset = key & self.calm, key >> self.in_flight_shift
        context = calm >> self.context_shift
        for act, place, rest in self.deliveries[multiset]:
            yield act, *self._after(servers, calm, rest, self.outcomes[act << width | servers[place]])
        for act, place, again, difference in self.copies[multiset << width | context]:
            yield (
                again,
                *self._after(servers, calm + difference, multiset, self.outcomes[act << width | servers[place]]),
            )
        for server in servers:
            for act, difference, outcome in self.choices[context << width | server]:
                yield act, *self._after(servers, calm + difference, multiset, outcome)

    def _after(self, servers: list[int], calm: int, multiset: int, outcome: Outcome) -> tuple[WorldKey, str]:
        difference, sent, news = outcome
        if sent:
            width = self.width
            for place in self.recipients[sent]:
                sent = self.needed[sent << width | servers[place]]
            multiset = self.mixed[multiset << width | sent]
        if news is None:
            return calm + difference + (multiset << self.in_flight_shift), ""
        return self._record_change(servers, calm + difference, multiset, news)

    def _record_change(self, servers: list[int], calm: int, multiset: int, news: StateChange) -> tuple[WorldKey, str]:
        """Check what happened; drop messages that a later term has made void."""
        broken = ""
        if news.facts:
            context = calm >> self.context_shift
            later, broken = self.checked[context << self.width | news.facts]
            calm += (later - context) << self.context_shift
        if news.has_new_log:
            others = (server for place, server in enumerate(servers) if place != news.server)
            if not all(self.matches[news.after << self.width | other] for other in others):
                broken = broken or LOG_MATCHING
        if news.has_commit:
            there = (news.after if place == news.server else server for place, server in enumerate(servers))
            broken = broken or self._commit_broken(news, tuple(there))
        if news.has_new_term:
            multiset = self.cleared[multiset << self.width | news.after]
        return calm + (multiset << self.in_flight_shift), broken

    def _commit_broken(self, news: StateChange, servers: tuple[int, ...]) -> str:
        """The property that a leader's commit violates: a quorum must have the entry on disk."""
        if (news.after, servers) not in self.backed:
            leader = self.servers.values[news.after].state
            at = leader.log.id_at(leader.committed)
            assert at is not None, "what a leader has just committed is in its log"
            holders = [one.state.id for one in map(self.servers.values.__getitem__, servers) if has_entry(one.disk, at)]
            self.backed[news.after, servers] = leader.membership.is_quorum(holders)
        return "" if self.backed[news.after, servers] else COMMIT_IS_BACKED

    # What is computed once

    def _outcome(self, key: int) -> Outcome:
        act, before = self.acts.values[key >> self.width], self.servers.values[key & self.mask]
        after, sent, facts = apply(self.engine, before, act, instant=self.bounds.instant_disk)
        if not is_within(self.bounds, after):
            return NOTHING  # as if it had been lost
        number, place = self.servers.number(after), self.nodes.index(after.state.id)
        news = StateChange(
            server=place,
            after=number,
            facts=self.facts.number(facts),
            has_new_log=after.state.log != before.state.log,
            has_new_term=after.disk.vote.term > before.disk.vote.term,
            has_commit=is_own_commit(before.state, after.state),
        )
        is_news = news.facts or news.has_new_log or news.has_new_term
        difference = (number - (key & self.mask)) << self.shifts[place]
        return Outcome(difference, self.posts.number(self._in_flight(sent)), news if is_news else None)

    def _choices(self, key: int) -> tuple[Choice, ...]:
        """What may happen to a server; what has no effect at all is left out."""
        number, server = key >> self.width, key & self.mask
        history, budget = self.contexts.values[number]
        found = []
        for act, left in choices(self.servers.values[server], budget, history.over):
            chosen = self.acts.number(act)
            outcome = self.outcomes[chosen << self.width | server]
            if outcome != NOTHING:
                later = self.contexts.number(Context(history, left))
                found.append(Choice(chosen, (later - number) << self.context_shift, outcome))
        return tuple(found)

    def _deliveries(self, key: int) -> tuple[tuple[int, int, int], ...]:
        """Each different message's delivery, the place of its receiver, and the messages left after it."""
        multiset, found = self.multisets.values[key], []
        for place, act in enumerate(multiset):
            if place == 0 or act != multiset[place - 1]:
                rest = self.multisets.number(multiset[:place] + multiset[place + 1 :])
                found.append((act, self._receiver(act), rest))
        return tuple(found)

    def _copies(self, key: int) -> tuple[tuple[int, int, int, int], ...]:
        """As long as duplicates may be made: each delivery, its receiver's place, the act, and the context's change."""
        number = key & self.mask
        history, budget = self.contexts.values[number]
        left = budget.pay("duplicates")
        if left is None:
            return ()
        difference = (self.contexts.number(Context(history, left)) - number) << self.context_shift
        found = []
        for act in sorted(set(self.multisets.values[key >> self.width]), key=self.order.__getitem__):
            again = self.acts.number(Deliver(self._message_of(act), again=True))
            found.append((act, self._receiver(act), again, difference))
        return tuple(found)

    def _recipients(self, key: int) -> tuple[int, ...]:
        return tuple(sorted({self._receiver(act) for act in self.posts.values[key]}))

    def _needed(self, key: int) -> int:
        """What was sent, without what is void for one server."""
        server = key & self.mask
        return self.posts.number(
            tuple(act for act in self.posts.values[key >> self.width] if not self._is_stale(act, server))
        )

    def _cleared(self, key: int) -> int:
        """The messages on their way, without those that are void for one server."""
        server = key & self.mask
        return self.multisets.number(
            tuple(act for act in self.multisets.values[key >> self.width] if not self._is_stale(act, server))
        )

    def _mixed(self, key: int) -> int:
        return self.multisets.number(
            self.in_order(self.multisets.values[key >> self.width] + self.posts.values[key & self.mask])
        )

    def _is_stale(self, act: int, server: int) -> bool:
        """Whether a message can never have an effect: its term is older than its receiver's disk."""
        local, message = self.servers.values[server], self._message_of(act)
        if message.dst != local.state.id or latest_term(message.message) >= local.disk.vote.term:
            return False
        return self.outcomes[act << self.width | server] == NOTHING

    def _checked(self, key: int) -> tuple[int, str]:
        history, budget = self.contexts.values[key >> self.width]
        past, broken = check_facts(history, self.facts.values[key & self.mask], one_a_term=self.one_a_term)
        if budget.has_sessions and not broken and not acts_once(past.committed, self.machine):
            broken = EXACTLY_ONCE
        return self.contexts.number(Context(past, budget)), broken

    def _matches(self, key: int) -> bool:
        one, other = self.servers.values[key >> self.width], self.servers.values[key & self.mask]
        return logs_match(one.state.log, other.state.log)

    def _in_flight(self, messages: tuple[Message, ...]) -> InFlight:
        return self.in_order(tuple(self.acts.number(Deliver(message)) for message in messages))

    def in_order(self, acts: InFlight) -> InFlight:
        """In an order that is the same in every process."""
        return tuple(sorted(acts, key=self.order.__getitem__))

    def _order(self, act: int) -> int:
        return act if self.width == WIDE else fingerprint(self.acts.values[act])

    def _message_of(self, act: int) -> Message:
        delivery = self.acts.values[act]
        assert isinstance(delivery, Deliver), "a multiset holds deliveries"
        return delivery.message

    def _receiver(self, act: int) -> int:
        return self.nodes.index(self._message_of(act).dst)


NOTHING = Outcome(0, 0, None)


def latest_term(message: AnyMessage) -> Term:
    """The latest term a message can matter in."""
    match message:
        case PreVoteResponse(asked=asked) | VoteResponse(asked=asked):
            return max(message.vote.term, asked.term)
        case _:
            return message.vote.term
