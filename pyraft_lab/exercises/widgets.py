"""Buttons for exercises where a notebook has ipywidgets; everywhere else the text says everything."""

import sys
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.marked import Marked, as_page, points
from pyraft_lab.trace.printed import lines_as_html

VIEW = "application/vnd.jupyter.widget-view+json"


@runtime_checkable
class Choosable(Protocol):
    """An exercise whose answer is one of a few words."""

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """Pairs of an answer and what to show for it."""
        ...

    @property
    def task(self) -> str:
        """What is asked, without the choices."""
        ...

    @property
    def out_of(self) -> int:
        """The points that a right answer has."""
        ...

    def answer(self, given: Any = ...) -> Marked:
        """Mark an answer."""
        ...

    def hint(self) -> str:
        """One more hint."""
        ...


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this program."""
    shell: Any = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel") and find_spec("ipywidgets") is not None


def show(exercise: object) -> bool:
    """Show an exercise with buttons; false, and nothing shown, outside of a notebook or if there is nothing to choose.

    Text and feedback are outputs of the cell, and not of the widget: a page without a kernel shows both, and the
    notebook keeps the feedback with the answer.
    """
    if not isinstance(exercise, Choosable) or not in_notebook():
        return False
    display: Any = import_module("IPython.display").display

    feedback = f"feedback-{id(exercise)}"
    buttons = panel(exercise, lambda marked: display(marked, display_id=feedback, update=True))
    found: dict[str, Any] = buttons._repr_mimebundle_()
    display(as_page(exercise.task), raw=True)
    choices = "\n".join(f"  {words}" for _, words in exercise.choices)
    display({"text/plain": choices, "text/html": lines_as_html(choices), VIEW: found[VIEW]}, raw=True)
    display(as_page(f"not answered yet ({points(0, exercise.out_of)})"), raw=True, display_id=feedback)
    return True


def panel(exercise: Choosable, feedback: Callable[[Marked], object]) -> Any:
    """Radio buttons, a button that answers and passes the mark to ``feedback``, and a button for hints."""
    import ipywidgets

    options = [(words.replace("  ", ") ", 1), value) for value, words in exercise.choices]  # HTML joins spaces
    radio = ipywidgets.RadioButtons(options=options, value=None, layout={"width": "auto"})
    answer = ipywidgets.Button(description="Answer", tooltip="Mark the chosen answer", disabled=True)
    hint = ipywidgets.Button(description="Hint", tooltip="Show one more hint")
    told = ipywidgets.HTML()

    def choose(_: object) -> None:
        answer.disabled = radio.value is None

    def mark(_: object) -> None:
        answer.description, answer.disabled = "Marking …", True  # a prediction plays many runs
        try:
            feedback(exercise.answer(radio.value))
        except PyraftError as wrong:  # an error in a button's callback would be seen by nobody
            told.value = escape(str(wrong))
        finally:
            answer.description, answer.disabled = "Answer", False

    def more(_: object) -> None:
        told.value = escape(exercise.hint())

    radio.observe(choose, "value")
    answer.on_click(mark)
    hint.on_click(more)
    return ipywidgets.VBox([radio, ipywidgets.HBox([answer, hint]), told])
