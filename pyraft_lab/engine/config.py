"""Every setting of a node, checked once when it is given; all times are in seconds (openraft Config)."""

from math import isfinite
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from pyraft_lab.arguments import at_least, flag, instance, integer, seconds, time_range
from pyraft_lab.errors import ConfigError

FORMER_NAMES = {"loyalty": "vote_lease", "read_beats": "read_sends_heartbeat"}
"""Earlier names of settings, still accepted in files and on command lines."""


class Config(Struct, frozen=True, kw_only=True, cache_hash=True, gc=False):
    """How a node behaves; times are in seconds and should be the same on all nodes of a cluster.

    >>> Config(election_timeout=(0.3, 0.2)).validated()
    Traceback (most recent call last):
    pyraft_lab.errors.ConfigError: election_timeout=(0.3, 0.2): the shortest must be below the longest
    """

    election_timeout: tuple[float, float] = (0.15, 0.30)
    """Seconds: a follower that receives nothing from a leader campaigns after a random time in [shortest, longest)
    (§5.2, §9.3)."""
    heartbeat_interval: float = 0.05
    """Seconds between a leader's heartbeat rounds; well below the shortest election timeout and a leader's lease."""
    clock_drift: float = 0.1
    """How much clocks may differ in rate, as a share: a leader's lease is this much shorter than the vote leases of
    its followers."""
    retry_timeout: float = 0.1
    """Seconds after which an unanswered append or snapshot chunk is sent again, with back-off."""
    retry_limit: float = 1.0
    """Seconds: the longest back-off for a peer that does not answer."""

    pre_vote: bool = True
    """Ask before campaigning, so that a node that was away does not depose a leader (dissertation §9.6)."""
    check_quorum: bool = True
    """A leader without a quorum refuses writes and then steps down (dissertation §6.2)."""
    vote_lease: bool = True
    """A node that has received from a leader within its vote lease does not vote against it (dissertation §4.2.3)."""
    enable_elect: bool = True
    """Campaign when the election timer fires; off, only on request."""
    enable_heartbeat: bool = True
    """Send heartbeats; off, only appends renew the followers' vote leases."""
    suppress_heartbeats: bool = False
    """Skip the heartbeat to a follower that acknowledged an append in the round that ends."""
    leader_restore: bool = False
    """A restarted leader resumes leadership in its term; it then sends only entries that are on its own disk."""

    max_append_entries: int = 300
    """Entries in one AppendEntries message."""
    max_append_bytes: int = 1 << 20
    """Bytes of commands in one AppendEntries message; a single larger entry goes alone."""
    max_inflight: int = 64
    """Unanswered AppendEntries messages a follower may have."""
    max_inflight_bytes: int = 64 << 20
    """Unanswered bytes of commands a follower may have."""
    max_uncommitted_bytes: int | None = None
    """Bytes of uncommitted commands a leader accepts before it refuses; ``None`` for no limit."""
    prompt_commit: bool = True
    """Tell followers at once that an entry is committed; off, with the next append or heartbeat."""
    allow_log_revert: bool = False
    """Whether a follower that lost its log may start again from nothing; dangerous for voters."""

    snapshot_logs_since_last: int | None = 5000
    """Build a snapshot after this many entries were applied since the last; ``None`` for never."""
    snapshot_bytes_since_last: int | None = None
    """Build a snapshot after this many bytes were applied since the last; ``None`` for never."""
    snapshot_chunk: int = 64 << 10
    """Bytes of a snapshot in one message."""
    keep_logs: int = 1000
    """How many entries that a snapshot covers are kept in the log for slow followers."""
    purge_batch: int = 1
    """Purge only when at least this many entries can go."""

    auto_leave: bool = True
    """A leader ends a committed joint membership by itself; off, the operator ends it with another change."""
    read_sends_heartbeat: bool = True
    """A linearizable read sends a round at once; off, it waits for the next heartbeat."""
    max_apply_entries: int = 4096
    """Entries handed to the state machine in one ``Apply``."""
    learner_lag: int = 1000
    """A learner is caught up when it lacks no more entries than this."""

    @classmethod
    def of(cls, config: "Config | None") -> "Config":
        """The given config, validated, or the default for ``None``; raises ``ConfigError``."""
        return cls() if config is None else instance("config", config, Config).validated()

    def validated(self) -> "Config":
        """This config if it is valid; else raise ``ConfigError``, which names field, value and rule."""
        _check_types(self)
        _check_times(self)
        _check_sizes(self)
        return self


def _check_types(config: Config) -> None:
    for field in fields(config):
        value: Any = getattr(config, field.name)
        if field.type is bool:
            flag(field.name, value)
        if field.type in (int, int | None) and isinstance(value, (float, str)):
            raise ConfigError(field.name, value, "must be a whole number")
        if isinstance(value, float) and not isfinite(value):
            raise ConfigError(field.name, value, "must be a finite number")


def _check_times(config: Config) -> None:
    for name in ("heartbeat_interval", "retry_timeout", "retry_limit"):
        seconds(name, getattr(config, name), 1e-6)
    at_least("clock_drift", config.clock_drift, 0)
    if config.clock_drift >= 1:
        raise ConfigError("clock_drift", config.clock_drift, "must be a share below 1")
    _check_window(config.election_timeout)
    _check_rhythm(config)


def _check_window(window: Any) -> None:
    shortest, longest = time_range("election_timeout", window)
    if not shortest < longest:
        raise ConfigError("election_timeout", window, "the shortest must be below the longest")


def _check_rhythm(config: Config) -> None:
    """A heartbeat must arrive before followers campaign, and before the leader's own lease runs out."""
    shortest, interval = config.election_timeout[0], config.heartbeat_interval
    lease, silence = shortest * (1 - config.clock_drift), interval * (2 if config.suppress_heartbeats else 1)
    twice = "; a suppressed heartbeat comes an interval later" if config.suppress_heartbeats else ""
    if shortest <= silence:
        rule = f"must be below the shortest election timeout, {shortest:g} s{twice}"
        raise ConfigError("heartbeat_interval", interval, rule)
    if (config.vote_lease or config.check_quorum) and lease <= silence:
        rule = f"a lease of {lease:g} s, the shortest election timeout less clock_drift, must outlast it{twice}"
        raise ConfigError("heartbeat_interval", interval, rule)


def _check_sizes(config: Config) -> None:
    for name in (
        "max_append_entries",
        "max_append_bytes",
        "max_inflight",
        "max_inflight_bytes",
        "max_apply_entries",
        "snapshot_chunk",
        "purge_batch",
    ):
        integer(name, getattr(config, name), 1)
    for name in ("keep_logs", "learner_lag"):
        integer(name, getattr(config, name))
    for name in ("snapshot_logs_since_last", "snapshot_bytes_since_last", "max_uncommitted_bytes"):
        if getattr(config, name) is not None:
            integer(name, getattr(config, name), 1)
