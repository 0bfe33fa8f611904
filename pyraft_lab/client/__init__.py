"""A client as a pure state machine: ``step(state, event)`` returns the next state and what its driver has to do.

It has no clock, no chance and no I/O, like the engine. A driver turns it: it carries requests to nodes, runs the timers
(their lengths are the driver's), and hands results to callers.

::

    calls  answers  errors  timers              ┌─▶ Ask a node
      └───────┴───────┴───────┴─────▶ step ─────┼─▶ SetTimer, CancelTimer, Forget
                                                └─▶ Deliver, Fail: what a caller gets
"""
