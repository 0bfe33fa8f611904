"""Where a node keeps what must survive a crash: in memory, in SQLite, or in a storage of your own."""
