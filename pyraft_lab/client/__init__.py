"""A client as a pure state machine: ``step(state, event)`` returns the next state and commands for its driver.

Like the engine it has no clock, no randomness and no I/O. A driver runs it: it carries requests to nodes, runs timers
(the driver sets their lengths), and returns results to callers.

::

    calls  answers  errors  timers              ┌─▶ Ask a node
      └───────┴───────┴───────┴─────▶ step ─────┼─▶ SetTimer, CancelTimer, Forget
                                                └─▶ Deliver, Fail: a caller's result
"""
