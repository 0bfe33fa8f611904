"""Clojure's data notation, as far as histories are written in it.

    {:process 3, :type :ok, :f :cas, :value [1 2], :time 4711}

Maps become dicts; vectors, lists and sets tuples; ``nil`` None; keywords and symbols plain strings.  A tag
(``#jepsen.history.Op{...}``) is skipped: what it tags says enough.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pyraft_lab.errors import HistoryError

TOKEN = re.compile(
    r"""(?P<space>[\s,]+|;[^\n]*|\#[A-Za-z][\w./-]*)
      | (?P<open>[\[({]|\#\{)
      | (?P<close>[\])}])
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<atom>[^\s,;"\[\](){}]+)""",
    re.VERBOSE,
)
WORDS: dict[str, object] = {"nil": None, "true": True, "false": False}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
CLOSE = {"[": "]", "(": ")", "{": "}", "#{": "}"}


class Form(NamedTuple):
    """One value at the top level of a text, and the line it begins on."""

    line: int
    value: object


class Token(NamedTuple):
    """A piece of the text."""

    kind: str
    text: str
    line: int


def read_edn(text: str) -> Iterator[Form]:
    """The values of a text, one after the other; a ``HistoryError`` names the line that cannot be read.

    >>> [form.value for form in read_edn('{:f :cas, :value [1 nil]} ; a comment')]
    [{'f': 'cas', 'value': (1, None)}]
    """
    tokens = _tokens(text)
    for token in tokens:
        yield Form(token.line, _value(token, tokens))


def _tokens(text: str) -> Iterator[Token]:
    at, line = 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise HistoryError(f"cannot read {text[at : at + 20]!r}", line=line)
        if match.lastgroup != "space":
            yield Token(match.lastgroup, match.group(), line)
        line += match.group().count("\n")
        at = match.end()


def _value(token: Token, tokens: Iterator[Token]) -> object:
    match token.kind:
        case "open":
            items = tuple(_items(token, tokens))
            return _pairs(token, items) if token.text == "{" else items
        case "text":
            return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), token.text[1:-1])
        case "close":
            raise HistoryError(f"{token.text!r} closes nothing", line=token.line)
        case _:
            return _atom(token.text)


def _items(opened: Token, tokens: Iterator[Token]) -> Iterator[object]:
    for token in tokens:
        if token.text == CLOSE[opened.text]:
            return
        yield _value(token, tokens)
    raise HistoryError(f"{opened.text!r} is never closed", line=opened.line)


def _pairs(token: Token, items: tuple[object, ...]) -> dict[object, object]:
    if len(items) % 2:
        raise HistoryError("a map with a key that has no value", line=token.line)
    try:
        return dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:
        raise HistoryError("a map with a map for a key", line=token.line) from None


def _atom(text: str) -> object:
    if text in WORDS:
        return WORDS[text]
    if re.fullmatch(r"[+-]?\d+[NM]?", text):
        return int(text.rstrip("NM"))
    if re.fullmatch(r"[+-]?\d+\.?\d*([eE][+-]?\d+)?M?", text):
        return float(text.rstrip("M"))
    return text.removeprefix(":")
