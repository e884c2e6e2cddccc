"""JSON and TOML into typed values: every field checked, every error names the file and the key.

msgspec does the work. Its import takes about 20 ms (pydantic: about 95 ms), and it reads plain
dataclasses, so the classes that a job computes with are also the schema of what it writes. JSON is
parsed by the standard library, for msgspec refuses half surrogates, which our files may hold.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vlsbench.errors import VlsbenchError
from vlsbench.files import unreadable

T = TypeVar("T")


class SchemaError(VlsbenchError):
    """A file, or a part of one, that does not have the shape it must have."""


def convert(value: Any, kind: type[T], where: str, *, foreign: bool = False) -> T:
    """Turn decoded JSON or TOML into a dataclass, strictly.

    Args:
        value: Dictionaries, lists and plain values.
        kind: The dataclass (or any type that msgspec knows).
        where: Names the file in errors; may be empty.
        foreign: Another tool wrote it: keys that no field has are passed over.

    Raises:
        SchemaError: A key is unknown or missing, or a value has the wrong type; names the key.
    """
    prefix = f"{where}: " if where else ""
    if not foreign and (unknown := _unknown(value, _info(kind), "")):
        raise SchemaError(f"{prefix}unknown key {unknown}")
    try:
        return msgspec.convert(value, kind, strict=True, dec_hook=_other)
    except msgspec.ValidationError as error:
        raise SchemaError(f"{prefix}{_plain(error, value, kind)}") from None


def decode_json(data: bytes | str, kind: type[T], where: str) -> T:
    """Read JSON text; see `convert`."""
    return convert(parse_json(data, where), kind, where)


def parse_json(data: bytes | str, where: str) -> Any:
    """Read JSON text. Raises `SchemaError` naming file and place."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where} is not valid JSON: {error}") from None


def read_json(path: Path, kind: type[T], *, schema: str = "", foreign: bool = False) -> T:
    """Read a JSON file that holds one dataclass.

    Args:
        path: The file.
        kind: The dataclass.
        schema: What the file's `schema` key must be; empty checks nothing.
        foreign: As for `convert`.

    Raises:
        SchemaError: The file cannot be read, follows another schema, or does not fit `kind`.
    """
    try:
        value = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise SchemaError(unreadable(path, error)) from None
    found = value.get("schema") if isinstance(value, dict) else None
    if schema and found != schema:
        raise SchemaError(f"{path} follows schema {found!r}; this version reads {schema!r}")
    return convert(value, kind, str(path), foreign=foreign)


def read_jsonl(path: Path, kind: type[T]) -> Iterator[T]:
    """Read a file of JSON Lines, each line one dataclass; blank lines are skipped.

    Raises:
        SchemaError: The file cannot be read, or a line does not fit `kind`; names the line.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield decode_json(line, kind, f"{path}, line {number}")
    except OSError as error:
        raise SchemaError(unreadable(path, error)) from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Read TOML text. Raises `SchemaError` naming file and line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{where} is not valid TOML: {error}") from None


def parse_value(text: str) -> Any:
    """Return a value as TOML writes it; what is no TOML is text, so that quotes may be left out."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises `SchemaError` where it cannot be read or is not TOML."""
    try:
        return parse_toml(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise SchemaError(unreadable(path, error)) from None
    except UnicodeDecodeError:
        raise SchemaError(f"{path} is not UTF-8 text") from None


_WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "a table", "array": "a list",
}  # fmt: skip
"""What messages call the type of a value."""

_info: Callable[[Any], msgspec.inspect.Type] = cache(msgspec.inspect.type_info)


def _other(kind: type[Any], value: Any) -> Any:
    """Read the types that JSON and TOML do not have."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _plain(error: msgspec.ValidationError, value: Any, kind: Any) -> str:
    text, _, path = str(error).partition(" - at `$")
    key, at = "", value
    for name, place in re.findall(r"\.(\w+)|\[(\d+|\.{3})\]", path):
        if place == "...":
            name = _failing(at, value, kind, str(error))
        key += f"[{place}]" if place.isdigit() else f".{name}"
        at = at[int(place)] if place.isdigit() else at.get(name, {})
    key = key.lstrip(".")
    if text.startswith("Object missing required field"):
        name = text.split("`")[1]
        return f"missing key {key}.{name}" if key else f"missing key {name}"
    if found := re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", text):
        wanted = " or ".join(_WORDS.get(name, name) for name in found[1].split(" | "))
        text = f"must be {wanted}, not {_WORDS.get(found[2], found[2])}"
    if found := re.fullmatch(r"Expected `\w+` (>=|<=) (.+)", text):
        bound = "least" if found[1] == ">=" else "most"
        text = f"must be at {bound} {float(found[2]):g}, not {at}"
    # A dataclass that checks its own fields names the one: `rounds: must be at least 1`.
    joint = "." if text.partition(":")[0].isidentifier() else ": "
    return f"{key}{joint}{text}" if key else text


def _failing(table: dict[str, Any], value: Any, kind: Any, message: str) -> str:
    """Return the key of a table that an error is about, which msgspec does not say."""
    whole = dict(table)
    try:
        for key, inner in whole.items():
            table.clear()
            table[key] = inner
            try:
                msgspec.convert(value, kind, dec_hook=_other)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    return key
        return "…"
    finally:
        table.clear()
        table.update(whole)


def _unknown(value: Any, info: Any, at: str) -> str:
    """Return the path of the first key that no field has; empty where all are known."""
    match info:
        case msgspec.inspect.DataclassType() if isinstance(value, Mapping):
            fields = {field.encode_name: field.type for field in info.fields}
            for key, inner in value.items():
                if key not in fields:
                    return f"{at}{key}; there are {', '.join(fields)}"
                if found := _unknown(inner, fields[key], f"{at}{key}."):
                    return found
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            if isinstance(value, list):
                for number, inner in enumerate(value):
                    if found := _unknown(inner, info.item_type, f"{at.rstrip('.')}[{number}]."):
                        return found
        case msgspec.inspect.DictType() if isinstance(value, Mapping):
            for key, inner in value.items():
                if found := _unknown(inner, info.value_type, f"{at}{key}."):
                    return found
        case msgspec.inspect.UnionType():
            for one in info.types:
                if isinstance(one, msgspec.inspect.DataclassType) and isinstance(value, Mapping):
                    return _unknown(value, one, at)
        case _:
            pass
    return ""
