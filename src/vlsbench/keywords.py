"""Functions of settings say in words what is wrong with their keywords."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from vlsbench.config import settings_of

P = ParamSpec("P")
R = TypeVar("R")


def checked_keywords(config: type[Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function raise a `TypeError` that names it, and the group that a setting is in.

    Args:
        config: Class whose groups of settings are the function's keywords.
    """
    groups = {one.name: one.default_factory for one in fields(config)}
    groups = {name: kind for name, kind in groups.items() if is_dataclass(kind)}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def called(*given: P.args, **settings: P.kwargs) -> R:
            if fault := "; ".join(_faults(known, groups, config, settings)):
                raise TypeError(f"{function.__name__}(): {fault}")
            return function(*given, **settings)

        known = signature(function).parameters
        return called

    return decorate


def _faults(known: Any, groups: Any, config: type[Any], given: dict[str, Any]) -> Any:
    for name, value in given.items():
        if name not in known:
            within = [one.group for one in settings_of(config) if one.name == name and one.group]
            ways = [f"{group}={groups[group].__name__}({name}={value!r})" for group in within]
            yield f"no argument {name!r}" + (f": give {' or '.join(ways)}" if ways else "")
        elif name in groups and isinstance(value, int | float | str | dict):
            kind = groups[name].__name__
            example = f"{name}={kind}({fields(groups[name])[0].name}=…)"
            yield f"{name} must be a {kind}, such as {example}, not {value!r}"
    for name, one in known.items():
        if one.kind is one.KEYWORD_ONLY and one.default is one.empty and name not in given:
            yield f"give {name}=…"
