"""The sentences of the plain first view: no sections of the paper, and no word that its chapter does not explain.

A first picture is about servers, terms, votes and messages; logs, disks and commits come later. So a sentence keeps its
clauses about the former, says the most frequent of the others in everyday words, and leaves the rest out.
"""

import re
from functools import lru_cache

from msgspec.structs import replace

from pyraft_lab.lab.wire import Chunk

SECTION = re.compile(r" \((?:§|dissertation|openraft|Figure)[^()]*\)|; lost on the way: [^;]*")
LATER = re.compile(r"\b(?:entry|entries|disks?|logs?|no-op|commit\w*|lease|round|openraft)\b")
"""Words that later chapters explain."""
SAID = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r" with what its disk holds: .*|, now that it is on disk| of \{[\d,]+\}", ""),
        (r"(accepts a client's write) and appends entry \d+ \(([^()]*)\)", r"\1: \2"),
        (r"sends entr(?:y|ies) [\d-]+ to", "sends a message to"),
        (r"appends entr(?:y|ies) [\d-]+ \(([^()]*=[^()]*)\) from", r"stores \1 from"),
        (r"has entr(?:y|ies) [\d-]+ on (?:its own )?disk", "has stored it"),
        (r"its acknowledgement up to entry \d+ goes", "its answer goes"),
        (r"hears that (n\d+)'s disk holds everything up to entry \d+", r"hears that \1 has stored it"),
        (r"commits entry \d+ \(([^()]*=[^()]*)\), held by (.*)", r"\1 is safe: \2 have stored it"),
        (r"learns from (n\d+) that entr(?:y|ies) [\d-]+ (?:is|are) committed", r"hears from \1"),
        (r" and loses its memory and what its disk did not yet hold", " and loses its memory"),
    )
)


@lru_cache(maxsize=4096)
def plain_sentence(text: str) -> str:
    """A sentence of the story in the words of the first chapter.

    >>> plain_sentence("n3 votes for n2 in term 1: both logs end with entry 1 of term 0 (§5.2, §5.4.1)")
    'n3 votes for n2 in term 1'
    >>> plain_sentence("n3 has its vote of term 1 on disk (§5.1); its vote for term 1 goes to n2")
    "n3's vote for term 1 goes to n2"
    """
    whole = SECTION.sub("", text)
    subject = whole.partition(" ")[0]
    kept = [clause for clause in map(_in_plain_words, whole.split("; ")) if not LATER.search(clause)]
    if not kept:
        return whole
    told = "; ".join(kept)
    if told.startswith(f"{subject} "):
        return told
    return f"{subject}'s {told[4:]}" if told.startswith("its ") else f"{subject} {told}"


def _in_plain_words(clause: str) -> str:
    for pattern, words in SAID:
        clause = pattern.sub(words, clause)
    fact, _, reason = clause.partition(": ")
    return fact if LATER.search(reason) else clause


def plain_chunk(chunk: Chunk) -> Chunk:
    """The same chunk, told in plain sentences."""
    return replace(chunk, events=tuple(replace(one, text=plain_sentence(one.text)) for one in chunk.events))
