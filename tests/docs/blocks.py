"""What README and docs show: blocks of code, and the comments that say how each is tried.

A comment on the line before a block decides:

- none: it runs as it stands, all blocks of a page in order and in one folder;
- `<!-- test: lab -->`: it runs with lab models and benchmarks in place of real ones;
- `<!-- test: check: REASON -->`: commands, options and values are checked, nothing runs;
- `<!-- no test: REASON -->`: what is shown is not a command of this project;
- `<!-- file: NAME -->`: the reader saves it under that name; it is there before the page begins.

`<!-- setup` … `-->` holds commands that the page takes for done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LANGUAGES = ("sh", "python", "toml", "json", "text", "bibtex")
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<kind>test|no test|file): *(?P<said>(?:(?!-->).)*?) *-->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$"
    r"|^ *<!-- setup\n(?P<setup>.*?)^ *-->$",
    re.DOTALL | re.MULTILINE,
)
INDENTED = re.compile(r"^ {4}(vlsbench|python|pip|make) ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    how: str
    """`run`, `lab`, `check`, `none` or `setup`."""
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page; one without a language or a reason not to run fails."""
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if setup := found["setup"]:
            yield Block(page, line, "sh", setup, "setup")
            continue
        lines = [one.removeprefix(found["indent"]) for one in found["text"].splitlines()]
        kind, said = found["kind"] or "", found["said"] or ""
        how, _, reason = said.partition(": ") if kind == "test" else ("run", "", said)
        if kind == "no test":
            how = "none"
        block = Block(
            page,
            line,
            found["language"],
            "\n".join(lines) + "\n",
            how,
            said if kind == "file" else "",
        )
        assert block.language in LANGUAGES, f"{block.place}: language {block.language!r}"
        assert how in ("run", "lab", "check", "none"), f"{block.place}: test: {how}"
        assert reason or how in ("run", "lab"), f"{block.place}: say why it does not run"
        yield block
