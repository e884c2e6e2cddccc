"""Values of any documented shape, with anything in them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

TEXT = st.text(st.characters(), max_size=12)
"""Half surrogates included: they are legal in JSON, and some benchmarks hold them."""
PLAIN = st.none() | TEXT | st.lists(TEXT, max_size=2)
BASE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(0, 10**9),
    float: st.floats(-1, 1) | st.floats(allow_nan=False, allow_infinity=False),
    type(None): st.none(),
    Any: PLAIN,
}


def _consistent(value: Any) -> Any:
    """Give a share both bounds or none, and none where it has no value."""
    if hasattr(value, "low") and hasattr(value, "high"):
        share = value.rate if hasattr(value, "rate") else value.value
        if share is None or value.low is None or value.high is None:
            return replace(value, low=None, high=None)
    return value


def shape(kind: Any, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make values of a type; `given` are strategies for some fields of a data class."""
    if kind in BASE:
        return BASE[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*(shape(one) for one in inner))
    if origin is tuple:
        return st.lists(shape(inner[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(shape(inner[0]), shape(inner[1]), max_size=2)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        made = {field.name: shape(hints[field.name]) for field in fields(kind)}
        return st.builds(kind, **(made | given)).map(_consistent)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    raise TypeError(f"no values of {kind!r}")
