"""Foreign text on its way out: whatever it holds, it is read as text."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from vlsbench.text import (
    NAME_CHARS,
    csv_cell,
    csv_value,
    file_name,
    markdown,
    one_line,
    slug,
    storable,
    terminal,
)

TEXT = st.text(st.characters())  # lone surrogates too
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def printed(text: str) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=10_000)
    console.print(terminal(text), highlight=False, soft_wrap=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b[31mtoaster\x1b[0m", "toaster"),
        ("\x1b]0;a title\x07toaster", "toaster"),
        ("\x1b]8;;https://example.org\x1b\\toaster\x1b]8;;\x1b\\", "toaster"),
        ("\x9b2Jtoaster", "toaster"),
        ("toaster\x1b", "toaster"),
        ("\x1b]never closed toaster", "never closed toaster"),
        ("toast\x08\x08er\r", "toaster"),
        ("a \u202eretsaot\u202c b", "a retsaot b"),
        ("[red]toaster[/red]", "[red]toaster[/red]"),
        ("[/nothing was open]", "[/nothing was open]"),
        ("half \ud83d", "half ?"),
    ],
)
def test_no_text_steers_a_terminal(foreign: str, shown: str) -> None:
    assert printed(foreign) == f"{shown}\n"


@given(text=TEXT)
def test_what_is_printed_has_no_control_character(text: str) -> None:
    found = printed(text)
    assert not any(char in BIDI or (char < " " and char not in "\t\n") for char in found)
    assert "\x7f" not in found
    assert not set(map(chr, range(0x80, 0xA0))) & set(found)
    found.encode()


def test_lines_stay_in_a_terminal_and_go_in_a_line() -> None:
    assert printed("two\r\nlines of text") == "two\nlines of text\n"
    assert one_line(" two\r\nlines\u2028of \x1b[1mtext ") == "two lines of text"


@given(text=TEXT)
def test_a_text_is_text_in_markdown(text: str) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    tokens = parser.parse(f"| head |\n| --- |\n| x {markdown(text)} |\n")
    (cell,) = [t for t in tokens if t.type == "inline" and t.content != "head"]
    assert {child.type for child in cell.children or ()} <= {"text", "text_special"}
    assert "".join(c.content for c in cell.children or ()).split() == ["x", *one_line(text).split()]


@pytest.mark.parametrize("start", ["# x", "- x", "1. x", "+ x", "> x", "===", "---", "```", "~~~"])
def test_no_text_begins_a_block_of_markdown(start: str) -> None:
    parser = MarkdownIt("gfm-like", {"linkify": False})
    kinds = [token.type for token in parser.parse(markdown(start))]
    assert kinds == ["paragraph_open", "inline", "paragraph_close"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, 2.5, None, True, "toaster", "1-1", "'tis"])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert csv_cell(value) is value


@given(text=TEXT)
def test_cells_come_back(text: str) -> None:
    assert csv_value(csv_cell(text)) == text


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_cells_come_back_from_a_file(texts: list[str]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(map(csv_cell, texts))
    (row,) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert [csv_value(cell) for cell in row] == texts


@given(text=TEXT)
def test_a_file_name_is_one_name_in_its_folder(text: str) -> None:
    name = file_name(text, "set")
    path = Path("/folder") / name
    assert path.parent == Path("/folder")
    assert path.name == name
    assert name
    assert not name.startswith(".")
    assert len(name) <= NAME_CHARS + 1
    assert file_name(name, "set") == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mm-safetybench: tiny", "mm_safetybench_tiny"),
        ("../../etc/passwd", "etc_passwd"),
        ("…", "set"),
        ("", "set"),
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert file_name(text, "set") == name


def test_slugs_keep_what_is_allowed() -> None:
    assert slug("Kitchen & home!", "A-Za-z", "-") == "Kitchen-home"
    assert slug("…") == ""


def test_what_is_no_text_is_stored_as_none() -> None:
    assert storable({"a": 1}) == storable(None) == ""
    assert storable("half \udc00") == "half ?"
