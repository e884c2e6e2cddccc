"""JSON and TOML into typed values: every field checked, every error names the file and the key.

msgspec does the work. Its import takes about 20 ms (pydantic: about 95 ms), and it reads plain
dataclasses, so the classes that a job computes with are also the schema of what it writes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vlsbench.errors import VlsbenchError

T = TypeVar("T")


class SchemaError(VlsbenchError):
    """A file, or a part of one, that does not have the shape it must have."""


def convert(value: Any, kind: type[T], where: str) -> T:
    """Turn decoded JSON or TOML into a dataclass, strictly.

    Args:
        value: Dictionaries, lists and plain values.
        kind: The dataclass (or any type that msgspec knows).
        where: Names the file in errors.

    Raises:
        SchemaError: A key is unknown or missing, or a value has the wrong type; names the key.
    """
    if unknown := _unknown(value, msgspec.inspect.type_info(kind), ""):
        raise SchemaError(f"{where}: unknown key {unknown}")
    try:
        return msgspec.convert(value, kind, strict=True, dec_hook=_other)
    except msgspec.ValidationError as error:
        raise SchemaError(f"{where}: {_plain(error)}") from None


def decode_json(data: bytes | str, kind: type[T], where: str) -> T:
    """Read JSON text; see `convert`."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{where} is not valid JSON: {error}") from None
    return convert(value, kind, where)


def read_json(path: Path, kind: type[T], *, schema: str = "") -> T:
    """Read a JSON file that holds one dataclass.

    Args:
        path: The file.
        kind: The dataclass.
        schema: What the file's `schema` key must be; empty checks nothing.

    Raises:
        SchemaError: The file cannot be read, follows another schema, or does not fit `kind`.
    """
    try:
        value = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise SchemaError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"{path} is not valid JSON: {error}") from None
    found = value.get("schema") if isinstance(value, dict) else None
    if schema and found != schema:
        raise SchemaError(f"{path} follows schema {found!r}; this version reads {schema!r}")
    return convert(value, kind, str(path))


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Read TOML text. Raises `SchemaError` naming file and line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"{where} is not valid TOML: {error}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises `SchemaError` where it cannot be read or is not TOML."""
    try:
        return parse_toml(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise SchemaError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SchemaError(f"{path} is not UTF-8 text") from None


def _other(kind: type[Any], value: Any) -> Any:
    """Read the types that JSON and TOML do not have."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise msgspec.ValidationError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _plain(error: msgspec.ValidationError) -> str:
    text, _, key = str(error).partition(" - at `$")
    key = key.rstrip("`").lstrip(".")
    return f"{key}: {text}" if key else text


def _unknown(value: Any, info: Any, at: str) -> str:
    """Return the path of the first key that no field has; empty where all are known."""
    match info:
        case msgspec.inspect.DataclassType() if isinstance(value, Mapping):
            fields = {field.encode_name: field.type for field in info.fields}
            for key, inner in value.items():
                if key not in fields:
                    return f"{at}{key}"
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
