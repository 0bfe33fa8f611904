"""The Lab: see a cluster, step it, rewind it, break it, in a notebook."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from pyraft_lab.cell_lifecycle import end_with_the_cell
from pyraft_lab.errors import ConfigError, PyraftError
from pyraft_lab.lab.cluster import ClusterSession, FollowedSession, LiveSession, is_followed
from pyraft_lab.lab.opening import Condition, checked, open_at_election, open_session
from pyraft_lab.lab.page import page, player
from pyraft_lab.lab.session import Session, SimulationSession, TraceSession
from pyraft_lab.lab.static_svg import image
from pyraft_lab.lab.ticker import Shared
from pyraft_lab.lab.wire import Bye, Failure, HeaderNews, Update, ViewName, plain
from pyraft_lab.runtime.clusters import Cluster
from pyraft_lab.sim.simulation import Simulation
from pyraft_lab.trace import given
from pyraft_lab.trace.trace import Trace

Source = Simulation | Trace | Cluster
RATE = 5.0
"""The number of times per second that a live tape grows."""
IDLE_AFTER = 60.0
"""Seconds without a message from any drawing after which a live tape pauses until a drawing asks again."""
GRACE = 2.0
"""Seconds for other drawings of the same Lab to answer after one has closed."""
TWIN = "PYRAFT_LAB_TWIN"
STATIC = Path(__file__).parent / "static"
BYE = plain(Bye())


class Lab(anywidget.AnyWidget):
    """A cluster to view and to act on: servers and messages, logs, the tape, and the reasons for every event.

    ``source`` is a ``Simulation`` (none: five servers, seed 7), which the Lab drives and branches, a ``Trace``, which
    it shows, a running ``LocalCluster`` or a remote cluster that ``Trace.follow`` follows: the
    Lab watches these two, and may hold their messages and deliver them one by one, until the cell that made it runs
    again. A new simulation first runs to its first election, one vote before there is a leader, unless ``opening`` is
    false or ``until`` is given.

    ``view="ring"`` is the plain first view: servers, messages and one sentence; logs, inspector and tape are folded,
    and only actions that the first chapters explain are offered. With ``until``, a function of the simulation as for
    ``run_until``, the Lab plays by itself up to the first event after which it holds, stops, and asks ``question``::

        Lab(Simulation(nodes=3), view="ring", until=lambda sim: sim.leader, question="Which server leads?")

    Raises ``ConfigError`` for a bad argument, ``Timeout`` if ``until`` does not hold within 30 virtual seconds.

    The drawing gets only plain JSON: ``header`` and ``chunks``; it sends messages back (see ``lab/wire.py``).
    """

    _esm = STATIC / "lab.js"
    _css = STATIC / "lab.css"
    header = traitlets.Dict().tag(sync=True)
    chunks: Any = traitlets.List().tag(sync=True)

    def __init__(
        self,
        source: Source | None = None,
        *,
        view: ViewName = "full",
        opening: bool = True,
        until: Condition | None = None,
        question: str = "",
    ) -> None:
        if not isinstance(opening, bool):
            raise ConfigError("opening", opening, "must be True or False")
        view, until, question = checked(view, until, question)
        sought = Simulation() if source is None else source
        self._session = session_for(sought, opening=opening and until is None)
        open_session(self._session, view, until, question)
        self._last_message = time.monotonic()
        self._ticker = Shared(self._refresh, thing=source, name="live lab", rate=RATE)
        is_live = isinstance(self._session, LiveSession)
        self._owner = post_to_owner()
        self._post = self._ticker.post if is_live else self._owner
        super().__init__(header=plain(self._session.header()), chunks=plain(self._session.chunks()))
        self.on_msg(self._on_message)
        if is_live:
            self._ticker.start()
            end_with_the_cell(self.close)

    def __repr__(self) -> str:
        return f"<Lab: {self._session.header().title}>"

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget if the page can run it; else a static picture with its text (GitHub, nbconvert, no trust).

        With ``PYRAFT_LAB_TWIN=player`` in the environment, a picture that plays replaces both.
        """
        if os.environ.get(TWIN) == "player":
            return {"text/html": self.player(), "text/plain": repr(self)}, {}
        found = super()._repr_mimebundle_(**options)
        data, about = found if isinstance(found, tuple) else (found, {})
        return {**(data or {}), "text/html": image(*self._session.picture()), "text/plain": repr(self)}, about

    @property
    def story(self) -> str:
        """The events up to the shown moment, as sentences: the Lab for readers and screen readers."""
        return self._session.story()

    def player(self) -> str:
        """A piece of HTML that plays on any page, including some foreseen events; a picture if scripts are off.

        ``PYRAFT_LAB_TWIN=player jupyter nbconvert --execute --to html notebook.ipynb`` makes a page full of them.
        """
        return player(self._session, image(*self._session.picture()))

    def to_html(self, path: str | Path) -> Path:
        """Write a page that plays everything seen so far: step, play and scrub without a kernel or a network."""
        target = given.file_to_write(path)
        picture = image(*self._session.picture())
        target.write_text(page(self._session, self._session.header().title, picture), encoding="utf-8")
        return target

    def close(self) -> None:
        """Leave the page and stop following a live cluster."""
        if hasattr(self, "_ticker"):  # a refused one is closed, too, when it is collected
            self._ticker.close()
        super().close()

    def _refresh(self) -> bool:
        """Send the new events of a live cluster to the drawing; say whether there may be more."""
        assert isinstance(self._session, LiveSession), "nothing else grows by itself"
        is_alive = self._session.is_alive
        if not is_alive or time.monotonic() - self._last_message < IDLE_AFTER:
            self._send_updates(self._session.grow)
        if not is_alive:
            self._on_cluster_end(self._session)
        return is_alive

    def _on_cluster_end(self, session: LiveSession) -> None:
        """Stop with the cluster; the thread that made the Lab answers later questions about its tape."""
        self._send_updates(lambda: [HeaderNews(session.header())])
        self._post = self._owner
        self._ticker.close()

    # Messages of the drawing

    def _on_message(self, _widget: object, message: Any, _buffers: object) -> None:
        """Pass a message to the thread that owns the cluster; call it on any thread."""
        if message == BYE:  # the last drawing is gone unless another one answers
            self._last_message = time.monotonic() - IDLE_AFTER + GRACE
            return
        self._last_message = time.monotonic()
        self._post(lambda: self._answer(message))

    def _answer(self, message: Any) -> None:
        self._send_updates(lambda: self._session.answer(message))

    def _send_updates(self, answers: Callable[[], Iterable[Update]]) -> None:
        """Send the answers; show every error in the widget, because a log would hide it."""
        try:
            for told in answers():
                self.send(plain(told))
        except PyraftError as error:
            self.send(plain(Failure(str(error))))
        except Exception as error:  # noqa: BLE001 (a mistake of ours: the learner should see that too)
            self.send(plain(Failure(f"the Lab failed: {type(error).__name__}: {error}")))


def session_for(source: Source, *, opening: bool) -> Session:
    """The session of a source."""
    match source:
        case Simulation():
            if opening:
                open_at_election(source)
            return SimulationSession(source)
        case Trace() if is_followed(source):
            return FollowedSession(source)
        case Trace():
            return TraceSession(source)
        case Cluster():
            return ClusterSession(source)
        case _:
            name = f"the class {source.__name__}" if isinstance(source, type) else f"a {type(source).__name__}"
            raise PyraftError(f"a Lab shows a Simulation, a Trace or a cluster, not {name}")


def post_to_owner() -> Callable[[Callable[[], None]], None]:
    """A function that posts to the loop of the thread that made the Lab; without a loop it calls at once."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return lambda act: act()
    return lambda act: ignore(loop.call_soon_threadsafe(act))


def ignore(_: object) -> None:
    """Ignore the message."""
