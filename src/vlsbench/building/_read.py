"""Reading a recipe strictly: one TOML file, or one that ships.

Unknown keys, missing models and categories that must not be generated each give one error that
names file and key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib import resources
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from vlsbench.building._content import forbidden_category
from vlsbench.building._items import slug
from vlsbench.building._recipe import (
    ROLES,
    Contamination,
    Detoxify,
    Draw,
    Elements,
    FinalFilter,
    LeakFilter,
    Models,
    NearDuplicates,
    Perceive,
    Quota,
    Recipe,
    RecipePrice,
    Subcategory,
    Twins,
)
from vlsbench.errors import VlsbenchError

SHIPPED = ("lab", "vlsbench", "custom")
"""Recipes that come with the package, by name."""

T = TypeVar("T")


class RecipeError(VlsbenchError):
    """A recipe that cannot be used: file, key, and what is wrong."""

    def __init__(self, file: str, key: str, what: str) -> None:
        super().__init__(f"{file}: {key}: {what}" if key else f"{file}: {what}")


def read_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A path, or the name of one that ships (`lab`, `vlsbench`, `custom`).
        overrides: `section.key=VALUE` in TOML, each in place of what the file says.

    Raises:
        RecipeError: It cannot be used; names the file and the key.
    """
    file, text = _text(recipe)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(file, "", f"is not TOML: {error}") from None
    for override in overrides:
        _override(table, override)
    return _recipe(table, file, text)


def _text(recipe: str | Path) -> tuple[str, str]:
    if str(recipe) in SHIPPED:
        place = resources.files("vlsbench.building").joinpath(f"recipes/{recipe}.toml")
        return f"{recipe}.toml", place.read_text("utf-8")
    path = Path(recipe).expanduser()
    try:
        return str(path), path.read_text("utf-8")
    except FileNotFoundError:
        if path.name in {f"{name}.toml" for name in SHIPPED} and path.parent == Path():
            return _text(path.stem)
        raise VlsbenchError(
            f"no recipe {str(recipe)!r}: give a path, or one that ships: {', '.join(SHIPPED)}"
        ) from None
    except (OSError, UnicodeError) as error:
        raise VlsbenchError(f"recipe {path} cannot be read: {error}") from None


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise VlsbenchError(
            f"--set {override!r}: write SECTION.KEY=VALUE, as in draw.rounds=2 or "
            "models.judge=openai/NAME"
        )
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare text
    place = table
    for name in names[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise VlsbenchError(f"--set {override!r}: {name} is no section")
    place[names[-1]] = parsed


_SECTIONS = {
    "elements": Elements,
    "perceive": Perceive,
    "detoxify": Detoxify,
    "leak_filter": LeakFilter,
    "draw": Draw,
    "final_filter": FinalFilter,
    "near_duplicates": NearDuplicates,
    "contamination": Contamination,
    "quota": Quota,
    "twins": Twins,
}


def _recipe(table: dict[str, Any], file: str, text: str) -> Recipe:
    known = {"name", "models", "taxonomy", "prices", *_SECTIONS}
    for key in table:
        if key not in known:
            raise RecipeError(file, key, f"no such section; there are {', '.join(sorted(known))}")
    for key in ("name", "models", "taxonomy"):
        if key not in table:
            raise RecipeError(file, key, "is missing")
    if not isinstance(table["name"], str) or not table["name"].strip():
        raise RecipeError(file, "name", "must be a text")
    given: dict[str, Any] = {
        name: _section(kind, table[name], file, name)
        for name, kind in _SECTIONS.items()
        if name in table and table[name] is not False
    }
    if table.get("near_duplicates") is False:
        given["near_duplicates"] = None
    recipe = Recipe(
        name=table["name"],
        models=_section(Models, table["models"], file, "models"),
        taxonomy=_taxonomy(table["taxonomy"], file),
        prices={
            spec: _section(RecipePrice, row, file, f"prices.{spec}")
            for spec, row in _table(table.get("prices", {}), file, "prices").items()
        },
        file=file,
        text=text,
        **given,
    )
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    file = recipe.file
    if recipe.elements is None and recipe.perceive is None:
        raise RecipeError(
            file, "elements", "nothing to begin with: add [elements] (path A) or [perceive] (B)"
        )
    if recipe.draw is None and recipe.elements is not None:
        raise RecipeError(file, "draw", "path A draws its pictures: add [draw] with a safety")
    if recipe.draw is None and recipe.twins.per_pair:
        raise RecipeError(file, "draw", "twins need pictures of their own: add [draw]")
    for role in ROLES:
        if recipe.uses(role) and not recipe.spec(role):
            raise RecipeError(file, f"models.{role}", "is missing; this recipe needs it")


def placeholders(recipe: Recipe) -> list[str]:
    """Name the keys whose model is still a placeholder such as `<a strong text model>`."""
    return [f"models.{role}" for role, spec in recipe.specs().items() if "<" in spec or ">" in spec]


def _table(value: Any, file: str, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError(file, key, "must be a table")
    return value


def _taxonomy(value: Any, file: str) -> tuple[Subcategory, ...]:
    found: list[Subcategory] = []
    ids: dict[tuple[str, str], str] = {}
    for category, rows in _table(value, file, "taxonomy").items():
        key = f"taxonomy.{category}"
        for name, about in _table(rows, file, key).items():
            if not isinstance(about, str):
                raise RecipeError(file, f"{key}.{name}", "must be a text that says what it covers")
            if reason := forbidden_category(category, name, about):
                raise RecipeError(file, f"{key}.{name}", reason)
            cell = (slug(category), slug(name))
            if cell in ids:
                raise RecipeError(file, f"{key}.{name}", f"has the same id as {ids[cell]}")
            ids[cell] = f"{category}.{name}"
            found.append(Subcategory(category, name, about))
    if not found:
        raise RecipeError(file, "taxonomy", "names no sub-category")
    return tuple(found)


def _section(kind: type[T], value: Any, file: str, section: str) -> T:
    table = _table(value, file, section)
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    for key in table:
        if key not in known:
            raise RecipeError(
                file, f"{section}.{key}", f"no such key; there are {', '.join(sorted(known))}"
            )
    values = {
        key: _value(hints[key], item, file, f"{section}.{key}") for key, item in table.items()
    }
    try:
        return kind(**values)
    except TypeError:
        missing = [i.name for i in fields(kind) if i.name not in values and _required(i)]
        raise RecipeError(file, f"{section}.{missing[0]}", "must be stated") from None
    except ValueError as error:
        key, _, what = str(error).partition(": ")
        raise RecipeError(file, f"{section}.{key}", what) from None


def _required(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _value(hint: Any, value: Any, file: str, key: str) -> Any:
    """Check one value's type; `false` leaves an optional value out."""
    if get_origin(hint) is UnionType:
        if value is False:
            return None
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise RecipeError(file, key, "must be a list of texts")
    if hint is float and type(value) in (int, float):
        return float(value)
    if type(value) is hint:
        return value
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    raise RecipeError(file, key, f"must be {names[hint]}, not {value!r}")
