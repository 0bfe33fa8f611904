"""What a caption of the guide claims is what its figure shows: captions are compared with the data below them."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FIGURE = "application/vnd.plotly.v1+json"
CELL = re.compile(r"n(\d+), index (\d+), term (\d+)<br>(.*)<br>.*, (not )?known to be committed")
BAND = re.compile(r"n(\d+) (leads|is an? (\w+) in) term (\d+)<br>from ([\d.]+) s to ([\d.]+) s")


class Entry(NamedTuple):
    """An entry in a figure of logs."""

    term: int
    what: str
    is_committed: bool


class Figure:
    """A figure in a notebook: its caption, and what its marks say."""

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self.plain, self.layout = plain, plain["layout"]
        title = self.layout.get("title", {})
        self.caption = bare(title.get("text", ""))
        self.finding = bare(title.get("subtitle", {}).get("text", ""))

    @cached_property
    def hovers(self) -> list[str]:
        """The text of every mark."""
        return [text for trace in self.plain["data"] for text in trace.get("hovertext") or () if text]

    @cached_property
    def lanes(self) -> list[str]:
        """The names of the rows."""
        return [bare(name) for name in self.layout["yaxis"].get("ticktext", ())]

    @cached_property
    def logs(self) -> dict[int, dict[int, Entry]]:
        """The entries of each server by index."""
        found: dict[int, dict[int, Entry]] = {int(lane.split()[0][1:]): {} for lane in self.lanes}
        for node, index, term, what, isnt in (match.groups() for text in self.hovers if (match := CELL.match(text))):
            found[int(node)][int(index)] = Entry(int(term), what, isnt is None)
        return found

    @cached_property
    def notes(self) -> list[str]:
        """The words beside the marks."""
        return [bare(note["text"]) for note in self.layout.get("annotations", ())]

    @cached_property
    def leaderships(self) -> set[tuple[int, int]]:
        """Node and term of every leadership in a figure over time."""
        bands = (match.groups() for text in self.hovers if (match := BAND.match(text)))
        return {(int(node), int(term)) for node, what, _, term, *_ in bands if what == "leads"}

    def leads(self, node: int) -> bool:
        """Whether a figure of logs says so."""
        return f"n{node} leader" in [" ".join(lane.split()) for lane in self.lanes]

    def is_down(self, node: int) -> bool:
        """Whether a figure of logs says so."""
        return f"n{node} down" in [" ".join(lane.split()) for lane in self.lanes]


def bare(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", str(text))).strip()


def figures(notebook: Path) -> Iterator[Figure]:
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if FIGURE in output.get("data", {}):
                yield Figure(output["data"][FIGURE])


# What captions claim

Check = Callable[[Figure, "re.Match[str]"], bool]


def numbers(words: str) -> list[int]:
    return [int(number) for number in re.findall(r"n(\d+)", words)]


def stores_uncommitted(figure: Figure, match: "re.Match[str]") -> bool:
    holding = {
        node
        for node, log in figure.logs.items()
        if any(entry.what == match[2] and not entry.is_committed for entry in log.values())
    }
    return holding == set(numbers(match[1]))


def terms_at(figure: Figure, match: "re.Match[str]") -> bool:
    index = int(match[1])
    told = {
        node: int(term)
        for term, nodes in re.findall(r"term (\d+) on ((?:n\d+(?: and |, )?)+)", match[2])
        for node in numbers(nodes)
    }
    return told == {node: log[index].term for node, log in figure.logs.items() if index in log}


def replaced(figure: Figure, match: "re.Match[str]") -> bool:
    elected = int(match[1])
    return figure.leads(elected) and all(
        match[2] not in {entry.what for entry in figure.logs[node].values()}
        and figure.logs[node] == figure.logs[elected]
        for node in numbers(match[3])
    )


def carried_along(figure: Figure, match: "re.Match[str]") -> bool:
    leader = next(node for node in figure.logs if figure.leads(node))
    own = figure.logs[leader]
    last = max(own)
    holding = [node for node, log in figure.logs.items() if log.get(last) == own[last]]
    return (
        own[last].term == int(match[1])
        and 2 * len(holding) > len(figure.logs)
        and all(one.is_committed for one in own.values())
    )


def cannot_commit(figure: Figure, match: "re.Match[str]") -> bool:
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    stuck = [entry for entry in figure.logs[int(match[1])].values() if not entry.is_committed]
    return len(stuck) == words.index(match[2]) and figure.leads(int(match[3])) and not figure.leads(int(match[1]))


def all_alike(figure: Figure, _: "re.Match[str]") -> bool:
    return len({tuple(sorted(log.items())) for log in figure.logs.values()}) == 1


def deleted_what_it_needs(figure: Figure, match: "re.Match[str]") -> bool:
    away = int(match[1])
    needs = max(figure.logs[away], default=0) + 1
    others = [log for node, log in figure.logs.items() if node != away]
    return figure.is_down(away) and all(min(log) > needs for log in others)


def same_end_other_start(figure: Figure, _: "re.Match[str]") -> bool:
    logs = list(figure.logs.values())
    return len({max(log) for log in logs}) == 1 and len({min(log) for log in logs}) > 1


def committed_a_noop(figure: Figure, match: "re.Match[str]") -> bool:
    one, term, other = int(match[1]), int(match[2]), int(match[3])
    places = [at for at, entry in figure.logs[one].items() if (entry.term, entry.what) == (term, "no-op")]
    return (
        any(figure.logs[one][at].is_committed for at in places)
        and figure.leads(other)
        and all(figure.logs[other].get(at) not in (None, figure.logs[one][at]) for at in places)
        and all(figure.logs[other][at].term != term for at in places)
    )


def committed_and_absent(figure: Figure, match: "re.Match[str]") -> bool:
    one, other = figure.logs[int(match[1])], figure.logs[int(match[2])]
    return any(entry.is_committed and (at not in other or other[at].term != entry.term) for at, entry in one.items())


def two_leaders(figure: Figure, match: "re.Match[str]") -> bool:
    terms = [term for _, term in figure.leaderships]
    wanted = int(match[1]) if match[1] else max(terms, key=terms.count)
    return terms.count(wanted) == 2


def repairs(figure: Figure, match: "re.Match[str]") -> bool:
    letters = {bare(text) for trace in figure.plain["data"] for text in trace.get("text") or ()}
    leader = int(match[1])
    return any(node == leader for node, _ in figure.leaderships) and {"A−", "A+"} <= letters


def continues(figure: Figure, _: "re.Match[str]") -> bool:
    chunks = [re.match(r"n\d+ to n\d+: bytes (\d+) to", text) for text in figure.hovers]
    starts = [int(match[1]) for match in chunks if match]
    lost = [int(match[1]) for match, text in zip(chunks, figure.hovers, strict=True) if match and text.endswith("lost")]
    return any(start > 0 and starts.count(start) > 1 for start in lost)


def tallies(figure: Figure) -> list[str]:
    return [note for note in figure.notes if re.match(r"\d+ of \d+ ?,", note)]


def both_enough(figure: Figure, _: "re.Match[str]") -> bool:
    return (
        len(tallies(figure)) == 2
        and all("enough" in tally for tally in tallies(figure))
        and "both do" in figure.finding
    )


def not_yet(figure: Figure, _: "re.Match[str]") -> bool:
    return len(tallies(figure)) == 2 and "does not yet" in figure.finding


def old_without_new(figure: Figure, match: "re.Match[str]") -> bool:
    old, new = tallies(figure)
    only = int(match[1])
    holding = {int(found[1]) for text in figure.hovers if (found := re.match(r"n(\d+) holds it on disk", text))}
    return old.startswith("3 of 3") and new.startswith("1 of 3") and only in holding


def fits_in_no_order(figure: Figure, _: "re.Match[str]") -> bool:
    return "not linearizable" in figure.finding and any(note.endswith("fits in no order") for note in figure.notes)


def linearizable(figure: Figure, _: "re.Match[str]") -> bool:
    return "; linearizable" in figure.finding or ", linearizable" in figure.finding


def two_calls(figure: Figure, match: "re.Match[str]") -> bool:
    return figure.finding.startswith("2 operations") and fits_in_no_order(figure, match)


def an_open_call(figure: Figure, match: "re.Match[str]") -> bool:
    return "without an answer" in figure.finding and linearizable(figure, match)


def committed_apart(figure: Figure, _: "re.Match[str]") -> bool:
    logs = list(figure.logs.values())
    return any(
        entry.is_committed and other[at].is_committed and entry != other[at]
        for one in logs
        for other in logs
        for at, entry in one.items()
        if at in other
    )


def stands_twice(figure: Figure, match: "re.Match[str]") -> bool:
    longest = max(figure.logs.values(), key=len)
    return [entry.what for entry in longest.values() if entry.is_committed].count(match[1]) == 2


def only_leader(figure: Figure, match: "re.Match[str]") -> bool:
    return figure.leaderships == {(int(match[1]), int(match[2]))}


def stays(figure: Figure, _: "re.Match[str]") -> bool:
    return len(figure.leaderships) == 1


def another_leads(figure: Figure, _: "re.Match[str]") -> bool:
    terms = sorted(figure.leaderships, key=lambda one: one[1])
    return len(terms) == 2 and terms[0][0] != terms[1][0] and terms[0][1] < terms[1][1]


def many_terms_later(figure: Figure, match: "re.Match[str]") -> bool:
    terms = [term for _, term in figure.leaderships]
    return another_leads(figure, match) and max(terms) > min(terms) + 2


def hands_over(figure: Figure, match: "re.Match[str]") -> bool:
    order = sorted(figure.leaderships, key=lambda one: one[1])
    return [node for node, _ in order] == [int(match[1]), int(match[2])]


def lags(figure: Figure, match: "re.Match[str]") -> bool:
    return f"n{match[1]}: only" in figure.finding


def all_caught_up(figure: Figure, _: "re.Match[str]") -> bool:
    return "at the end all servers know" in figure.finding


def begins_with_members(figure: Figure, _: "re.Match[str]") -> bool:
    return all(log[1].what.startswith("{") and log[2].what == "no-op" for log in figure.logs.values())


CLAIMS: Mapping[str, Check] = {
    r"\(a\) (n\d+ and n\d+) store (\S+); dashed: not committed": stores_uncommitted,
    r"\(b\) at index (\d+): (.*)": terms_at,
    r"\(d\) n(\d+) was elected, and its entry replaced (\S+) on (.*)": replaced,
    r"\(e\) an entry of term (\d+) is on a majority: everything before it is committed with it": carried_along,
    r"n(\d+) has (\w+) entries that cannot commit; n(\d+) leads the majority": cannot_commit,
    r"After the network has healed": all_alike,
    r"Without the check: different entries at one index, all called committed": committed_apart,
    r"n(\d+) was down; the others have deleted the entries it needs": deleted_what_it_needs,
    r"After the snapshot: the same end, a different start": same_end_other_start,
    r"n(\d+) has committed the no-op entry of term (\d+); n(\d+) leads, and has another entry there": committed_a_noop,
    r"What n(\d+) has committed, n(\d+) has not": committed_and_absent,
    r"Two leaders in term (\d+), because of your votes": two_leaders,
    r"Six steps, two leaders in one term()": two_leaders,
    r"Two leaders in term (\d+): n3 helped both": two_leaders,
    r"One term, two leaders, one after the other()": two_leaders,
    r"(\S+) stands in the log twice, and is applied twice": stands_twice,
    r"n1 never gets an answer; n(\d+) is the only leader of term (\d+)": only_leader,
    r"One server is cut off; the others elect a leader of a later term": another_leads,
    r"Cut off, n\d campaigns again and again; its term deposes the leader": many_terms_later,
    r"With pre-vote: the follower asks, nobody agrees, the leader stays": stays,
    r"With check-quorum: the deaf leader steps down, another is elected": another_leads,
    r"n(\d+) is suspended: the others go on without it": lags,
    r"n\d+ wakes up and catches up": all_caught_up,
    r"How far each log reaches: n2 and n3 catch up before they vote": all_caught_up,
    r"From n(\d+) to n(\d+): a campaign without a timeout": hands_over,
    r"Entry 1 is the membership, entry 2 the no-op of the first leader": begins_with_members,
    r"n(\d+) repairs n\d+: A− refuses, A\+ accepts": repairs,
    r"Four of ten messages lost: the transfer continues where it stopped": continues,
    r"The joint entry is on its way": not_yet,
    r"Both sets hold it: committed": both_enough,
    r"All three old voters store it; of the new voters only n(\d+)": old_without_new,
    r"The framed call fits in no order": fits_in_no_order,
    r"A read from the old leader: fast and wrong": fits_in_no_order,
    r"Two calls are enough": two_calls,
    r"A diamond marks an instant at which the call may have happened": linearizable,
    r"Calls during the crash take longer, and all of them fit": linearizable,
    r"An open bar has no known end; its diamond shows when it must have happened": an_open_call,
}
"""Captions of the guide, and what has to be so in their figures."""
CLAIM_NOTHING = (
    r"Every message, from sender to receiver",
    r"An election, message by message",
    r"The logs when the client has its answer",
    r"How far each log reached, in real seconds",
    r"From append to commit: alone, in a crowd, and in one call",
    r"The role of each (server|process) over time.*",
    r"Entry \d+: the servers that hold it, and the majorities it needs",
    r"The snapshot, chunk by chunk",
    r"States queued, by their depth in steps",
    r"The answer leaves at the moment of the request",
    r"The share of runs with a violation",
)
"""Captions that say what a figure is about, and leave the result to the finding below them."""
FROM_THE_ANSWER = re.compile(r"(Entry \d+ .* is committed since|n\d+ leads term \d+ since|.*: n\d+ )")
"""Captions that `viz.why` takes from the answer that it draws."""


def check_of(caption: str) -> tuple[Check, "re.Match[str]"] | None:
    found = ((check, re.fullmatch(pattern, caption)) for pattern, check in CLAIMS.items())
    return next(((check, match) for check, match in found if match), None)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_caption_says_what_its_figure_shows(notebook: Path) -> None:
    false, unchecked = [], []
    for figure in figures(notebook):
        claim = check_of(figure.caption)
        if claim is not None:
            check, match = claim
            false += [] if check(figure, match) else [figure.caption]
        elif not any(re.fullmatch(pattern, figure.caption) for pattern in CLAIM_NOTHING):
            unchecked += [] if FROM_THE_ANSWER.match(figure.caption) else [figure.caption]
    assert false == [], "these captions are not true of their figures"
    assert unchecked == [], "add what these captions claim to CLAIMS"


def test_every_claim_is_made_somewhere() -> None:
    captions = [figure.caption for notebook in NOTEBOOKS for figure in figures(notebook)]
    unused = [claim for claim in CLAIMS if not any(re.fullmatch(claim, caption) for caption in captions)]
    assert unused == []


def test_a_false_caption_is_noticed() -> None:
    figure = next(figure for figure in figures(NOTEBOOKS[7]) if "no-op entry" in figure.caption)
    figure.caption = figure.caption.replace("n1 has committed", "n3 has committed")
    check, match = check_of(figure.caption) or (all_alike, re.match("", ""))
    assert match is not None
    assert not check(figure, match)
