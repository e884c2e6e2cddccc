"""From data and a template to a file that no data can script, style, break or make call home."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from markupsafe import Markup, escape

from vlsbench import __version__
from vlsbench.files import whole_file
from vlsbench.stats import Rate
from vlsbench.text import counted

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment

_SURROGATES = re.compile("[\ud800-\udfff]")
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
_ARXIV = re.compile(r"\d{4}\.\d{4,5}(v\d+)?")


def clean(value: Any) -> Any:
    """Make text writable and visible: control characters become their pictures, lone surrogates �.

    Jinja calls this on everything that a template prints, before it escapes it.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").translate(_PICTURES)
    return _SURROGATES.sub("\ufffd", text)


def framed(page: Path) -> str:
    """Return HTML that shows a page in a notebook, apart from the notebook's own."""
    if not page.is_file():
        return f"No page at {escape(str(page))}."
    inside = escape(page.read_text("utf-8"))
    return (
        '<iframe sandbox="allow-scripts" style="width: 100%; height: 480px; border: 0" '
        f'srcdoc="{inside}"></iframe>'
    )


def percent(share: float | None) -> str:
    """Write a share as a percentage with one decimal; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.1f}\u202f%"


def within(value: float | None, low: float | None, high: float | None) -> str:
    """Write a share in percent with its 95 % interval, as `42.0 [35.1, 49.2]`."""
    if value is None:
        return "–"
    bounds = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value:.1f}{bounds}"


def two(value: float | None) -> str:
    """Write a number with two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


class Bounded(Protocol):
    """A share, or a difference of two, with its 95 % interval; None where it is unknown."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...


def interval(share: Rate | Bounded) -> str:
    """Write the bounds of a share's 95 % interval, in percent."""
    if share.low is None or share.high is None:
        return ""
    between = "–" if share.low >= 0 else " to "
    return f"{share.low * 100:.1f}{between}{share.high * 100:.1f}"


def count(number: int) -> str:
    """Write a count with thousands separators."""
    return f"{number:,}"


def moment(iso: str) -> str:
    """Write an ISO 8601 time in UTC, as all are that are written, for people."""
    return f"{iso[:16].replace('T', ' ')} UTC"


def paper_url(paper: str) -> str:
    """Return the address of an arXiv id or an https address; empty for anything else."""
    if _ARXIV.fullmatch(paper):
        return f"https://arxiv.org/abs/{paper}"
    return paper if paper.startswith("https://") else ""


def html_templates(loader: BaseLoader) -> Environment:
    """Open templates of HTML or XML whose data stays text, and is never left undefined."""
    from jinja2 import Environment, StrictUndefined

    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _environment() -> Environment:
    from jinja2 import FunctionLoader

    environment = html_templates(FunctionLoader(_asset))
    environment.filters |= {
        "percent": percent,
        "interval": interval,
        "count": count,
        "counted": counted,
        "moment": moment,
        "json": partial(json.dumps, indent=2, ensure_ascii=False),
        "paper_url": paper_url,
        "without_address": without_address,
    }
    return environment


def _asset(name: str) -> str:
    """Read `FILE` of this package's templates, or `PACKAGE/FILE` of another's."""
    package, _, file = name.rpartition("/")
    owner = f"vlsbench.{(package or 'pages').replace('/', '.')}"
    return files(owner).joinpath("templates", file).read_text("utf-8")


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def write_page(path: Path, template: str, context: Mapping[str, Any], *, script: str = "") -> None:
    """Render `template` to `path`, whole or not at all.

    The page's content security policy names its one style sheet and its one script by hash and
    allows nothing else, so that text which slipped through escaping still could not run.

    Args:
        path: The file to write, replaced if it is there.
        template: `PACKAGE/FILE`: a file in the `templates/` of a package.
        context: What the template needs.
        script: The same for its script, if the page has one.
    """
    css = _asset("style.css")
    js = _asset(script) if script else ""
    scripts = _source(js) if js else "'none'"
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_source(css)}; script-src {scripts}"
    )
    html = _environment().get_template(template)
    text = html.render(css=Markup(css), js=Markup(js), policy=Markup(policy), **context)
    with whole_file(path) as part:
        # Hashes are of text with plain newlines, whatever the platform's are.
        part.write_text(text, encoding="utf-8", newline="\n")


def without_address(model: str) -> str:
    """Shorten `NAME@http://host:port/v1` to its name."""
    return model.partition("@http")[0] or model


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    value: float | None = None
    """What it is sorted by; None stands last."""
    details: Sequence[str] = ()
    """What is said below it, in small letters."""
    href: str = ""


def cells(*values: Rate | Bounded | str | int | None) -> list[Cell]:
    """Write words, counts, and shares or differences with their intervals; a dash for None."""
    found = []
    for value in values:
        if value is None or isinstance(value, str):
            found.append(Cell("–" if value is None else value))
        elif isinstance(value, int):
            found.append(Cell(f"{value:,}", value))
        else:
            share = value.rate if isinstance(value, Rate) else value.value
            found.append(Cell(within(share, value.low, value.high), share))
    return found


@dataclass(frozen=True, slots=True)
class Table:
    """Texts on the left, then numbers on the right; pages and terminals show the same ones."""

    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1
    """Columns of texts."""
    caption: str = ""
    bar: str = ""
    """Name of the column whose shares are drawn as bars, too."""
    fill: str = "refusal"
    """Label by whose colour they are drawn."""
    sortable: bool = False
    """It can be sorted and filtered, by a script; one table of a page may be."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and any of texts, a figure, a table, links and a listing below it."""

    title: str
    texts: Sequence[str] = ()
    table: Table | None = None
    folded: bool = False
    """The table is shown on demand: many rows, or secondary ones."""
    figure: str = ""
    """Address of an image."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Words → address."""
    code: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """The part of the page that begins here: it is linked at the top."""


@dataclass(frozen=True, slots=True)
class Document:
    """A page."""

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    eyebrow: str = "vlsbench · cross-modal safety"
    intro: Sequence[str] = ()
    notes: Sequence[str] = ()
    simulated: bool = False
    vlsbench: str = __version__
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def scripted(self) -> bool:
        """Whether it runs the script that sorts and filters."""
        return any(section.table and section.table.sortable for section in self.sections)

    def write(self, path: Path) -> None:
        """Write it as a single HTML file that needs no network."""
        script = "leaderboard.js" if self.scripted else ""
        write_page(path, "document.html", {"page": self}, script=script)
