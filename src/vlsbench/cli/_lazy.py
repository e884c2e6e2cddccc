"""A root group that imports a command's module when the command is used, not when it is listed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Place(NamedTuple):
    """Where a command is, and what the root's `--help` says of it."""

    target: str
    """`MODULE:NAME` of a function or of a `typer.Typer`."""
    help: str
    """One sentence; the same that the command's own help begins with."""


def lazy_group(places: Mapping[str, Place]) -> type[TyperGroup]:
    """Return a group of commands that are known by name and help until one is called.

    Args:
        places: Name of each command → where it is, in the order of the help.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            for name, place in places.items():
                self.add_command(TyperCommand(name, help=place.help))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, command, rest = super().resolve_command(ctx, args)
            if name is not None and name in places:
                command = _load(name, places[name].target, self.rich_markup_mode)
            return name, command, rest

    return LazyGroup


def _load(name: str, target: str, markup: Any) -> Any:
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    root = typer.Typer(rich_markup_mode=markup, pretty_exceptions_enable=False)
    if isinstance(found, typer.Typer):
        root.add_typer(found, name=name)
    else:
        root.command(name)(found)
    return typer.main.get_group(root).commands[name]
