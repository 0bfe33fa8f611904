"""A complete Raft as pure Python values: run it, stop it, rewind it, fork it, break it, measure it, prove it."""

__version__ = "0.1.0"
