"""Texts of others written into Markdown so that they are read as text; and our own."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

_CONTROL = dict.fromkeys(
    code
    for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if not chr(code).isspace()
)
"""Control characters, and those that turn the direction of what follows, are left out."""
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~$&#]|(?<=[A-Za-z]):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""What Markdown takes for markup, a cell, mathematics or an address within a line."""
_START = re.compile(r"^\d+(?=[.)](?:\s|$))|^(?=[+=:-])")
"""What makes a line a heading, an item or a rule."""


def line(text: object) -> str:
    """Return a text on one line, without what cannot be seen."""
    whole = str(text).encode("utf-8", "replace").decode()
    return " ".join(whole.translate(_CONTROL).split())


def md(text: object) -> str:
    """Write a text into one line of Markdown.

    Nothing of it is markup, HTML, a link, a table's cell or mathematics, on GitHub or on the Hub.
    """
    return _START.sub(r"\g<0>\\", _SPECIAL.sub(r"\\\g<0>", line(text)))


def fenced(text: str, language: str = "") -> Markup:
    """Write a text as a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    clean = text.translate(_CONTROL).replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    return Markup(f"{fence}{language}\n{clean}\n{fence}")


def finalize(value: Any) -> Any:
    """Escape whatever a template prints, but for what was made by `fenced` or `Markup`."""
    return str(value) if isinstance(value, Markup) else md(value) if value is not None else ""


def size_category(pairs: int) -> str:
    """Return the Hub's size category of a number of rows."""
    limits = {10**3: "n<1K", 10**4: "1K<n<10K", 10**5: "10K<n<100K", 10**6: "100K<n<1M"}
    return next((name for limit, name in limits.items() if pairs < limit), "1M<n<10M")


@cache
def terms() -> dict[str, Any]:
    """Return what every card says of access, use and limits."""
    return tomllib.loads(files("vlsbench.releasing").joinpath("terms.toml").read_text("utf-8"))
