"""A griffe extension: what `option` says of a setting is its documentation on the API pages."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class Options(griffe.Extension):
    """Turn `name: T = option("Help.", default=1)` into `name: T = 1` with the docstring `Help.`"""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Look at one attribute."""
        declared = attr.value
        if (
            not isinstance(declared, griffe.ExprCall)
            or declared.function.canonical_name != "option"
        ):
            return
        said, *more = declared.arguments
        named = {one.name: one.value for one in more if isinstance(one, griffe.ExprKeyword)}
        attr.value = named.get("default")
        if attr.docstring is None and isinstance(said, str):
            text = ast.literal_eval(said).replace("[", r"\[")  # no link is meant
            attr.docstring = griffe.Docstring(text, parent=attr)
