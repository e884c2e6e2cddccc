"""Texts of others written into Markdown so that they are read as text; and our own."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from vlsbench.text import block, markdown


def fenced(text: str, language: str = "") -> Markup:
    """Write a text as a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    clean = block(text).replace("\r", "\n").strip("\n")
    return Markup(f"{fence}{language}\n{clean}\n{fence}")


def finalize(value: Any) -> str:
    """Escape whatever a template prints, but for what was made by `fenced` or `Markup`."""
    return str(value) if isinstance(value, Markup) else "" if value is None else markdown(value)


def size_category(pairs: int) -> str:
    """Return the Hub's size category of a number of rows."""
    limits = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M"}
    return next((name for limit, name in limits.items() if pairs < limit), "1M<n<10M")


@cache
def terms() -> dict[str, Any]:
    """Return what every card says of access, use and limits."""
    return tomllib.loads(files("vlsbench.releasing").joinpath("terms.toml").read_text("utf-8"))
