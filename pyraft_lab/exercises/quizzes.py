"""The quizzes: one for each common misconception about Raft."""

from collections.abc import Mapping

from pyraft_lab.exercises.quiz import Option, QuizText

ELECTIONS = (
    QuizText(
        name="timeouts-are-redrawn",
        chapter=1,
        question="Two servers became candidates at once and split the votes. What ends such a tie?",
        options=(
            Option(
                "the server with the lowest id wins", "Misconception: ids decide. In the paper's Raft they never do."
            ),
            Option(
                "each draws a new random election timeout, and one is probably first",
                "Randomised timeouts are drawn again for every election, so ties are rare and do not repeat for long.",
                right=True,
            ),
            Option(
                "each server has a fixed timeout of its own, and the shortest wins",
                "Misconception: timeouts are fixed per server. Two servers with nearly the same timeout would then "
                "split the votes again and again.",
            ),
        ),
        section="§5.2",
        hints=("What would happen if both waited exactly as long as before?",),
    ),
    QuizText(
        name="a-vote-is-for-a-term",
        chapter=1,
        question="n3 voted for n1 in term 4. In term 5 n2 asks for its vote; n2's log is up-to-date. What does n3 do?",
        options=(
            Option("it refuses: its vote belongs to n1", "Misconception: a vote is for life. It is for one term."),
            Option(
                "it grants the vote", "A new term is a new vote, given to the first up-to-date candidate.", right=True
            ),
            Option(
                "it waits for n1 to agree",
                "Misconception: servers ask each other before they vote. A vote needs nobody else.",
            ),
        ),
        section="§5.2",
        hints=("What does votedFor contain when currentTerm grows?",),
    ),
    QuizText(
        name="higher-term-longer-log",
        chapter=1,
        question="A candidate arrives in term 9; you are in term 3. Its last entry is of term 2, yours of term "
        "3. Your vote?",
        options=(
            Option(
                "yes: it is in a higher term",
                "Misconception: a higher term means a better log. Terms of elections grow without any entry.",
            ),
            Option(
                "no, but you move to term 9",
                "The term is adopted from every message; the vote depends on the last entries, and yours is of a "
                "later term.",
                right=True,
            ),
            Option(
                "no, and you stay in term 3",
                "The term is adopted in any case; a server never goes on in a term that is over.",
            ),
        ),
        section="§5.1, §5.4.1",
        hints=(
            "There are two decisions here: the term, and the vote.",
            "Compare the last entries: first terms, then indexes.",
        ),
    ),
    QuizText(
        name="two-leaders-at-once",
        chapter=1,
        question="Can two servers of one cluster both be in the role of leader at the same instant?",
        options=(
            Option("never", "Misconception: there is one leader at a time. There is at most one in every term."),
            Option(
                "yes, in different terms",
                "A leader that is cut off does not know of its successor. It commits nothing, because no "
                "majority answers it.",
                right=True,
            ),
            Option("yes, also in one term", "A majority votes once a term, and two majorities share a server."),
        ),
        section="§5.2, Figure 3",
        hints=("How would a leader that is cut off hear of an election?",),
    ),
    QuizText(
        name="a-cut-off-leader-knows",
        chapter=1,
        question="A partition separates the leader from everybody. When does it know that it was replaced?",
        options=(
            Option(
                "at once", "Misconception: a partitioned leader knows. From inside, silence looks like slow answers."
            ),
            Option(
                "when it hears of a higher term",
                "Only a message can tell it. (With check-quorum it steps down earlier, because nobody answers; "
                "it still does not know "
                "whether there is a successor.)",
                right=True,
            ),
            Option("when its election timer fires", "A leader has no election timer."),
        ),
        section="§5.1, §6.2 of the dissertation",
        hints=("What does a leader receive while it is cut off?",),
    ),
    QuizText(
        name="half-of-four",
        chapter=1,
        question="How many crashed servers does a cluster of four survive, compared with one of three?",
        options=(
            Option("two instead of one", "Misconception: even sizes tolerate more. A majority of four is three."),
            Option(
                "one, the same as three",
                "The majority grows with the fourth server, and what may fail stays one.",
                right=True,
            ),
            Option("none", "Three of four are still a majority."),
        ),
        section="§2, §5.2",
        hints=("How many are a majority of four?",),
    ),
)

REPLICATION = (
    QuizText(
        name="commit-needs-majority",
        chapter=2,
        question="A leader of five has written a new entry to its own disk. When is it committed?",
        options=(
            Option(
                "at once: the leader decides",
                "Misconception: the leader commits on receipt. Its crash would lose the entry.",
            ),
            Option("when every server has it", "Then one slow server would stop the cluster; a majority is enough."),
            Option(
                "when three of the five have it on disk",
                "Every later leader needs votes of a majority, and one of these three is among them.",
                right=True,
            ),
            Option(
                "when three have received it in memory", "A loss of power would take it back: what counts is on disk."
            ),
        ),
        section="§5.3",
        hints=("Which servers may all crash without the loss of the entry?",),
    ),
    QuizText(
        name="old-terms-on-a-majority",
        chapter=2,
        question="The leader of term 4 sees that three of five servers hold an entry of term 2. Is that entry "
        "committed?",
        options=(
            Option(
                "yes, a majority holds it",
                "Misconception: replicated to a majority means committed. A server with a last entry of term 3 "
                "can still win "
                "and replace it (Figure 8).",
            ),
            Option(
                "no, not until an entry of term 4 after it is on a majority",
                "With an entry of term 4 there, a candidate without it can win no majority.",
                right=True,
            ),
            Option("no, it never can be", "It is committed together with the next entry of the leader's own term."),
        ),
        section="§5.4.2, Figure 8",
        hints=("Who could still be elected?", "Think of a server whose last entry is of term 3."),
    ),
    QuizText(
        name="commit-index-after-restart",
        chapter=16,
        question="A follower that had committed 40 entries restarts from its disk. What does it know of its "
        "commit index?",
        options=(
            Option("it is 40", "Misconception: the commit index is durable. Figure 2 lists it as volatile."),
            Option(
                "nothing, until a leader tells it",
                "It applies again what a leader announces; its log is still there.",
                right=True,
            ),
            Option("it is the end of its log", "Entries at the end of a log may never have been committed."),
        ),
        section="Figure 2",
        hints=("Which three things are persistent in Figure 2?",),
    ),
    QuizText(
        name="heartbeats-are-appends",
        chapter=3,
        question="What is a heartbeat, in the paper?",
        options=(
            Option(
                "an AppendEntries without entries, with the same checks",
                "So a heartbeat also compares logs and carries the commit index. (This library sends it as a "
                "message of its own.)",
                right=True,
            ),
            Option(
                "a ping that says: I am alive",
                "Misconception: a heartbeat is a message of another kind. It carries the leader's term, the entry "
                "before the new ones and the commit index, and the follower checks them as in every AppendEntries.",
            ),
            Option("a vote request", "Only candidates ask for votes."),
        ),
        section="§5.2, Figure 2",
        hints=("Look for the word heartbeat in Figure 2.",),
    ),
    QuizText(
        name="a-late-append",
        chapter=3,
        question="You hold entries 1 to 5. A late AppendEntries brings entries 3 and 4, the same as yours. What "
        "remains in your log?",
        options=(
            Option(
                "1 to 4", "Misconception: a follower truncates at every append. Entry 5 may be committed on your word."
            ),
            Option("1 to 5", "Only a conflicting entry is removed, together with all after it.", right=True),
            Option("1 to 2", "There is no conflict; nothing is removed."),
        ),
        section="§5.3, Figure 2",
        hints=("Does anything conflict?",),
    ),
    QuizText(
        name="who-repairs-logs",
        chapter=3,
        question="Leader and follower disagree from index 7 on. Whose entries go?",
        options=(
            Option(
                "the follower's",
                "The leader never removes or overwrites its own entries; followers take its log.",
                right=True,
            ),
            Option(
                "those of the shorter log",
                "Misconception: longer logs win. Length decides no repair; the leader's log does.",
            ),
            Option("the leader's, where a majority disagrees", "A leader's log only grows (leader append-only)."),
        ),
        section="§5.3, Figure 3",
        hints=("Which of the five properties of Figure 3 speaks of leaders?",),
    ),
)

CLIENTS = (
    QuizText(
        name="a-new-membership-counts",
        chapter=4,
        question="From when on does a server use a new membership that is in its log?",
        options=(
            Option(
                "when it is committed",
                "Misconception: a configuration counts once committed. Then nobody could know whose majority "
                "commits it.",
            ),
            Option(
                "from the moment when it is appended",
                "The newest membership in the log counts, committed or not.",
                right=True,
            ),
            Option("when the leader says so", "No message says so; the log does."),
        ),
        section="§6",
        hints=("Whose majority would commit it otherwise?",),
    ),
    QuizText(
        name="majority-of-the-union",
        chapter=4,
        question="Joint membership of {1, 2, 3} and {3, 4, 5}. Which votes elect a leader?",
        options=(
            Option(
                "any three of the five",
                "Misconception: a majority of the union. 3, 4 and 5 could elect one leader while 1 and 2, which may "
                "still know only the old membership, elect another: two of its three voters.",
            ),
            Option(
                "two of {1, 2, 3} and two of {3, 4, 5}",
                "Both majorities, separately: 1, 3 and 4 for example.",
                right=True,
            ),
            Option("two of {3, 4, 5}", "The old voters must agree until the change is over."),
        ),
        section="§6",
        hints=("Servers 1 and 2 may still know only the old membership. Could two leaders be elected in one term?",),
    ),
    QuizText(
        name="when-snapshots-are-sent",
        chapter=5,
        question="When does a leader send a snapshot to a follower?",
        options=(
            Option(
                "regularly, to keep it in step",
                "Misconception: snapshots synchronise followers. Each server builds its own; sending is the exception.",
            ),
            Option(
                "when the entries it needs are no longer in the leader's log",
                "Then only the snapshot can bring it up to date.",
                right=True,
            ),
            Option("after every election", "An election changes no log; a new leader probes with entries."),
        ),
        section="§7",
        hints=("What is missing when a follower was away for long?",),
    ),
    QuizText(
        name="reads-from-anybody",
        chapter=17,
        question="A client reads its own write from a follower and sees the old value. What is wrong?",
        options=(
            Option("the follower is broken", "A follower may be behind; that is normal."),
            Option(
                "nothing is lost; reads must be confirmed by a leader",
                "A read from any server may be stale; index reads and leases prevent that.",
                right=True,
            ),
            Option(
                "the write was not committed",
                "It may well be: commit needs a majority, and this follower may not be in it.",
            ),
        ),
        section="§8, dissertation §6.4",
        hints=("Which servers know at this moment that the write is committed?",),
    ),
    QuizText(
        name="a-new-leader-reads",
        chapter=17,
        question="A leader was elected a moment ago and holds every committed entry. May it answer a read at once?",
        options=(
            Option("yes: its log is complete", "It has the entries, and does not know which of them are committed."),
            Option(
                "only after an entry of its own term is committed, and a majority answered a round",
                "Then its commit index is right, and nobody has replaced it.",
                right=True,
            ),
            Option("never; only the old leader may", "The old leader may have been replaced long ago."),
        ),
        section="§8, dissertation §6.4",
        hints=("What does a new leader know of its commit index?",),
    ),
    QuizText(
        name="exactly-once-queues",
        chapter=14,
        question="The network delivers every message exactly once (QoS 2). May servers and clients drop their "
        "own checks for duplicates?",
        options=(
            Option(
                "yes, nothing arrives twice",
                "Misconception: exactly-once delivery removes duplicates. A client that asks again sends a new "
                "message.",
            ),
            Option(
                "no: a client repeats a request that was not answered",
                "Only sessions with serial numbers make a command happen once.",
                right=True,
            ),
            Option("yes, if the disk is fast", "The disk has nothing to do with it."),
        ),
        section="§8, dissertation §6.3",
        hints=("Who sends the second copy?",),
    ),
    QuizText(
        name="what-must-be-durable",
        chapter=16,
        question="A voter crashes after it answered yes, and before its disk had the vote. What may happen?",
        options=(
            Option(
                "nothing: the candidate knows of the vote",
                "The candidate knows, but after its restart the voter does not: its disk has no vote.",
            ),
            Option(
                "it votes for somebody else in the same term",
                "Then one term can have two leaders. So answers wait for the disk.",
                right=True,
            ),
            Option("its log is lost", "The log has nothing to do with the vote."),
        ),
        section="§5.1, Figure 2",
        hints=("What does the voter find on its disk?",),
    ),
)

OPERATION = (
    QuizText(
        name="a-read-beside-a-write",
        chapter=6,
        question="A read overlaps a write of 2; before both, x is 1. Which answers of the read are linearizable?",
        options=(
            Option("only 1: the write was not answered yet", "The write may take effect before it is answered."),
            Option("only 2: the write had begun", "The write may also take effect after the read."),
            Option("1 or 2", "Each call takes effect at one instant between its start and its answer.", right=True),
        ),
        section="§8; Herlihy and Wing, §2",
        hints=("Draw both calls as bars, and look for an instant in each.",),
    ),
    QuizText(
        name="a-search-that-found-nothing",
        chapter=7,
        question="A search of three servers with two timeouts visits every state and finds no violation. "
        "What does that prove?",
        options=(
            Option("Raft is correct", "Misconception: an exhausted search is a proof. It covers its bounds only."),
            Option(
                "no run of three servers with at most two timeouts violates a property",
                "Within these bounds nothing was left out; beyond them nothing was looked at.",
                right=True,
            ),
            Option(
                "as much as a million random runs",
                "Misconception: random runs are as good. They visit likely states often, and some states never.",
            ),
        ),
        section="dissertation §8",
        hints=("What would a mistake need that shows only in a third term?",),
    ),
    QuizText(
        name="a-last-will-arrives",
        chapter=8,
        question="The broker publishes the last will of the leader. What do the other nodes do?",
        options=(
            Option(
                "they elect another leader at once",
                "Misconception: a last will means a crash. Only the connection to the broker is known to be gone.",
            ),
            Option(
                "nothing, until an election timer fires",
                "Raft decides by its own timers and terms; the will is for people who watch.",
                right=True,
            ),
            Option("they remove it from the cluster", "Only a committed membership removes a server."),
        ),
        section="§5.2",
        hints=("What if only this connection broke, and the leader is back in 20 ms?",),
    ),
    QuizText(
        name="a-write-that-returned",
        chapter=9,
        question="`file.write(entry)` has returned; the storage then answers that the entry is stored. "
        "What may a power failure do?",
        options=(
            Option("nothing: the file has it", "Misconception: what is written is on the disk."),
            Option(
                "take the entry back, although the leader counted it",
                "It was in the system's memory only: a storage answers after fsync.",
                right=True,
            ),
            Option("damage older entries", "Not by this mistake: older entries were synced, if at all, before."),
        ),
        section="§5.1, Figure 2",
        hints=("Where is the entry between write and fsync?",),
    ),
    QuizText(
        name="all-processes-killed",
        chapter=11,
        question="All five processes are killed with kill -9 and started again from their disks. What is lost?",
        options=(
            Option("everything: no server was up", "Misconception: the state lives in the processes."),
            Option(
                "no write that was answered",
                "An answer meant that a majority had it on disk; the next leader has it, too.",
                right=True,
            ),
            Option("the last write that was answered", "It was on the disks of a majority before the answer."),
        ),
        section="§5.1, §5.4, Figure 2",
        hints=("What was true of a write when its client got the answer?",),
    ),
)

QUIZZES: Mapping[str, QuizText] = {
    one.name: one for part in (ELECTIONS, REPLICATION, CLIENTS, OPERATION) for one in part
}
"""Every quiz by name."""
