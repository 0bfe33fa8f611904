"""Which words the public names of the package are made of, and where each word is explained."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyraft_lab"
ORDINARY = Path(__file__).with_name("vocabulary.txt")
"""The paper's vocabulary and ordinary words of programming, in groups by meaning; ``#`` begins a group's title."""
GLOSSARY = ROOT / "ARCHITECTURE.md"
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
EXPLAINED = re.compile(r"^- ((?:\*\*[^*]+\*\*(?:, )?)+):", re.MULTILINE)
ENDINGS = ("s", "es", "d", "ed", "ing", "er", "or", "ly", "ion", "ment", "able")
BEGINNINGS = ("un", "re", "dis", "is", "mis")
SUITES = ("_cases", "conformance", "faulty_rules")
"""Modules whose functions are named by whole sentences: they speak English, not vocabulary."""


def used_words() -> Mapping[str, set[str]]:
    """Every word of every public name, with the names it stands in."""
    found = defaultdict[str, set[str]](set)
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names = [path.stem, *(() if path.stem.endswith(SUITES) else public_names(ast.parse(path.read_text("utf-8"))))]
        for name in names:
            for word in split(name):
                found[word].add(f"{module}: {name}")
    return found


def split(name: str) -> Iterator[str]:
    """The words of a name in snake_case or CamelCase, in small letters; single letters say nothing."""
    return (word.lower() for word in WORD.findall(name) if len(word) > 1)


def public_names(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Functions, classes, methods, fields and constants that do not begin with an underscore."""
    for node in tree.body:
        for name in names_of(node):
            if not name.startswith("_"):
                yield name
                if isinstance(node, ast.ClassDef):
                    yield from public_names(node)
            elif name == "__init__":
                yield from attributes(node)


def attributes(init: ast.stmt) -> Iterator[str]:
    """The public attributes that a class sets when it is built."""
    stored = (one for one in ast.walk(init) if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store))
    return (one.attr for one in stored if not one.attr.startswith("_"))


def names_of(node: ast.stmt) -> Iterator[str]:
    """What one statement of a module or a class defines."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign(targets=targets):
            yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case _:
            pass


def known_words() -> set[str]:
    """The words of the glossary, of the paper, and of programming."""
    lines = ORDINARY.read_text("utf-8").splitlines()
    ordinary = {word for line in lines if not line.startswith("#") for word in line.split()}
    return ordinary | set(glossary())


def glossary() -> list[str]:
    """The single words that ARCHITECTURE.md explains."""
    return [word for term in glossary_terms() for word in split(term)]


def glossary_terms() -> list[str]:
    """What stands in bold before the colon of each line of the glossary, in the order of the page."""
    page = GLOSSARY.read_text("utf-8").partition("\n## Glossary\n")[2]
    return [term for line in EXPLAINED.findall(page) for term in re.findall(r"\*\*([^*]+)\*\*", line)]


def is_known(word: str, known: set[str]) -> bool:
    """Whether a word, or a root of it, is known: ``applied`` by ``apply``, ``unreachable`` by ``reach``."""
    return any(root in known for root in roots(word))


def roots(word: str) -> Iterator[str]:
    """The word, and what is left of it without endings and beginnings."""
    heads = [
        word,
        *(word.removeprefix(head) for head in BEGINNINGS if word.startswith(head) and len(word) > len(head) + 2),
    ]
    for head in heads:
        yield head
        for end in ENDINGS:
            if head.endswith(end) and len(head) > len(end) + 1:
                stem = head.removesuffix(end)
                yield from (stem, f"{stem}e", f"{stem[:-1]}y" if stem.endswith("i") else stem)
                if len(stem) > 2 and stem[-1] == stem[-2]:
                    yield stem[:-1]
