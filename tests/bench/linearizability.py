"""What a check for linearizability costs on this machine: ``python -m tests.bench.linearizability``.

Random linearizable histories of 10,000 operations on ten keys; then a hundred hard ones (90 operations of twenty
clients on one register of five values, a fifth without an answer) against the plain search, stopped at 100,000 steps.
"""

import resource
import statistics
import sys
import time
from collections import Counter

from pyraft_lab.check.linearize.linearizability import check_linearizable
from pyraft_lab.check.linearize.sequential_specs import REGISTER
from tests.check.histories import hard_history, keyed_history
from tests.check.judges import PlainSearch


def long_histories(count: int = 100) -> str:
    """Seconds of processor for each, at three levels of concurrency."""
    lines = []
    for clients in (5, 10, 20):
        seconds = []
        for seed in range(count):
            history = keyed_history(seed, clients=clients)
            start = time.process_time()
            assert check_linearizable(history, "kv")
            seconds.append(time.process_time() - start)
        lines.append(f"{clients:3} clients: median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s")
    return "\n".join(lines)


def hard_histories(count: int = 100, limit: int = 100_000) -> str:
    """Model steps of both searches; the plain one is stopped at the limit, so the true ratio is greater."""
    start = time.process_time()
    verdicts = [check_linearizable(hard_history(seed)) for seed in range(count)]
    seconds = time.process_time() - start
    rivals = [PlainSearch(hard_history(seed), REGISTER) for seed in range(count)]
    for rival in rivals:
        rival.run(limit)
    ours, plain = sum(verdict.steps for verdict in verdicts), sum(rival.steps for rival in rivals)
    return (
        f"verdicts {Counter(verdict.ok for verdict in verdicts)} in {seconds:.1f} s and {ours:,} steps; "
        f"the plain search took {plain:,} steps and left {sum(rival.ok is None for rival in rivals)} open\n"
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
    )


if __name__ == "__main__":
    sys.stdout.write(f"{long_histories()}\n{hard_histories()}\n")
