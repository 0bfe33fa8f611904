"""One plain sentence for a step of Raft, with the section of the paper that decided it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from pyraft_lab.engine.state import Step
from pyraft_lab.trace.annotate.own import PREFIX
from pyraft_lab.trace.annotate.rule import ROUTINE, Explained
from pyraft_lab.trace.annotate.table import remarks
from pyraft_lab.trace.text import server


def sentence_of(step: Step, time: float | None = None) -> str:
    """What a server did in one step, and why.

    >>> from pyraft_lab.engine.engine import step
    >>> from pyraft_lab.engine.events import Initialize
    >>> from pyraft_lab.engine.membership import Membership
    >>> from pyraft_lab.engine.state import RaftState
    >>> print(sentence_of(step(RaftState(id=1), Initialize(1, Membership.of({1, 2, 3})))))
    n1 creates the cluster {1,2,3} with entry 1 of term 0;
    becomes candidate in term 1 and asks n2 and n3 for their votes (§5.2; dissertation §4.4)
    """
    told = headline(remarks(step))
    when = "" if time is None else f"t={time:.3f} "
    return f"{when}{server(step.after.id)} {predicate(told)}{sections(told)}"


def headline(told: Sequence[Explained]) -> tuple[Explained, ...]:
    """The explanations without routine, unless all are routine; the first one always stays."""
    if all(remark.rule.importance <= ROUTINE for remark in told):
        return tuple(told)
    return (told[0], *[remark for remark in told[1:] if remark.rule.importance > ROUTINE])


def first_explanation(step: Step) -> str:
    """The first thing that a step did, in words, and the answers of rules of its run that are not Raft's own."""
    told = remarks(step)
    chosen = (*told[:1], *(one for one in told[1:] if one.rule.label.startswith(PREFIX)))
    return f"{predicate(chosen)}{sections(chosen)}"


def predicate(told: Iterable[Explained]) -> str:
    """The texts of the explanations, one after the other."""
    return "; ".join([remark.text for remark in told])


def sections(told: Sequence[Explained]) -> str:
    """The sections in brackets, each once: the paper's, then the dissertation's, then other systems."""
    worth = [remark for remark in told if remark.rule.importance > ROUTINE] or told
    return _in_brackets(tuple([remark.rule.section for remark in worth]))


@lru_cache(maxsize=1024)
def _in_brackets(every: tuple[str, ...]) -> str:
    parts = dict.fromkeys(part for section in every for part in section.split(", ") if part)
    found = (_of(parts, paper=True), _of(parts, paper=False))
    return f" ({'; '.join(filter(None, found))})" if any(found) else ""


def _of(parts: Iterable[str], *, paper: bool) -> str:
    """The sections of one kind; the word "dissertation" is said once."""
    chosen = ", ".join(part for part in parts if part.startswith(("§", "Figure")) is paper)
    first, *rest = chosen.split("dissertation ")
    return chosen if not rest else f"{first}dissertation {''.join(rest)}"
