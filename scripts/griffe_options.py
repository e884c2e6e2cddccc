"""A griffe extension: what `Option` says of a setting is its documentation on the API pages."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class Options(griffe.Extension):
    """Turn `name: Annotated[T, Option("Help.")]` into `name: T` with the docstring `Help.`"""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Look at one attribute."""
        annotation = attr.annotation
        if not (
            isinstance(annotation, griffe.ExprSubscript)
            and isinstance(annotation.slice, griffe.ExprTuple)
            and annotation.canonical_name == "Annotated"
        ):
            return
        kind, *about = annotation.slice.elements
        for one in about:
            if isinstance(one, griffe.ExprCall) and one.function.canonical_name == "Option":
                attr.annotation = kind
                said = one.arguments[0]
                if attr.docstring is None and isinstance(said, str):
                    text = ast.literal_eval(said).replace("[", r"\[")  # no link is meant
                    attr.docstring = griffe.Docstring(text, parent=attr)
