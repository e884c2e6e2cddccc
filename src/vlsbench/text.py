"""Foreign text on its way out: to storage, a terminal, a spreadsheet, Markdown or a file name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # titles, links
    r"|\x1b[ -/]*[0-~]"
)
"""Escape sequences (ECMA-48, section 5)."""
_UNSEEN = dict.fromkeys(
    [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
"""Control characters, and those that turn the direction of what follows."""
_BLOCK = {code: to for code, to in _UNSEEN.items() if chr(code) not in "\t\n"}
_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$&#]|(?<=[A-Za-z]):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
"""What Markdown takes for markup, a cell, mathematics or an address within a line."""
_ENTITIES = {"<": "&lt;", ">": "&gt;"}
"""HTML to no reader, not even to one that knows no backslash."""
_MARKDOWN_START = re.compile(r"^\d+(?=[.)](?:\s|$))|^(?=[+=:-])")
"""What makes a line a heading, an item or a rule."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""What a spreadsheet takes for the beginning of a formula (OWASP, *CSV Injection*)."""
NAME_CHARS = 120
"""Longest file name; file systems take 255 bytes, and names get endings and digests."""


def storable(text: object) -> str:
    """Return text that has a UTF-8 form: lone surrogates, legal in JSON, become `?`.

    What is no text at all becomes an empty one.
    """
    if not isinstance(text, str):
        return ""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def first_line(error: object) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """Return a question that names what a slip may have meant, and a space; else nothing."""
    close = difflib.get_close_matches(name, list(names), cutoff=cutoff)
    return f"did you mean {' or '.join(close)}? " if close else ""


def block(text: object) -> str:
    """Return text without escape sequences and what cannot be seen; its lines stay."""
    return _ANSI.sub("", storable(str(text))).replace("\r\n", "\n").translate(_BLOCK)


def one_line(text: object) -> str:
    """Return text on one line, without escape sequences and what cannot be seen."""
    return " ".join(_ANSI.sub("", storable(str(text))).split()).translate(_UNSEEN)


def counted(number: int, noun: str) -> str:
    """Write a count with its noun, in the plural where there is not just one."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    if noun.endswith("ch"):
        many = f"{noun}es"
    return f"{number:,} {noun if number == 1 else many}"


def terminal(text: object) -> str:
    """Return text to print with rich: it neither steers the terminal nor is it markup."""
    from rich.markup import escape

    return escape(block(text))


def markdown(text: object) -> str:
    """Return text for one line of Markdown, a table's cell included.

    Nothing of it is markup, HTML, a link or mathematics, on GitHub or on the Hub.
    """
    escaped = _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), one_line(text))
    return _MARKDOWN_START.sub(r"\g<0>\\", escaped)


def csv_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet computes; `csv_value` takes the mark off again."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def csv_value(cell: str) -> str:
    """Return what `csv_cell` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def slug(text: str, allowed: str = "A-Za-z0-9.", joint: str = "_") -> str:
    """Return text with each run of characters that are not allowed as one joint; may be empty.

    Args:
        text: Any.
        allowed: Characters as in a class of a regular expression.
        joint: Takes the place of the others, but not at the ends.
    """
    return re.sub(f"[^{allowed}]+", joint, text).strip(f"{joint}.")


def file_name(text: str, otherwise: str, allowed: str = "A-Za-z0-9.", joint: str = "_") -> str:
    """Return a name for a file or folder: no path, not hidden, bounded.

    Args:
        text: What is to be named; of a long one the end stays, which tells paths apart.
        otherwise: The name where nothing of it is allowed.
        allowed: See `slug`.
        joint: See `slug`.
    """
    return slug(text, allowed, joint)[-NAME_CHARS:].lstrip(f"{joint}.") or otherwise


_CONTROL = re.compile(
    r"<(?=[|｜]|[\w▁]{1,20}[|｜]>"
    r"|/?(?:start_of_turn|end_of_turn|bos|eos|s|pad|unk|mask|img|image|video|audio|image_soft_token"
    r"|start_of_image|end_of_image|end_of_utterance|fake_token_around_image|global-img"
    r"|IMG_CONTEXT|image_\d+|image_placeholder|im_start|im_end|im_patch|ImageHere"
    r"|row_\d+_col_\d+)>|<SYS>>|</SYS>>|(?:BEGIN|END) )"
    r"|\[(?=/?(?:gMASK|INST|IMG|IMG_BREAK|IMG_END|SYSTEM_PROMPT|TOOL_CALLS|AVAILABLE_TOOLS)\])",
    re.IGNORECASE,
)
"""Beginnings of control tokens, each a bracket: ChatML, Llama 2 to 4, Qwen, Phi, DeepSeek (`<|…|>`,
`<｜…｜>`), Gemma, Mistral (`[INST]`), LLaVA, Idefics, InternVL, and the marks of Llama Guard's own
templates (`<BEGIN …`), as their tokenisers list them."""


def disarm(text: str) -> str:
    """Break up the control tokens of chat templates, by which a text could end its own turn."""
    return _CONTROL.sub(lambda found: f"{found[0]} ", text)
