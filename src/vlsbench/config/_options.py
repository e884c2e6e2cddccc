"""Settings, each declared once.

A field of a settings class is the Python argument, the command-line option with its help, the key
of a configuration file, and what stands in a run's summary. What is said about it stands
beside its default:

    @settings(panel="Benchmark")
    class Sample:
        limit: int | None = option("Use a random sample of this many pairs.", default=None, least=1)

A command's configuration is a dataclass of plain fields and of groups (settings classes). A field
`group.name` is the option `--name` and the key `name` in the section `[group]`.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

from vlsbench.errors import UsageError, VlsbenchError
from vlsbench.schemas import SchemaError, convert, read_toml

T = TypeVar("T")

NONE = "none"
"""How a command line or a file, which have no None, say that a setting is left to the server."""


@dataclass(frozen=True, slots=True)
class Option:
    """What is to be known about a setting beside its name, type and default."""

    help: str
    """A sentence for `--help` and the documentation."""
    flags: tuple[str, ...] = ()
    """Spellings on the command line in place of `--name`."""
    least: float | None = None
    """Smallest value."""
    metavar: str = ""
    """What stands for the value in help texts."""
    unset: str = ""
    """What happens where the default is None, for help texts."""
    argument: bool = False
    """Given by position."""
    whole: bool = False
    """Of a list: commas within a value belong to it."""
    secret: bool = False
    """Never written down."""
    parse: Callable[[str], Any] | None = None
    """Reads what a command line gives, where its type alone does not say how."""


def option(
    help: str, *, default: Any = MISSING, default_factory: Any = MISSING, **more: Any
) -> Any:
    """Declare a setting; without a default it must be given.

    Args:
        help: A sentence for `--help` and the documentation.
        default: As for `dataclasses.field`.
        default_factory: As for `dataclasses.field`.
        more: Other fields of `Option`.
    """
    about = Option(help, **more)
    metadata = {"option": about}
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, repr=not about.secret, metadata=metadata)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option, field))
def settings(*, panel: str = "") -> Callable[[type[T]], type[T]]:
    """Make a class of settings: a frozen dataclass whose arguments have names.

    Args:
        panel: Heading of its own settings in help texts.
    """

    def decorate(cls: type[T]) -> type[T]:
        if panel:
            cls.PANEL = panel  # type: ignore[attr-defined]
        return dataclass(frozen=True, kw_only=True)(cls)

    return decorate


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a configuration, as the command line and the documentation need it."""

    group: str
    """Name of the group's field in the configuration; empty for the configuration's own."""
    panel: str
    """Heading in help texts."""
    name: str
    kind: Any
    """Its type, without None."""
    optional: bool
    """Whether None is allowed."""
    default: Any
    """`MISSING` where it must be given."""
    option: Option

    @property
    def key(self) -> str:
        """Where it stands in a configuration file."""
        return f"{self.group}.{self.name}" if self.group else self.name

    @property
    def flags(self) -> tuple[str, ...]:
        """Its spellings on the command line."""
        return self.option.flags or (f"--{self.name.replace('_', '-')}",)


def _split_type(hint: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was allowed."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    inner = [one for one in get_args(hint) if one is not type(None)]
    kind = inner[0] if len(inner) == 1 else Union[tuple(inner)]  # noqa: UP007
    return kind, len(inner) < len(get_args(hint))


def _default(one: Field[Any]) -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def settings_of(config: type[Any], group: str = "", changed: Any = MISSING) -> Iterator[Setting]:
    """Walk the settings of a configuration class, groups included, in the order of declaration.

    Args:
        config: The class.
        group: Where it is the class of a group: the group's name.
        changed: What stands in place of that class's own defaults.
    """
    hints = get_type_hints(config)
    for one in fields(config):
        kind, optional = _split_type(hints[one.name])
        default = _default(one) if changed is MISSING else getattr(changed, one.name)
        if about := one.metadata.get("option"):
            home = next(c for c in config.__mro__ if one.name in inspect.get_annotations(c))
            panel = getattr(home, "PANEL", "The run")
            yield Setting(group, panel, one.name, kind, optional, default, about)
        elif is_dataclass(kind) and isinstance(kind, type):
            yield from settings_of(kind, one.name, default)


def resolve(
    config: type[T],
    given: Mapping[str, Any],
    *,
    file: Path | None = None,
) -> T:
    """Put a configuration together: what is given over what a file says over the defaults.

    Args:
        config: The configuration class.
        given: Key (`limit` of group `sample` is `sample.limit`) → value; None is not given.
        file: A TOML file with the same keys; where the class has a static method
            `read_file(path, given)`, whatever that reads.

    Raises:
        SchemaError: The file cannot be read, or holds unknown keys or wrong types.
        VlsbenchError: Something that must be given is missing, or a value is out of range.
    """
    known = {setting.key: setting for setting in settings_of(config)}
    where = str(file) if file else "command line"
    tree: dict[str, Any] = {}
    if file:
        own = getattr(config, "read_file", None)
        tree = own(file, given) if own else read_toml(file)
    _no_unknown(tree, known, where)
    for key, value in given.items():
        if value is None:
            continue
        group, _, name = key.rpartition(".")
        target = tree.setdefault(group, {}) if group else tree
        value, below = record(value), target.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            value = {**below, **value}
        target[name] = value
    missing = []
    for setting in known.values():
        section = tree.get(setting.group, {}) if setting.group else tree
        if setting.name in section:
            section[setting.name] = _checked(setting, section[setting.name], where)
        elif setting.default is MISSING:
            missing.append(setting)
        elif setting.group in tree:
            # A configuration may have other defaults for a group than the group's class has.
            section[setting.name] = record(setting.default)
    if missing:
        how = [one.name.upper() if one.option.argument else one.flags[0] for one in missing]
        said = "is missing: give it" if len(how) == 1 else "are missing: give them"
        keys = ", ".join(repr(one.key) for one in missing)
        raise UsageError(f"{', '.join(how)} {said}, or {keys} in a --config file")
    try:
        return convert(tree, config, where)
    except SchemaError as error:
        # What JSON calls null; neither TOML nor a command line has it.
        raise SchemaError(str(error).replace(" or null,", f" or {NONE!r},")) from None


def _no_unknown(tree: Mapping[str, Any], known: Mapping[str, Setting], where: str) -> None:
    groups = {setting.group for setting in known.values() if setting.group}
    keys = {setting.name: key for key, setting in known.items()}
    for key, value in tree.items():
        table = key in groups and isinstance(value, Mapping)
        for one in [f"{key}.{inner}" for inner in value] if table else [key]:
            if one not in known:
                near = get_close_matches(one.rpartition(".")[2], keys)
                hint = " or ".join(keys[name] for name in near)
                hint = f"did you mean {hint}?" if near else f"known are {', '.join(known)}"
                raise SchemaError(f"{where}: unknown key {one}; {hint}")


def _checked(setting: Setting, value: Any, where: str) -> Any:
    if value == NONE and setting.optional:
        return None
    least = setting.option.least
    if least is not None and isinstance(value, int | float) and value < least:
        raise VlsbenchError(f"{where}: {setting.key} must be at least {least:g}, not {value:g}")
    return value


def record(value: Any) -> Any:
    """Return a configuration, a group of settings or a value as JSON and TOML have it."""
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def to_toml(config: Any) -> str:
    """Write a configuration as TOML that `resolve` reads back."""
    import tomlkit

    tree: dict[str, Any] = {}
    for setting in settings_of(type(config)):
        holder = getattr(config, setting.group) if setting.group else config
        value = record(getattr(holder, setting.name))
        if value is None and setting.default is not None:
            value = NONE
        if value is not None and not setting.option.secret:
            section = tree.setdefault(setting.group, {}) if setting.group else tree
            section[setting.name] = value
    return tomlkit.dumps(tree)


def values_of(config: Any) -> dict[str, Any]:
    """Return a configuration's values by field, defaults too.

    `vars` leaves out defaults of what was read from a file: msgspec does not set them.
    """
    return {one.name: getattr(config, one.name) for one in dataclasses.fields(config)}
