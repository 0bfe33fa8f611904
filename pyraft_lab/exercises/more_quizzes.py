"""Multiple choice about histories, searches, brokers and disks; a wrong answer names the misconception behind it."""

from collections.abc import Mapping

from pyraft_lab.exercises.quiz import Option, QuizText

MORE: Mapping[str, QuizText] = {
    one.name: one
    for one in (
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
}
"""These quizzes by name."""
