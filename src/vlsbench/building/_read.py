"""Reading a recipe strictly: one TOML file, or one that ships.

Unknown keys, missing models and categories that must not be generated each give one error that
names file and key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from vlsbench.building._content import forbidden_category
from vlsbench.building._items import slug
from vlsbench.building._recipe import ROLES, Recipe
from vlsbench.errors import VlsbenchError
from vlsbench.schemas import SchemaError, convert, parse_toml, parse_value

SHIPPED = ("lab", "vlsbench", "custom")
"""Recipes that come with the package, by name."""
_LEFT_OUT_BY_FALSE = (
    *("elements", "perceive", "draw", "near_duplicates", "perceive.most", "leak_filter.overlap"),
    *("near_duplicates.similarity", "contamination.similarity"),
    *("quota.per_subcategory", "quota.per_category"),
)


def read_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A path, or the name of one that ships (`lab`, `vlsbench`, `custom`).
        overrides: `section.key=VALUE` in TOML, each in place of what the file says.

    Raises:
        SchemaError: It cannot be used; names the file and the key.
    """
    file, text = _text(recipe)
    table = parse_toml(text, file)
    for override in overrides:
        _override(table, override)
    for key in {"file", "text"} & table.keys():
        raise SchemaError(f"{file}: unknown key {key}")
    _leave_out(table)
    table["taxonomy"] = _taxonomy(table.get("taxonomy", {}), file)
    found = replace(convert(table, Recipe, file), file=file, text=text)
    _check(found)
    return found


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
    place = table
    for name in names[:-1]:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise VlsbenchError(f"--set {override!r}: {name} is no section")
    place[names[-1]] = parse_value(value)


def _leave_out(table: dict[str, Any]) -> None:
    """Put null, which TOML has no word for, where `false` leaves out what may be left out."""
    for key in _LEFT_OUT_BY_FALSE:
        section, _, name = key.partition(".")
        place = table.get(section) if name else table
        if isinstance(place, dict) and place.get(name or section) is False:
            place[name or section] = None


def _check(recipe: Recipe) -> None:
    file = recipe.file
    if not recipe.name.strip():
        raise SchemaError(f"{file}: name: must be stated")
    if recipe.elements is None and recipe.perceive is None:
        raise SchemaError(
            f"{file}: elements: nothing to begin with: add [elements] (path A) or [perceive] (B)"
        )
    if recipe.draw is None and recipe.elements is not None:
        raise SchemaError(f"{file}: draw: path A draws its pictures: add [draw] with a safety")
    if recipe.draw is None and recipe.twins.per_pair:
        raise SchemaError(f"{file}: draw: twins need pictures of their own: add [draw]")
    for role in ROLES:
        if recipe.uses(role) and not recipe.spec(role):
            raise SchemaError(f"{file}: models.{role}: is missing; this recipe needs it")


def placeholders(recipe: Recipe) -> list[str]:
    """Name the keys whose model is still a placeholder such as `<a strong text model>`."""
    return [f"models.{role}" for role, spec in recipe.specs().items() if "<" in spec or ">" in spec]


def _taxonomy(value: Any, file: str) -> list[dict[str, str]]:
    """Check the categories, and give every sub-category a row."""
    rows: list[dict[str, str]] = []
    ids: dict[tuple[str, str], str] = {}
    taxonomy = convert({"taxonomy": value}, dict[str, dict[str, dict[str, str]]], file)["taxonomy"]
    for category, inner in taxonomy.items():
        for name, about in inner.items():
            key = f"{file}: taxonomy.{category}.{name}"
            if reason := forbidden_category(category, name, about):
                raise SchemaError(f"{key}: {reason}")
            cell = (slug(category), slug(name))
            if cell in ids:
                raise SchemaError(f"{key}: has the same id as {ids[cell]}")
            ids[cell] = f"{category}.{name}"
            rows.append({"category": category, "name": name, "about": about})
    if not rows:
        raise SchemaError(f"{file}: taxonomy: names no sub-category")
    return rows
