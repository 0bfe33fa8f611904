"""Changes that look like mistakes and are none, each with the reason: no campaign can catch them, and none should."""

from collections.abc import Sequence

from msgspec import Struct

from pyraft_lab.check.mutants.code_mutant import Edit


class Harmless(Struct, frozen=True, kw_only=True):
    """A change that breaks no promise, and why."""

    name: str
    why: str
    edit: Edit


HARMLESS: Sequence[Harmless] = (
    Harmless(
        name="outcome-by-lease",
        why="""
        A client's questions for an outcome and for the beginning of a session are answered by lease. A leader that is
        deposed and does not know it answers from an older machine. All that this machine has applied is committed, so
        an outcome that it finds is final. If it finds none, the client sends the batch again under the same serial,
        and counts it as sent twice: the session gives the first answer, or is forgotten, and then the client says that
        the outcome is unknown. An older index for the beginning of a session only makes it end earlier: a copy is
        refused by it sooner, never later.
        """,
        edit=Edit("pyraft_lab.client.serving:decide", 'return EnsureRead("index")', 'return EnsureRead("lease")'),
    ),
    Harmless(
        name="learner-by-the-next-message",
        why="""
        A follower that is removed from the voters goes on as one, in name, until its leader's next message. It does not
        campaign: ``may_campaign`` is asked by whatever begins a campaign, and not the role. It becomes a voter again
        only by an entry that its leader sends; a node that hears from a leader takes the role that its membership says
        (``follow``) before it reads the entry, so its election timer is set as for any other learner.
        """,
        edit=Edit(
            "pyraft_lab.engine.election:refresh_role",
            "if type(role) is Follower and not",
            "if False and not",
        ),
    ),
    Harmless(
        name="learner-with-a-timer",
        why="""
        A follower that becomes a learner leaves its election timer running. The timer fires once, and then
        ``may_campaign`` says no and nothing sets it again.
        """,
        edit=Edit("pyraft_lab.engine.election:refresh_role", "turn.cancel_timer(ELECTION)", "pass"),
    ),
    Harmless(
        name="probes-where-it-is-told",
        why="""
        After a refusal the leader probes where the follower's hint points, and does not skip its own newer entries. A
        probe is always before the one that was refused, so they end; there are only more of them.
        """,
        edit=Edit("pyraft_lab.engine.rules:next_probe", "log.last_no_newer(hinted).index", "hinted.index"),
    ),
    Harmless(
        name="probes-ahead",
        why="""
        After a silence the leader probes after the entries that it has sent, and not after those that were
        acknowledged. If they were lost, the follower refuses, and its hint leads back: one more probe.
        """,
        edit=Edit(
            "pyraft_lab.engine.replication:_backed_off",
            "next=progress.matched + 1, failures=failures",
            "failures=failures",
        ),
    ),
)
