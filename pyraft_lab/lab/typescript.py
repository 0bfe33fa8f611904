"""The wire's types for the drawing: ``python -m pyraft_lab.lab.typescript`` writes ``js/src/wire.d.ts``."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct, UnsetType
from msgspec.structs import fields

from pyraft_lab.lab import holding, wire

TARGET = Path(__file__).parent / "js/src/wire.d.ts"
ALIASES: dict[str, Any] = {"Update": wire.Update, "Asked": wire.Asked, "LiveOrder": holding.LiveAction}
"""Unions that the drawing names; everything they and ``OfflinePage`` refer to is written, too."""
PLAIN = {int: "number", float: "number", str: "string", bool: "boolean", NoneType: "null", Any: "unknown"}
HEADING = "// What the Lab's drawing and Python say to each other. Generated from lab/wire.py: change it there.\n"


def declarations() -> str:
    """The whole file."""
    structs = sorted(set(reachable([*ALIASES.values(), wire.OfflinePage])), key=lambda one: one.__name__)
    aliases = [f"export type {name} = {written(kind)};\n" for name, kind in ALIASES.items()]
    return "\n".join([HEADING, *aliases, *map(declared, structs)])


def reachable(kinds: Iterable[Any]) -> Iterator[type[Struct]]:
    """Every Struct that these types refer to, directly or through others."""
    seen: set[type[Struct]] = set()
    left = list(kinds)
    while left:
        kind = left.pop()
        if isinstance(kind, type) and issubclass(kind, Struct):
            if kind in seen:
                continue
            seen.add(kind)
            yield kind
            left.extend(get_type_hints(kind).values())
        else:
            left.extend(get_args(kind))


def declared(kind: type[Struct]) -> str:
    """One Struct as an interface, or as a tuple where it is an array on the wire."""
    about = f"/** {(kind.__doc__ or '').partition(chr(10))[0].replace('``', '`')} */\n"
    hints = get_type_hints(kind, include_extras=True)
    members = [(field.encode_name, hints[field.name]) for field in fields(kind)]
    if kind.__struct_config__.array_like:
        parts = ", ".join(f"{name}: {written(hint)}" for name, hint in members)
        return f"{about}export type {kind.__name__} = [{parts}];\n"
    config = kind.__struct_config__
    tag = [f'  {config.tag_field}: "{config.tag}";\n'] if config.tag is not None else []
    lines = [*tag, *(f"  {name}{optional(hint)}: {written(hint)};\n" for name, hint in members)]
    return f"{about}export interface {kind.__name__} {{\n{''.join(lines)}}}\n"


def optional(kind: Any) -> str:
    """A question mark where a field may be absent."""
    return "?" if UnsetType in get_args(kind) else ""


def written(kind: Any) -> str:
    """A Python type in TypeScript.

    >>> written(dict[str, tuple[int, ...]]), written(Literal["probe", "halted"] | None)
    ('Record<string, number[]>', '"probe" | "halted" | null')
    """
    if kind in PLAIN:
        return PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return kind.__name__
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return next(str(meta.extra["typescript"]) for meta in inner if isinstance(meta, Meta) and meta.extra)
    if origin is Literal:
        return " | ".join(f'"{one}"' for one in inner)
    if origin in {Union, UnionType}:
        return " | ".join(dict.fromkeys(written(one) for one in inner if one is not UnsetType))
    if origin is dict:
        return f"Record<string, {written(inner[1])}>"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"[{', '.join(map(written, inner))}]"
    element = written(inner[0])
    return f"({element})[]" if " | " in element else f"{element}[]"


if __name__ == "__main__":
    sys.exit(TARGET.write_text(declarations(), encoding="utf-8") < 0)
