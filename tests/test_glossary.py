"""One vocabulary: a word of a public name is the paper's, ordinary, or explained in the glossary of ARCHITECTURE.md."""

from collections import Counter

import pytest

from tests import vocabulary

ADVICE = (
    "Use the field's word instead; if there is none, explain the word in the glossary of ARCHITECTURE.md; "
    "if it is ordinary, add it to its group in tests/vocabulary.txt:"
)


def test_every_word_of_a_public_name_is_explained_somewhere() -> None:
    known = vocabulary.known_words()
    private = {
        word: sorted(names)[:3]
        for word, names in vocabulary.used_words().items()
        if not vocabulary.is_known(word, known)
    }
    assert private == {}, f"{ADVICE}\n" + "\n".join(f"{word}: {', '.join(names)}" for word, names in private.items())


def test_a_word_is_explained_once() -> None:
    twice = [word for word, count in Counter(vocabulary.glossary_terms()).items() if count > 1 and word != "command"]
    assert twice == []
    assert len(vocabulary.glossary_terms()) > 100


def test_the_groups_of_ordinary_words_are_sorted() -> None:
    for group in vocabulary.ORDINARY.read_text("utf-8").split("\n\n"):
        words = [word for line in group.splitlines() if not line.startswith("#") for word in line.split()]
        assert words == sorted(set(words))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("on_vote_request", ["on", "vote", "request"]),
        ("AppendRefused", ["append", "refused"]),
        ("MAX_INTEGER", ["max", "integer"]),
        ("_to_jsonl", ["to", "jsonl"]),
        ("RPCServer", ["rpc", "server"]),
        ("p99", []),
    ],
)
def test_a_name_is_taken_apart_into_words(name: str, words: list[str]) -> None:
    assert list(vocabulary.split(name)) == words


@pytest.mark.parametrize("word", ["applied", "applies", "unreachable", "committed", "stopped", "restarts", "retries"])
def test_a_word_is_known_by_its_root(word: str) -> None:
    assert vocabulary.is_known(word, {"apply", "reach", "commit", "stop", "start", "retry"})


def test_a_private_word_is_not_known() -> None:
    assert not vocabulary.is_known("malice", vocabulary.known_words())
    assert not vocabulary.is_known("conspire", vocabulary.known_words())
