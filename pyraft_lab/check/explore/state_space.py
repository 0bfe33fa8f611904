"""The space of worlds as plain integers: whatever makes up a world is numbered, whatever happens is computed once.

::

    world  =  messages | context | server n … server 2 | server 1      each field holds a number;
               (top)     24 bits     24 bits    24 bits    24 bits     context = past and budget left

Another world is then this one plus a difference, and the difference is remembered: hundreds of thousands of worlds
need no more than a few thousand turns of Raft.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

from pyraft_lab.check.explore.bounds import Bounds, Budget, choices, full_budget, is_within
from pyraft_lab.check.explore.explorer_state import Action, Deliver, ExplorerState, apply
from pyraft_lab.check.explore.history_variables import HistoryVariables, check_facts
from pyraft_lab.check.explore.server_state import Message, ServerState
from pyraft_lab.engine.engine import Engine
from pyraft_lab.engine.messages import AnyMessage, PreVoteResponse, VoteResponse
from pyraft_lab.engine.rules import supersedes_in_order
from pyraft_lab.engine.types import Term
from pyraft_lab.sim.facts import Facts
from pyraft_lab.sim.safety import LOG_MATCHING, logs_match

WIDTH = 24
"""Bits of a field."""
MASK = (1 << WIDTH) - 1

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")
WorldKey = int
"""A world as an integer."""


class Table(Generic[T]):
    """Numbers values in the order in which they are first seen, from 0."""

    def __init__(self, *first: T) -> None:
        self.values: list[T] = list(first)
        self.numbers: dict[T, int] = {value: number for number, value in enumerate(first)}

    def number(self, value: T) -> int:
        """The number of ``value``, a new one if it has none."""
        number = self.numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            assert number <= MASK, "a search within bounds has fewer values than a field can hold"
            self.values.append(value)
        return number


class Memo(dict[int, V]):
    """A function of an integer that is computed once for each."""

    def __init__(self, function: Callable[[int], V]) -> None:
        super().__init__()
        self.function = function

    def __missing__(self, key: int) -> V:
        value = self[key] = self.function(key)
        return value


class StateChange(NamedTuple):
    """What the rest of the world has to take notice of: facts, a longer log, a later term on disk."""

    server: int
    after: int
    facts: int
    has_new_log: bool
    has_new_term: bool


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
"""Letters on their way, as sorted numbers of their deliveries."""


class StateSpace:
    """All worlds that ``engine`` may bring about from ``start`` within ``bounds``."""

    def __init__(self, engine: Engine, bounds: Bounds, start: ExplorerState) -> None:
        self.engine, self.bounds = engine, bounds
        self.one_a_term = engine.rules.supersedes is not supersedes_in_order
        self.nodes = [local.state.id for local in start.servers]
        self.shifts = [WIDTH * place for place in range(len(self.nodes))]
        self.context_shift = WIDTH * len(self.nodes)
        self.in_flight_shift = self.context_shift + WIDTH
        self.calm = (1 << self.in_flight_shift) - 1
        self.servers, self.acts = Table[ServerState](), Table[Action]()
        self.contexts, self.bags = Table[Context](), Table[InFlight](())
        self.posts, self.facts = Table[InFlight](()), Table[Facts](())
        self.outcomes = Memo(self._outcome)
        self.deliveries, self.copies = Memo(self._deliveries), Memo(self._copies)
        self.choices = Memo(self._choices)
        self.recipients, self.needed = Memo(self._recipients), Memo(self._needed)
        self.mixed, self.cleared = Memo(self._mixed), Memo(self._cleared)
        self.checked, self.matches = Memo(self._checked), Memo(self._matches)
        self.first = self.key(start)

    # From worlds to integers and back

    def key(self, world: ExplorerState) -> WorldKey:
        """A world that is spelt out, with the whole budget, as an integer."""
        servers = sum(self.servers.number(one) << shift for one, shift in zip(world.servers, self.shifts, strict=True))
        context = self.contexts.number(Context(world.history, full_budget(self.bounds)))
        bag = self.bags.number(self._in_flight(world.messages))
        return servers | context << self.context_shift | bag << self.in_flight_shift

    def world(self, key: WorldKey) -> ExplorerState:
        """A world spelt out."""
        context = self.contexts.values[key >> self.context_shift & MASK]
        acts = (self.acts.values[number] for number in self.bags.values[key >> self.in_flight_shift])
        return ExplorerState(
            servers=tuple(self.servers.values[key >> shift & MASK] for shift in self.shifts),
            messages=tuple(act.message for act in acts if isinstance(act, Deliver)),
            history=context.history,
        )

    def facts_seen(self) -> tuple[str, ...]:
        """The kinds of messages that were sent so far, and of facts that came about."""
        sent = {type(self._message_of(act).message).__name__ for post in self.posts.values for act in post}
        facts = {type(fact).__name__ for facts in self.facts.values for fact in facts}
        return tuple(sorted(sent | facts))

    # What may happen

    def successors(self, key: WorldKey) -> Iterator[tuple[int, WorldKey, str]]:
        """Every act that may happen, by number, the world after it, and the promise it breaks (empty: none)."""
        servers = [key >> shift & MASK for shift in self.shifts]
        calm, bag = key & self.calm, key >> self.in_flight_shift
        context = calm >> self.context_shift
        for act, place, rest in self.deliveries[bag]:
            yield act, *self._after(servers, calm, rest, self.outcomes[act << WIDTH | servers[place]])
        for act, place, again, difference in self.copies[bag << WIDTH | context]:
            yield again, *self._after(servers, calm + difference, bag, self.outcomes[act << WIDTH | servers[place]])
        for server in servers:
            for act, difference, outcome in self.choices[context << WIDTH | server]:
                yield act, *self._after(servers, calm + difference, bag, outcome)

    def _after(self, servers: list[int], calm: int, bag: int, outcome: Outcome) -> tuple[WorldKey, str]:
        difference, sent, news = outcome
        if sent:
            for place in self.recipients[sent]:
                sent = self.needed[sent << WIDTH | servers[place]]
            bag = self.mixed[bag << WIDTH | sent]
        if news is None:
            return calm + difference + (bag << self.in_flight_shift), ""
        return self._record_change(servers, calm + difference, bag, news)

    def _record_change(self, servers: list[int], calm: int, bag: int, news: StateChange) -> tuple[WorldKey, str]:
        """Check what happened; drop messages that a later term has made void."""
        broken = ""
        if news.facts:
            context = calm >> self.context_shift
            later, broken = self.checked[context << WIDTH | news.facts]
            calm += (later - context) << self.context_shift
        if news.has_new_log:
            others = (server for place, server in enumerate(servers) if place != news.server)
            if not all(self.matches[news.after << WIDTH | other] for other in others):
                broken = broken or LOG_MATCHING
        if news.has_new_term:
            bag = self.cleared[bag << WIDTH | news.after]
        return calm + (bag << self.in_flight_shift), broken

    # What is computed once

    def _outcome(self, key: int) -> Outcome:
        act, before = self.acts.values[key >> WIDTH], self.servers.values[key & MASK]
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
        )
        is_news = news.facts or news.has_new_log or news.has_new_term
        difference = (number - (key & MASK)) << self.shifts[place]
        return Outcome(difference, self.posts.number(self._in_flight(sent)), news if is_news else None)

    def _choices(self, key: int) -> tuple[Choice, ...]:
        """What may happen to a server; what has no effect at all is left out."""
        number, server = key >> WIDTH, key & MASK
        history, budget = self.contexts.values[number]
        found = []
        for act, left in choices(self.servers.values[server], budget):
            chosen = self.acts.number(act)
            outcome = self.outcomes[chosen << WIDTH | server]
            if outcome != NOTHING:
                later = self.contexts.number(Context(history, left))
                found.append(Choice(chosen, (later - number) << self.context_shift, outcome))
        return tuple(found)

    def _deliveries(self, key: int) -> tuple[tuple[int, int, int], ...]:
        """Each different message's delivery, the place of its receiver, and the messages left after it."""
        bag, found = self.bags.values[key], []
        for place, act in enumerate(bag):
            if place == 0 or act != bag[place - 1]:
                rest = self.bags.number(bag[:place] + bag[place + 1 :])
                found.append((act, self._receiver(act), rest))
        return tuple(found)

    def _copies(self, key: int) -> tuple[tuple[int, int, int, int], ...]:
        """As long as duplicates may be made: each delivery, its receiver's place, the act, and the context's change."""
        number = key & MASK
        history, budget = self.contexts.values[number]
        left = budget.pay("duplicates")
        if left is None:
            return ()
        difference = (self.contexts.number(Context(history, left)) - number) << self.context_shift
        found = []
        for act in sorted(set(self.bags.values[key >> WIDTH])):
            again = self.acts.number(Deliver(self._message_of(act), again=True))
            found.append((act, self._receiver(act), again, difference))
        return tuple(found)

    def _recipients(self, key: int) -> tuple[int, ...]:
        return tuple(sorted({self._receiver(act) for act in self.posts.values[key]}))

    def _needed(self, key: int) -> int:
        """What was sent, without what is void for one server."""
        server = key & MASK
        return self.posts.number(
            tuple(act for act in self.posts.values[key >> WIDTH] if not self._is_stale(act, server))
        )

    def _cleared(self, key: int) -> int:
        """The messages on their way, without those that are void for one server."""
        server = key & MASK
        return self.bags.number(tuple(act for act in self.bags.values[key >> WIDTH] if not self._is_stale(act, server)))

    def _mixed(self, key: int) -> int:
        return self.bags.number(tuple(sorted(self.bags.values[key >> WIDTH] + self.posts.values[key & MASK])))

    def _is_stale(self, act: int, server: int) -> bool:
        """Whether a message can never have an effect: its term is older than its receiver's disk."""
        local, message = self.servers.values[server], self._message_of(act)
        if message.dst != local.state.id or latest_term(message.message) >= local.disk.vote.term:
            return False
        return self.outcomes[act << WIDTH | server] == NOTHING

    def _checked(self, key: int) -> tuple[int, str]:
        history, budget = self.contexts.values[key >> WIDTH]
        past, broken = check_facts(history, self.facts.values[key & MASK], one_a_term=self.one_a_term)
        return self.contexts.number(Context(past, budget)), broken

    def _matches(self, key: int) -> bool:
        one, other = self.servers.values[key >> WIDTH], self.servers.values[key & MASK]
        return logs_match(one.state.log, other.state.log)

    def _in_flight(self, messages: tuple[Message, ...]) -> InFlight:
        return tuple(sorted(self.acts.number(Deliver(message)) for message in messages))

    def _message_of(self, act: int) -> Message:
        delivery = self.acts.values[act]
        assert isinstance(delivery, Deliver), "a bag holds deliveries"
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
