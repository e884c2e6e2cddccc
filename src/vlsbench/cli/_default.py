"""A group of commands one of which need not be named: `vlsbench release DATASET`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


def default_command(command: str) -> type[TyperGroup]:
    """Return a group that takes whatever begins with no command's name for arguments of one."""

    class Defaulting(TyperGroup):
        def format_help(self, ctx: Any, formatter: Any) -> None:
            first = self.commands[command]
            about = typer.Context(first, parent=ctx.parent, info_name=ctx.info_name)
            first.format_help(about, formatter)
            super().format_help(ctx, formatter)

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
                args = [command, *args]
            return super().parse_args(ctx, args)

    return Defaulting
