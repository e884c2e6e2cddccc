"""From a configuration class to a command: its options, its `--config` file, its help.

Commands that have no configuration share the options `AsJson` and `Quiet`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperGroup

from vlsbench import registry
from vlsbench.config import NONE, Setting, resolve, settings_of, to_toml
from vlsbench.errors import UsageError

_OUTPUT = "Output"
_CONFIGURATION = "Configuration"
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the figures as JSON on standard output.", rich_help_panel=_OUTPUT
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print neither plan nor progress.", rich_help_panel=_OUTPUT),
]
_PRINT_CONFIG = typer.Option(
    "--print-config",
    help="Print the resolved settings as TOML and stop.",
    rich_help_panel=_CONFIGURATION,
)
Plugin = Annotated[
    list[str] | None,
    typer.Option(
        help="Load a plug-in: a Python file or a module.",
        metavar="FILE|MODULE",
        rich_help_panel=_CONFIGURATION,
    ),
]
_EXITS = "Exit codes: 0 done, 1 something must be changed, 2 wrong usage"
_RESUMABLE = "3 stopped early and resumable, 130 interrupted and resumable"


def _repeats(kind: Any) -> bool:
    """Tell whether an option may be given several times."""
    kinds = get_args(kind) if get_origin(kind) is Union else (kind,)
    return any(get_origin(one) in (tuple, list) for one in kinds)


def _typer_type(setting: Setting) -> Any:
    """Return the type that typer reads a setting as."""
    kind = setting.kind
    if _repeats(kind) or get_origin(kind) is Mapping:
        return list[str]
    # `none` lifts a number, whatever a file says.
    if setting.option.parse or (kind in (int, float) and setting.optional):
        return str
    choice = get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum))
    return kind if choice or kind in (int, float, bool, Path) else str


def _help(setting: Setting) -> str:
    text = setting.option.help
    default = setting.default
    if setting.option.unset:
        return f"{text} [default: {setting.option.unset}]"
    if default in (MISSING, None, "", False, (), {}):
        return text
    shown = default.value if isinstance(default, Enum) else default
    shown = ", ".join(map(str, shown)) if isinstance(shown, tuple) else shown
    return f"{text} [default: {f'{shown:g}' if isinstance(shown, float) else shown}]"


def _parameter(setting: Setting) -> Any:
    kind, option = _typer_type(setting), setting.option
    how: dict[str, Any] = {"help": _help(setting), "show_default": False}
    if setting.kind in (int, float) and setting.optional:
        name = "INTEGER" if setting.kind is int else "FLOAT"
        how["metavar"] = f"{option.metavar or name}|none"
    elif option.metavar:
        how["metavar"] = option.metavar
    if option.argument:
        return Annotated[kind | None, typer.Argument(**how)]
    first, *others = setting.flags
    if kind is bool and setting.default and "/" not in first:
        first = f"{first}/--no-{first.removeprefix('--')}"
    return Annotated[
        kind | None, typer.Option(first, *others, rich_help_panel=setting.panel, **how)
    ]


def command(
    config: type[Any],
    *,
    dry_run_flags: tuple[str, ...] = ("--dry-run",),
    dry_run_help: str = "Print the plan with a cost estimate and stop.",
    config_help: str = "Read settings from a TOML file.",
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a command of a function that takes a configuration.

    The function is called with the resolved configuration, and with whichever of `as_json`, `quiet`
    and `dry_run` it takes. Its docstring is the command's help; exit codes are added to it.

    Args:
        config: The configuration's class; every setting becomes an option.
        dry_run_flags: Spellings of `--dry-run`.
        dry_run_help: What it does.
        config_help: What `--config` takes.
    """
    names = {setting.key.replace(".", "__"): setting for setting in settings_of(config)}
    where = typer.Option("--config", help=config_help, rich_help_panel=_CONFIGURATION)
    trial = typer.Option(*dry_run_flags, help=dry_run_help, rich_help_panel=_OUTPUT)
    switches = {"as_json": AsJson, "quiet": Quiet, "dry_run": Annotated[bool, trial]}

    def decorate(work: Callable[..., None]) -> Callable[..., None]:
        own = {name: switches[name] for name in switches if name in work.__annotations__}

        def run(**values: Any) -> None:
            for one in values.pop("plugin") or ():
                registry.load_plugin(one)
            file, show = values.pop("config"), values.pop("print_config")
            switched = {name: values.pop(name) for name in own}
            given = {
                names[name].key: _given(names[name], value)
                for name, value in values.items()
                if value is not None
            }
            found = resolve(config, given, file=file)
            if show:
                typer.echo(to_toml(found), nl=False)
                return
            if switched.get("quiet") and hasattr(found, "output"):
                found = replace(found, output=replace(found.output, progress=False))
            work(found, **switched)

        options = {name: _parameter(one) for name, one in names.items()}
        options |= {"config": Annotated[Path | None, where]}
        options |= {"print_config": Annotated[bool, _PRINT_CONFIG]}
        options |= {"plugin": Plugin, **own}
        parameters = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if name in own or name == "print_config" else None,
                annotation=annotation,
            )
            for name, annotation in options.items()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = options
        run.__name__ = work.__name__
        run.__doc__ = inspect.getdoc(work) or ""
        if "Exit codes" not in run.__doc__:
            asks = any(setting.group == "connection" for setting in names.values())
            run.__doc__ += f"\n\n{_EXITS}{f', {_RESUMABLE}' if asks else ''}."
        return run

    return decorate


def _given(setting: Setting, value: Any) -> Any:
    if setting.option.parse and value != NONE:
        return setting.option.parse(value)
    if get_origin(setting.kind) is Mapping:
        entries = {}
        for one in value:
            name, _, said = one.partition("=")
            if not said.strip():
                raise UsageError(f"{setting.flags[0]} {one!r} is not NAME=VALUE")
            entries[name.strip()] = said.strip()
        return entries
    if not _repeats(setting.kind):
        if isinstance(value, str) and setting.kind in (int, float):
            with suppress(ValueError):
                return setting.kind(value)
        return value
    if setting.option.whole:
        single = str in get_args(setting.kind) and get_origin(setting.kind) is Union
        return (value[0] if single and len(value) == 1 else value) if value else None
    parts = [part for one in value for part in one.split(",") if part]
    return parts or None


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
