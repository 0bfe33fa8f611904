"""A learner's source becomes a function: compiled alone, with the names of Raft at hand without Raft's own rule."""

import ast
import inspect
import linecache
from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any

from msgspec.structs import asdict

from pyraft_lab.engine import rules as raft_rules
from pyraft_lab.engine.consult import RULE_NAMES
from pyraft_lab.engine.events import Fire, Receive
from pyraft_lab.engine.log import Configuration, Noop, Normal
from pyraft_lab.engine.membership import Batch
from pyraft_lab.engine.rules import RAFT, Rules
from pyraft_lab.errors import PyraftError
from pyraft_lab.exercises.guard import Guarded, limited
from pyraft_lab.exercises.rule_answers import ANSWERS

HIDDEN = {"RAFT", "ADVANCED", "consult", "faulty_rules", "skeletons", "__import__", "import_module"}
"""Names by which a learner's code could reach a finished rule."""
PURE = {
    *("__future__", "bisect", "collections", "dataclasses", "enum", "functools", "heapq", "itertools", "math"),
    *("statistics", "typing"),
}
"""Modules that a rule may import: a rule is a function of its arguments, without files, clocks and chance."""
ORDINARY = {"__init__", "__name__", "__post_init__"}
"""Names between double underscores that ordinary classes use."""
IMPURE = {
    *("open", "input", "breakpoint", "eval", "exec", "compile", "globals", "locals", "vars"),
    *("getattr", "setattr", "delattr", "get_type_hints", "ForwardRef", "make_dataclass"),
    *("gi_frame", "cr_frame", "ag_frame", "tb_frame", "f_back", "f_globals", "f_builtins", "f_locals"),
}
"""Names that lead out of a pure function; with one of them a rule could write its own verdict."""
WAYS_OUT = {"sys", "_sys", "builtins", "bltns", "inspect", "_collections_abc", "contextlib"}
"""Modules within those that a rule may import, through which it could reach all others."""
MORE = (Fire, Receive, Batch, Noop, Normal, Configuration)
"""Values beside those of ``engine.rules`` that a rule may want to look at."""
LONGEST = 20_000
"""Characters of source that are read."""


class NoRule(PyraftError, ValueError):
    """The source is not a rule: it cannot be compiled, lacks the function, or asks Raft's own rule for the answer."""


def is_blank(source: str) -> bool:
    """Whether a source is a function whose body is still ``...``.

    >>> is_blank("def has_won(membership, granted): ..."), is_blank("def has_won(membership, granted): return True")
    (True, False)
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    match tree.body:
        case [ast.FunctionDef(body=[*_, ast.Expr(ast.Constant(value=last))])]:
            return last is ...
        case _:
            return False


def names_at_hand(name: str) -> dict[str, Any]:
    """The names that the source of a rule finds: types, helpers, and every other rule."""
    hidden = {name, "RAFT", "ADVANCED", *(one for one in vars(raft_rules) if one == f"{name}_in_order")}
    public = {key: value for key, value in vars(raft_rules).items() if not key.startswith("__") and key not in hidden}
    return {**public, **{one.__name__: one for one in MORE}}


def rule_from(name: str, source: str) -> Guarded:
    """The function ``name`` in ``source``, guarded; raises :class:`NoRule` or ``RuleFailed``.

    >>> grant_all = rule_from("vote_refusal", "def vote_refusal(state, request): return None")
    >>> grant_all(None, None) is None
    True
    """
    function = function_from(name, source, names_at_hand(name), len(inspect.signature(getattr(RAFT, name)).parameters))
    return Guarded(name, function, ANSWERS[name].problem)


def function_from(name: str, source: str, names: Mapping[str, Any], parameters: int) -> Callable[..., Any]:
    """Compile and run a source alone, and return its function ``name``."""
    if len(source) > LONGEST:
        raise NoRule(f"{name}: the cell is longer than {LONGEST:,} characters")
    file = f"<{name}>"
    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError) as wrong:
        raise NoRule(f"{name}: Python cannot read line {getattr(wrong, 'lineno', None) or 1}: {wrong}") from None
    _refuse_finished(name, tree)
    _refuse_impure(name, tree)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {**names, "__name__": "__main__"}
    code = compile(tree, file, "exec")

    def run() -> None:
        exec(code, space)  # noqa: S102 (a learner's own code, in the learner's own process)

    limited(name, run, file=file)
    return _found(name, space, parameters)


def _refuse_finished(name: str, tree: ast.Module) -> None:
    used = _names_in(tree)
    imported = {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    imported |= {alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names}
    imported |= {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    if used & HIDDEN or any(one.split(".")[0] == "pyraft_lab" for one in imported):
        raise NoRule(
            f"{name}: this exercise asks for your own rule, so the cell may not import pyraft_lab or use "
            f"{', '.join(sorted(used & HIDDEN)) or 'its modules'}; the types it needs are there already"
        )


def _refuse_impure(name: str, tree: ast.Module) -> None:
    imported = {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    imported |= {alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names}
    modules = {one for one in imported if one.partition(".")[0] not in PURE}
    dunders = {one for one in _names_in(tree) if one.startswith("__") and one.endswith("__")} - ORDINARY
    wrong = sorted(modules | (_names_in(tree) & IMPURE) | (_reached_in(tree) & WAYS_OUT) | dunders)
    if wrong:
        raise NoRule(
            f"{name}: a rule is a function of its arguments alone, so the cell may not use {', '.join(wrong)}; "
            f"it may import {', '.join(sorted(PURE))}"
        )


def _names_in(tree: ast.Module) -> set[str]:
    """Every name and attribute that a source uses, or imports from a module under any name."""
    return _reached_in(tree) | {one.id for one in ast.walk(tree) if isinstance(one, ast.Name)}


def _reached_in(tree: ast.Module) -> set[str]:
    """Every attribute that a source uses, and every name that it imports from a module."""
    imported = {alias.name for one in ast.walk(tree) if isinstance(one, ast.ImportFrom) for alias in one.names}
    return imported | {one.attr for one in ast.walk(tree) if isinstance(one, ast.Attribute)}


def _found(name: str, space: Mapping[str, Any], parameters: int) -> Callable[..., Any]:
    function = space.get(name)
    if not callable(function):
        raise NoRule(f"{name}: the cell defines no function of that name; begin it with `def {name}(...):`")
    try:
        inspect.signature(function).bind(*range(parameters))
    except TypeError:
        raise NoRule(f"{name}: the function must take {parameters} arguments, as the skeleton does") from None
    found: Callable[..., Any] = function
    return found


def source_of(function: Any) -> str:
    """The source of a learner's function, whose cell is still at hand; raises :class:`NoRule` if it is not."""
    inner = function.function if isinstance(function, Guarded) else function
    try:
        return dedent(inspect.getsource(inner))
    except (OSError, TypeError):
        raise NoRule("the source of this function is not at hand; define it in a cell of its own with def") from None


def sources_of(rules: Rules, base: Rules) -> dict[str, str]:
    """The sources of the rules in which a table differs from ``base``."""
    own, others = asdict(rules), asdict(base)
    return {name: source_of(own[name]) for name in RULE_NAMES if own[name] is not others[name]}
