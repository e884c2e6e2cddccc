"""Settings from a file: one TOML per published model, or a user's own.

`model` and any field of `Settings` stand at the top; `[lora]` holds fields of `Lora`; `[mm-dpo]`
and the other methods' names hold what differs there. Texts named `source` or `about` are for
readers.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vlsbench.aligning._types import Lora, Method, Settings
from vlsbench.errors import VlsbenchError

_FOR_READERS = frozenset({"source", "about"})
_METHODS = frozenset(str(method) for method in Method)


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says for one method."""

    model: str
    """Empty where the file names none."""
    settings: Mapping[str, Any]
    """Fields of `Settings`; `lora` is a mapping of fields of `Lora`."""
    source: str = ""


def published() -> list[str]:
    """Return the names of the files that come with vlsbench."""
    folder = resources.files("vlsbench.aligning") / "configs"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir())


def read_config(name: str, method: Method) -> Config:
    """Read a file's settings for a method.

    Args:
        name: Of a file that comes with vlsbench, or a path.
        method: Whose section is laid over the rest.

    Raises:
        VlsbenchError: There is no such file, it is no TOML, or it holds unknown names.
    """
    path = Path(name).expanduser()
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    elif name in published():
        shipped = resources.files("vlsbench.aligning") / "configs" / f"{name}.toml"
        text = shipped.read_text("utf-8")
    else:
        raise VlsbenchError(
            f"no configuration {name!r}: give a path, or one of {', '.join(published())}"
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise VlsbenchError(f"{name}: no TOML ({error})") from None
    section = content.get(str(method), {})
    everywhere = {key: value for key, value in content.items() if key not in _METHODS}
    for part in (everywhere, section):
        _check(name, part)
    laid = {**everywhere, **section}
    if "lora" in everywhere and "lora" in section:
        laid["lora"] = {**everywhere["lora"], **section["lora"]}
    if laid.get("lora") == {}:
        laid.pop("lora")
    model = laid.pop("model", "")
    source = str(laid.get("source", ""))
    return Config(
        str(model), {key: value for key, value in laid.items() if key not in _FOR_READERS}, source
    )


def _check(name: str, part: Mapping[str, Any]) -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    unknown = sorted(set(part) - fields - _FOR_READERS - {"model"})
    lora = part.get("lora", {})
    if not isinstance(lora, Mapping):
        raise VlsbenchError(f"{name}: lora is a table: [lora] with r, alpha, …")
    unknown += [
        f"lora.{key}"
        for key in sorted(set(lora) - {field.name for field in dataclasses.fields(Lora)})
    ]
    if unknown:
        raise VlsbenchError(
            f"{name}: unknown {', '.join(unknown)}; settings are {', '.join(sorted(fields))}"
        )


def make_settings(given: Mapping[str, Any]) -> Settings:
    """Make settings of plain values.

    Args:
        given: Fields of `Settings`; `lora` may be a mapping or a `Lora`.

    Raises:
        VlsbenchError: A name is unknown, or a value is of the wrong type.
    """
    _check("settings", {k: v for k, v in given.items() if not isinstance(v, Lora)})
    values = dict(given)
    if isinstance(values.get("lora"), Mapping):
        values["lora"] = Lora(**values["lora"])
    if isinstance(values.get("report_to"), list):
        values["report_to"] = tuple(values["report_to"])
    for field in dataclasses.fields(Settings):
        if field.name in values and field.default is not None:
            wanted = type(field.default)
            value = values[field.name]
            if wanted is float and isinstance(value, int) and not isinstance(value, bool):
                values[field.name] = float(value)
            elif not isinstance(value, wanted):
                raise VlsbenchError(
                    f"{field.name} is {value!r}: it must be {wanted.__name__}, as {field.default!r}"
                )
    return Settings(**values)


def parse_lora(text: str) -> dict[str, Any]:
    """Read `r=16,alpha=32,merge` as the command line gives it.

    Raises:
        VlsbenchError: It names no field of `Lora`, or gives it a wrong value.
    """
    fields = {name: type(value) for name, value in dataclasses.asdict(Lora()).items()}
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in fields:
            raise VlsbenchError(f"--lora: no {name!r}; there are {', '.join(fields)}")
        kind = fields[name]
        try:
            found[name] = (value != "false") if kind is bool else kind(value)
        except ValueError:
            raise VlsbenchError(f"--lora: {part!r}: {name} must be {kind.__name__}") from None
        if kind is not bool and not equals:
            raise VlsbenchError(f"--lora: {name} needs a value, as r=16")
    return found
