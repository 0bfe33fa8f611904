"""An immutable map reads as a dict; a change leaves the map before as it was, and copies little."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from pyraft_lab.immutable_map import MOST, ImmutableMap


class Alike(Struct, frozen=True):
    """A key whose hash is that of many others."""

    name: int

    def __hash__(self) -> int:
        return -1 - self.name % 2


keys = st.integers(-70, 70) | st.integers(0, 5).map(lambda place: place << 40) | st.builds(Alike, st.integers(0, 40))
changes = st.lists(st.tuples(st.booleans(), keys), max_size=300)


@given(changes)
def test_it_holds_what_a_dict_holds_after_the_same_changes(made: list[tuple[bool, object]]) -> None:
    table: dict[object, int] = {}
    map: ImmutableMap[object, int] = ImmutableMap()
    for value, (is_put, key) in enumerate(made):
        if is_put:
            table[key], map = value, map.put(key, value)
        elif key in table:
            del table[key]
            map = map.without(key)
    assert dict(map) == table
    assert len(map) == len(table)
    assert bool(map) == bool(table)
    assert map == ImmutableMap.of(table)
    assert all(map[key] == map.get(key) == value for key, value in table.items())


def test_a_change_leaves_the_map_before_as_it_was() -> None:
    before = ImmutableMap.of(dict.fromkeys(range(1000), "old"))
    after = before.put(7, "new").put(1000, "new").without(8)
    assert (before[7], len(before), 8 in before, 1000 in before) == ("old", 1000, True, False)
    assert (after[7], len(after), 8 in after, after[1000]) == ("new", 1000, False, "new")
    assert before != after
    assert before == after.put(7, "old").put(8, "old").without(1000)


def test_what_is_not_there_can_neither_be_read_nor_removed() -> None:
    for map in (ImmutableMap[int, int](), ImmutableMap.of({place: place for place in range(1000)})):
        assert map.get(-1) is None
        assert map.get(-1, 7) == 7
        with pytest.raises(KeyError):
            map[-1]
        with pytest.raises(KeyError):
            map.without(-1)
    assert ImmutableMap.of({1: 2}) != {1: 2}
    assert repr(ImmutableMap.of({1: 2})) == "ImmutableMap({1: 2})"


def test_keys_of_one_hash_share_a_leaf_however_many_they_are() -> None:
    keys = [Alike(2 * place) for place in range(3 * MOST)]
    map = ImmutableMap.of({key: key.name for key in keys})
    assert len(map) == len(keys)
    assert all(map[key] == key.name for key in keys)
