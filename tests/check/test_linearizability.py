"""The judge of histories, judged: against brute force, against the plain search, and against the clock's edge."""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.linearize.search import Search
from pyraft_lab.check.linearize.sequential_specs import KV, REGISTER, Input, SequentialSpec
from pyraft_lab.check.linearize.verdict import Verdict
from pyraft_lab.errors import ConfigError, HistoryError
from pyraft_lab.history import History, Operation
from pyraft_lab.sim.simulation import Simulation
from tests.check.histories import (
    asks,
    growing_history,
    hard_history,
    keyed_history,
    on_key,
    store_history,
    tiny_growing_history,
    tiny_history,
)
from tests.check.judges import PlainSearch, every_order, fits, may_come_first

SLOW = hard_history(21)  # a register that is refuted in some 100,000 steps


def put(value: object, call: float, returned: float | None, *, client: int = 1) -> Operation:
    return Operation(client, call, returned, ("put", value))


def get(value: object, call: float, returned: float | None, *, client: int = 2) -> Operation:
    return Operation(client, call, returned, ("get",), value)


def cas(old: object, new: object, call: float, returned: float | None, *, wrote: bool) -> Operation:
    return Operation(3, call, returned, ("cas", old, new), wrote)


def check(*operations: Operation, steps: int | None = None) -> Verdict:
    return check_linearizable(History(operations), "register", steps=steps)


def test_a_read_sees_the_last_write() -> None:
    assert check(put(1, 0, 1), get(1, 2, 3))


def test_a_read_of_an_overwritten_value_is_refused() -> None:
    assert check(put(1, 0, 1), put(2, 2, 3), get(1, 4, 5)).ok is False


def test_a_read_during_a_write_may_see_either_value() -> None:
    assert check(put(1, 0, 1), put(2, 2, 5), get(1, 3, 4))
    assert check(put(1, 0, 1), put(2, 2, 5), get(2, 3, 4))


def test_what_one_client_has_seen_another_may_not_unsee() -> None:
    assert check(put(1, 0, 9), get(1, 1, 2), get(None, 3, 4)).ok is False


def test_intervals_include_both_ends() -> None:
    assert check(put(1, 0, 1), get(None, 1, 2))
    assert check(put(1, 0, 1), get(None, 1.5, 2)).ok is False


def test_an_instantaneous_operation_has_its_place() -> None:
    assert check(put(1, 1, 1), get(1, 1, 1))
    assert check(put(1, 1, 1), get(None, 1, 1))


def test_a_write_without_an_answer_may_have_happened_late_or_never() -> None:
    assert check(put(1, 0, None), get(None, 5, 6), get(1, 7, 8))
    assert check(put(1, 0, None), get(None, 5, 6), get(None, 7, 8))


def test_a_write_without_an_answer_happens_once() -> None:
    assert check(put(1, 0, None), get(1, 1, 2), put(2, 3, 4), get(1, 5, 6)).ok is False


def test_two_equal_writes_without_an_answer_happen_twice_at_most() -> None:
    lost = [put(1, 0, None), put(1, 0, None)]
    seen_twice = [get(1, 1, 2), put(2, 3, 4), get(1, 5, 6)]
    assert check(*lost, *seen_twice)
    assert check(*lost, *seen_twice, put(2, 7, 8), get(1, 9, 10)).ok is False


def test_an_operation_without_an_answer_cannot_happen_before_its_call() -> None:
    assert check(get(1, 0, 1), put(1, 2, None)).ok is False


def test_an_answer_is_not_looked_at_where_the_outcome_is_unknown() -> None:
    assert check(put(1, 0, 1), get(99, 2, None))


def test_a_cas_answers_whether_it_wrote() -> None:
    assert check(put(1, 0, 1), cas(1, 2, 2, 3, wrote=True), get(2, 4, 5))
    assert check(put(1, 0, 1), cas(1, 2, 2, 3, wrote=False)).ok is False
    assert check(put(1, 0, 1), cas(3, 2, 2, 3, wrote=False), get(1, 4, 5))


def test_a_store_knows_all_six_operations() -> None:
    said: list[tuple[Input, object]] = [
        (("append", "x", "a"), None),
        (("append", "x", "b"), None),
        (("get", "x"), "ab"),
        (("cas", "x", "ab", "c"), True),
        (("delete", "x"), None),
        (("get", "x"), None),
        (("append", "y", 1), None),
        (("append", "y", 2), None),
        (("get", "y"), [1, 2]),
        (("put", "y", 0), None),
        (("append", "y", 1), None),
        (("get", "y"), (0, 1)),
        (("append", "y", (2, 3)), None),
        (("get", "y"), (0, 1, 2, 3)),
        (("incr", "z"), 1),
        (("incr", "z", 5), 6),
        (("get", "z"), 6),
    ]
    history = History([Operation(1, time, time + 0.5, *words) for time, words in enumerate(said)])
    assert check_linearizable(history, "kv")


def test_an_incr_that_the_machine_refuses_changes_nothing() -> None:
    said = [put("a", 0, 1), Operation(3, 2, None, ("incr", 2)), get("a", 3, 4)]
    assert check(*said)
    assert check(*said, get("a2", 5, 6)).ok is False


def test_a_simulated_store_that_counts_is_linearizable() -> None:
    sim = Simulation(nodes=3, seed=1)
    sim.run_until(lambda s: s.leader)
    for by in (1, 2):
        sim.write({"op": "incr", "key": "x", "by": by})
        sim.write({"op": "append", "key": "y", "value": [by]})
        sim.run(0.2)
    sim.read("x")
    sim.read("y")
    sim.run(0.2)
    assert check_linearizable(sim.history, "kv")
    assert [operation.output for operation in sim.history][-2:] == [3, (1, 2)]


def test_the_answer_of_a_write_is_not_judged() -> None:
    assert check(Operation(1, 0, 1, ("put", 1), "stored"), Operation(1, 2, 3, ("delete",), 17))


def test_an_empty_history_is_linearizable() -> None:
    assert check_linearizable(History([]))
    assert check_linearizable(History([]), "kv").explain().startswith("Linearizable")


def test_verdicts_agree_with_brute_force() -> None:
    found = {True: 0, False: 0}
    for seed in range(20_000):
        history = tiny_history(seed)
        verdict = check_linearizable(history)
        assert verdict.ok is every_order(list(history), REGISTER, None), history.to_jsonl()
        assert verdict.ok is not None
        found[verdict.ok] += 1
    assert min(found.values()) > 5_000


def test_the_longest_order_of_a_refused_history_is_as_long_as_brute_force_finds() -> None:
    for seed in range(2_000):
        history = tiny_history(seed)
        verdict = check_linearizable(history)
        answered = sum(operation.returned is not None for operation in verdict.longest)
        assert answered == longest(list(history), None), history.to_jsonl()


def longest(operations: Sequence[Operation], state: object) -> int:
    """How many answered operations an order can place, by trying all orders."""
    best = 0
    for operation in operations:
        rest = [other for other in operations if other is not operation]
        if may_come_first(operation, operations) and fits(operation, REGISTER, state):
            after = REGISTER.step(state, operation.input)[0]
            best = max(best, (operation.returned is not None) + longest(rest, after))
    return best


def test_a_search_that_looks_ahead_agrees_with_brute_force() -> None:
    found = {True: 0, False: 0}
    for seed in range(4_000):
        history = tiny_growing_history(seed) if seed % 3 else tiny_history(seed)
        search = Search(history.operations, REGISTER, look_ahead_after=0)
        search.advance(100_000)
        assert search.ok is not None
        assert search.ok is check_linearizable(history).ok
        assert search.ok is every_order(list(history), REGISTER, None), history.to_jsonl()
        found[search.ok] += 1
        if not search.ok:
            assert search.find_longest(100_000)
            assert search.deepest.position == longest(list(history), None), history.to_jsonl()
    assert min(found.values()) > 1_000


def test_verdicts_agree_with_the_plain_search() -> None:
    found = {True: 0, False: 0}
    for seed in range(300):
        history = store_history(
            seed, ask=asks(3), model=REGISTER, operations=40, clients=4, unanswered=0.1, wrong=seed % 3
        )
        plain = PlainSearch(history, REGISTER)
        plain.run(20_000)
        if plain.ok is not None:
            assert check_linearizable(history).ok is plain.ok
            found[plain.ok] += 1
    assert min(found.values()) > 50


def test_verdicts_agree_with_the_plain_search_where_many_outcomes_are_unknown() -> None:
    found = {True: 0, False: 0}
    for seed in range(1_500):
        history = store_history(seed, ask=asks(3), operations=14, clients=5, unanswered=0.4, wrong=seed % 3)
        plain = PlainSearch(history, REGISTER)
        plain.run(3_000)
        if plain.ok is not None:
            assert check_linearizable(history, steps=100_000).ok is plain.ok, history.to_jsonl()
            found[plain.ok] += 1
    assert min(found.values()) > 100


def replay(verdict: Verdict, model: SequentialSpec) -> Iterator[bool]:
    """Step the model through the witness: does every client hear what it heard?"""
    states: dict[object, object] = {}
    for operation in verdict.order:
        key = model.partition(operation.input) if model.partition else None
        states[key], answer = model.step(states.get(key, model.initial()), operation.input)
        yield operation.returned is None or operation.output in (None, answer)


@pytest.mark.parametrize("seed", range(10))
def test_a_witness_explains_every_answer_and_keeps_real_time(seed: int) -> None:
    history = store_history(seed, ask=asks(3, keys=3), model=KV, operations=200, clients=8, unanswered=0.05)
    verdict = check_linearizable(history, "kv")
    assert verdict
    assert all(replay(verdict, KV))
    assert {o for o in history if o.returned is not None} <= set(verdict.order) <= set(history)
    assert len(set(map(id, verdict.order))) == len(verdict.order)
    assert list(verdict.points) == sorted(verdict.points)
    for point, operation in zip(verdict.points, verdict.order, strict=True):
        assert operation.call <= point
        assert operation.returned is None or point <= operation.returned


def test_the_order_of_the_lines_does_not_matter() -> None:
    for seed in range(50):
        history = tiny_history(seed)
        mixed = list(history)
        Random(seed).shuffle(mixed)
        assert check_linearizable(History(mixed)).ok is check_linearizable(history).ok


def test_a_verdict_does_not_depend_on_when_it_is_asked() -> None:
    first, second = (check_linearizable(SLOW) for _ in range(2))
    assert first == second
    assert first.steps < 100_000, "wasteful configurations are met before frugal ones"


def test_a_refusal_names_the_operation_the_state_and_the_answer_that_would_fit() -> None:
    verdict = check(put(1, 0, 1), put(2, 2, 3), get(1, 4, 5))
    assert verdict.longest == (put(1, 0, 1), put(2, 2, 3))
    assert verdict.states == (1, 2)
    assert verdict.blocked is not None
    assert verdict.blocked.operation == get(1, 4, 5)
    assert (verdict.blocked.state, verdict.blocked.expected) == (2, 2)
    assert "client 2's get → 1, called at 4 and returned at 5, has no place" in verdict.explain()
    assert "the state is 2, so the answer should be 2" in verdict.explain()


def test_a_refusal_of_the_very_first_operation_is_explained_too() -> None:
    assert "Not one answered operation can come first" in check(get(1, 0, 1)).explain()


def test_a_verdict_is_true_only_when_it_is_a_proof() -> None:
    assert bool(check(put(1, 0, 1))) is True
    assert bool(check(get(1, 0, 1))) is False
    assert bool(check(put(1, 0, 1), steps=0)) is False


def test_the_budget_of_steps_ends_in_unknown() -> None:
    verdict = check_linearizable(SLOW, steps=100)
    assert (verdict.ok, verdict.reason) == (None, "steps")
    assert 100 <= verdict.steps < 150
    assert verdict.longest
    assert verdict.explain().startswith("Unknown: the budget of steps")


def test_the_budget_of_memory_ends_in_unknown() -> None:
    verdict = check_linearizable(SLOW, memory=10_000)
    assert (verdict.ok, verdict.reason) == (None, "memory")


def test_the_budget_of_time_is_read_from_the_clock_given() -> None:
    ticks = iter(range(100))
    verdict = check_linearizable(SLOW, timeout=3.0, clock=lambda: float(next(ticks)))
    assert (verdict.ok, verdict.reason) == (None, "time")
    assert next(ticks) == 4


def test_a_key_that_is_refuted_at_once_does_not_wait_for_a_slow_one() -> None:
    wrong = Operation(99, 0, 1, ("get", "wrong"), 5)
    verdict = check_linearizable(History([*on_key("slow", SLOW), wrong]), "kv")
    assert (verdict.ok, verdict.key) == (False, "wrong")
    assert verdict.steps < 2_000


def test_a_key_that_explodes_is_given_up_and_another_still_decides() -> None:
    history = History([*on_key("slow", SLOW), *on_key("slower", SLOW), *on_key("wrong", hard_history(37))])
    verdict = check_linearizable(history, "kv", memory=4_000_000)
    assert (verdict.ok, verdict.key) == (False, "wrong")


def test_a_key_without_verdict_is_named() -> None:
    easy = Operation(99, 0, 1, ("put", "easy", 5))
    verdict = check_linearizable(History([*on_key("slow", SLOW), easy]), "kv", memory=10_000)
    assert (verdict.ok, verdict.undecided, verdict.keys) == (None, ("slow",), 2)
    assert "Of 2 objects, 1 proved linearizable" in verdict.explain()


def add(total: int, amount: int) -> tuple[int, int]:
    return total + amount, total + amount


def test_a_model_of_ones_own_is_a_pair_of_functions() -> None:
    counter = SequentialSpec(initial=lambda: 0, step=add)
    assert check_linearizable(History([Operation(1, 0, 3, 1, 3), Operation(2, 1, 2, 2, 2)]), counter)
    assert not check_linearizable(History([Operation(1, 0, 3, 1, 2), Operation(2, 1, 2, 2, 2)]), counter)


def test_a_model_of_ones_own_may_split_its_history() -> None:
    def step(total: int, input: tuple[str, int]) -> tuple[int, int]:
        return add(total, input[1])

    counters = SequentialSpec(initial=lambda: 0, step=step, partition=itemgetter(0))
    verdict = check_linearizable(History([Operation(1, 0, 1, ("a", 1), 1), Operation(1, 2, 3, ("b", 1), 1)]), counters)
    assert verdict
    assert verdict.keys == 2


@pytest.mark.parametrize(
    ("model", "input", "words"),
    [
        ("register", ("get", "x"), "a register knows get, put, cas, append, delete and incr, but not"),
        ("kv", ("get",), "a kv store knows"),
        ("kv", ("decr", "x"), "but not ('decr', 'x')"),
        ("queue", ("get",), "there is no model 'queue'; take 'register'"),
    ],
)
def test_what_no_model_knows_is_refused_in_words(model: str, input: Input, words: str) -> None:
    with pytest.raises(HistoryError, match=words.replace("(", r"\(").replace(")", r"\)")):
        check_linearizable(History([Operation(1, 0, 1, input)]), model)


def test_hard_histories_take_at_most_a_quarter_of_the_plain_searchs_steps() -> None:
    """The plain search is stopped early, so the true ratio is greater still."""
    ours = [check_linearizable(hard_history(seed)) for seed in range(20)]
    rivals = [PlainSearch(hard_history(seed), REGISTER) for seed in range(20)]
    for rival in rivals:
        rival.run(20_000)
    assert 4 * sum(verdict.steps for verdict in ours) <= sum(rival.steps for rival in rivals)
    assert {verdict.ok for verdict in ours} == {True, False}
    assert sum(verdict.steps for verdict in ours) < 48_000, "a reduction no longer reduces"


def test_a_long_history_on_many_keys_takes_about_one_step_an_operation() -> None:
    history = keyed_history(3, operations=2_000)
    verdict = check_linearizable(history, "kv")
    assert verdict
    assert verdict.steps < 1.5 * len(history)


@pytest.mark.parametrize("seed", range(3))
def test_fifty_clients_that_append_to_ten_texts_take_a_few_steps_an_operation(seed: int) -> None:
    """Every order of concurrent appends leaves another text; only the reads tell which one it was."""
    history = growing_history(seed)
    verdict = check_linearizable(history, "kv")
    assert verdict
    assert verdict.steps < 20 * len(history)


@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_read_among_many_appends_is_refuted_soon(seed: int) -> None:
    history = growing_history(seed, wrong=1)
    verdict = check_linearizable(history, "kv")
    assert verdict.ok is False
    assert verdict.steps < 20 * len(history)


def test_a_longest_order_that_is_not_proved_is_not_called_longest() -> None:
    verdicts = [check_linearizable(growing_history(seed, wrong=1), "kv") for seed in range(3)]
    said = {verdict.is_longest: verdict.explain().splitlines()[-1] for verdict in verdicts}
    assert said[False] == "Some other order may place more, but none places all."


def test_a_model_that_contradicts_itself_is_refused() -> None:
    model = replace_struct(REGISTER, needs=lambda _input, _output: "never")
    search = Search([put(2, 0, 8), put(1, 0, 9), get(1, 2, 3), get(2, 10, 11)], model, look_ahead_after=0)
    search.advance(1_000)
    with pytest.raises(HistoryError, match="deny an order that its step allows"):
        search.find_longest(1_000)


def test_an_operation_that_lasts_as_long_as_the_history_costs_little() -> None:
    writes = [put(i, 2 * i + 1, 2 * i + 2) for i in range(3_000)]
    verdict = check(put(-1, 0, 10_000), *writes)
    assert verdict
    assert verdict.steps < 6_100


@pytest.mark.parametrize("asked", [None, (), "get", 3])
@pytest.mark.parametrize("model", ["register", "kv"])
def test_an_operation_that_the_model_does_not_know_is_named(model: str, asked: Any) -> None:
    with pytest.raises(HistoryError):
        check_linearizable(History([Operation(1, 0.0, 1.0, asked)]), model)


@pytest.mark.parametrize("given", [{"steps": "a"}, {"steps": -1}, {"memory": 1.5}, {"timeout": 1.0, "clock": 3}])
def test_a_budget_that_is_none_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=[*given][-1]):
        check_linearizable(History(), **given)
