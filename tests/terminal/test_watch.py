"""The dashboard: a row for each node that is there or should be, whatever the width of the terminal."""

import io
from collections.abc import Mapping

import msgspec
import pytest
from rich.console import Console

from pyraft_lab.engine.membership import Membership
from pyraft_lab.engine.types import LogId, NodeId, Vote
from pyraft_lab.runtime.metrics import Metrics
from pyraft_lab.runtime.remote import Remote
from pyraft_lab.terminal.watch import View, picture, term_mark

MEMBERS = Membership.of({1, 2, 3})


def metrics(node: NodeId, *, leads: bool = False, term: int = 2) -> Metrics:
    return Metrics(
        id=node,
        term=term,
        vote=Vote(term, 1, committed=leads),
        role="leader" if leads else "follower",
        leader=1,
        last_log=LogId(2, 1, 12),
        committed=11,
        has_committed=leads,
        applied=LogId(2, 1, 10),
        membership=MEMBERS,
        replication={2: 9, 3: 0} if leads else {},
    )


HEALTHY = {1: metrics(1, leads=True), 2: metrics(2)}


def shown(nodes: Mapping[NodeId, Metrics], width: int = 100) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(picture("demo", nodes, width=width))
    return console.export_text().splitlines()


def test_a_member_that_is_away_has_its_row() -> None:
    rows = [line.split() for line in shown(HEALTHY)]
    assert ["1", "leader", "2", "1", "12", "11", "10"] in rows
    assert ["2", "follower", "2", "1", "12", "11", "10", "3"] in rows
    assert ["3", "not", "heard"] in rows
    assert ["node", "1", "leads;", "members", "{1,2,3}"] in rows


def test_a_voter_that_lost_its_disk_is_an_alarm_and_the_way_out_stands_beside_it() -> None:
    lost = msgspec.structs.replace(metrics(1, leads=True), reverted={2: 9, 3: 0})
    shown_words = " ".join(" ".join(shown({1: lost, 2: metrics(2)})).split())
    assert "ALARM: node 2 lost acknowledged entries, up to 9: node 1 has stopped sending to it" in shown_words
    assert "ALARM: node 3 was a leader and has an empty disk now" in shown_words
    assert "pyraft-lab client allow-next-revert 3" in shown_words


def test_a_voter_that_holds_nothing_is_an_alarm_once() -> None:
    empty = msgspec.structs.replace(metrics(1, leads=True), alarms={2: "holds nothing", 3: "lost"}, reverted={3: 0})
    raised = [line for line in shown({1: empty, 2: metrics(2)}) if "ALARM" in line]
    assert len(raised) == 2
    assert any("ALARM: node 2 holds nothing" in line for line in raised)


@pytest.mark.parametrize("width", [36, 40, 52, 77, 78, 120])
def test_no_row_is_broken_or_cut_short(width: int) -> None:
    lines = shown(HEALTHY, width)
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line for line in lines)
    assert sum(" leader " in line or " follower " in line for line in lines) == 2


def test_every_role_fits_an_ordinary_terminal() -> None:
    waiting = msgspec.structs.replace(metrics(2), role="precandidate")
    assert shown({1: metrics(1, leads=True), 2: waiting}, 80)[2].split()[-1] == "behind"


def test_a_node_that_was_removed_and_does_not_know_it_is_shown_as_no_member() -> None:
    removed = msgspec.structs.replace(metrics(4), membership=Membership.of({1, 2, 3, 4}))
    newest = msgspec.structs.replace(metrics(1, leads=True), membership_id=LogId(2, 1, 9))
    rows = [line.split() for line in shown({1: newest, 4: removed})]
    assert ["4", "not", "a", "member", "2", "1", "12", "11", "10"] in rows


def test_an_empty_cluster_says_what_to_do() -> None:
    assert "start nodes with" in "\n".join(shown({}))


def test_nobody_leads_where_the_newest_leader_has_not_committed() -> None:
    assert "no leader" in [line.strip() for line in shown({2: metrics(2)})]


def test_a_broker_that_is_away_is_said_and_the_last_picture_stays() -> None:
    remote = Remote("anybody")
    remote.metrics.update(HEALTHY)
    view = View("demo", remote)
    view.picture(100)
    remote.metrics.clear()
    remote.is_connected = False
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(view.picture(100))
    text = console.export_text()
    assert "the broker is away" in text
    assert "leader" in text


@pytest.mark.parametrize(
    ("term", "style"), [(0, "#000000 on #E4E7EB"), (1, "#000000 on #56B4E9"), (5, "#FFFFFF on #0072B2")]
)
def test_a_term_is_its_numeral_on_its_colour(term: int, style: str) -> None:
    mark = term_mark(term)
    assert (mark.plain, mark.style, [span.style for span in mark.spans]) == (f" {term} ", "", [style])
