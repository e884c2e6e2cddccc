from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pages import report_examples as examples
from vlsbench.errors import BadRow
from vlsbench.evaluation import PairRow, Published, Spend, write_report
from vlsbench.judge import Label
from vlsbench.stats import Rate

HOSTILE = '</script></style></title>--><b onmouseover="x">\'"&amp;<img src=x onerror=x>'


class Page(HTMLParser):
    """A page as a browser would take it apart, near enough: its tags and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text += data

    def having(self, tag: str, css_class: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and css_class in (a.get("class") or "").split()]


def _write(path: Path, rows: list[PairRow], **changes: Any) -> Page:
    examples.report(rows, path / "report.html", **changes)
    return Page((path / "report.html").read_text("utf-8"))


def _hostile(value: Any) -> Any:
    """Put markup into every text of a summary, however deep."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(_hostile(item) for item in value)
    if isinstance(value, dict):
        return {HOSTILE + name: _hostile(item) for name, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{f.name: _hostile(getattr(value, f.name)) for f in fields(value)})
    return value


def test_markup_in_any_text_stays_text(tmp_path: Path) -> None:
    row = examples.row()
    texts: dict[str, Any] = {
        field.name: HOSTILE
        for field in fields(row)
        if field.name != "label" and isinstance(getattr(row, field.name), str)
    }
    bad = replace(row, **texts)
    summary = _hostile(
        examples.summary([row], published=examples.PUBLISHED, left_out=(BadRow("", "", ""),))
    )
    left_out = (BadRow(HOSTILE, HOSTILE, HOSTILE),)
    gallery = examples.gallery([bad])
    write_report(replace(summary, left_out=left_out), gallery, tmp_path / "report.html")

    page = Page((tmp_path / "report.html").read_text("utf-8"))

    assert page.text.count(HOSTILE) > 30
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert len([tag for tag, _ in page.tags if tag == "style"]) == 1
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert all((a["src"] or "").startswith("data:image/jpeg;") for t, a in page.tags if t == "img")
    assert all((a["href"] or "").startswith("#") for t, a in page.tags if t == "a")


any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=80)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(text=any_text)
def test_any_text_can_be_written_and_read_back(tmp_path: Path, text: str) -> None:
    row = examples.row(id=text, category=text, query=text, reply=text, image_refs=[])

    page = _write(tmp_path, [row], notes=(text,), model=text)

    visible = "".join(c for c in text if c.isprintable() and c.isascii())
    assert visible in "".join(c for c in page.text if c.isprintable() and c.isascii())


def test_control_characters_and_lone_surrogates_are_shown_not_dropped(tmp_path: Path) -> None:
    page = _write(tmp_path, [examples.row(reply="a\x00b\x1bc\ud800d\x85e\r\nf\tg")])

    assert "a␀b␛c\ufffdd\ufffde\nf\tg" in page.text


def test_the_gallery_is_bounded_and_says_so(tmp_path: Path) -> None:
    read = []

    def watched(number: int) -> PairRow:
        def draw() -> bytes:
            read.append(number)
            return examples.picture(number)

        return examples.row(number, draw=draw)

    rows = [watched(number) for number in range(1_500)]
    gallery = examples.gallery(iter(rows), 25)
    write_report(examples.summary(rows), gallery, tmp_path / "report.html")

    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert "25 of 1,500 pairs shown" in page.text
    assert "all are in pairs.parquet" in page.text
    assert len(page.having("article", "card")) == 25
    assert len(read) == 25, "images of other pairs were read"


def test_an_image_that_pairs_share_is_drawn_once(tmp_path: Path) -> None:
    read = []

    def toast() -> bytes:
        read.append("toast.png")
        return examples.picture()

    rows = [examples.row(id=f"pair {n}", image_refs=["toast.png"], draw=toast) for n in range(3)]
    page = _write(tmp_path, rows)

    assert len(page.having("button", "reveal")) == 3
    assert read == ["toast.png"]


@pytest.mark.long
def test_the_same_run_gives_the_same_file(tmp_path: Path) -> None:
    rows = examples.rows(200)
    summary = examples.summary(rows)
    write_report(summary, examples.gallery(rows), tmp_path / "one.html")
    random.Random(4).shuffle(rows)
    write_report(summary, examples.gallery(rows), tmp_path / "two.html")

    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def _unreadable() -> bytes:
    raise PermissionError("the disk is gone")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_refs": []}, "No image"),
        ({"draw": lambda: b"crumbs"}, "Image not readable (image"),
        ({"draw": _unreadable}, "Image not readable (the disk is gone)"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_told_and_costs_nothing_else(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    page = _write(tmp_path, [examples.row(**changes)])

    assert said in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert examples.REPLIES[Label.UNSAFE] in page.text


def test_pictures_are_blurred_until_asked_for(tmp_path: Path) -> None:
    page = _write(tmp_path, examples.rows(30))

    buttons = page.having("button", "reveal")
    assert len(buttons) == 30
    assert {button["aria-pressed"] for button in buttons} == {"false"}


def test_rates_stand_with_their_interval_and_their_n(tmp_path: Path) -> None:
    rows = [examples.row(n, label=Label.REFUSAL if n < 5 else Label.UNSAFE) for n in range(20)]
    wide = Rate(5, 20, 0.25, 0.0719, 0.5281)
    summary = examples.summary(rows)
    group = replace(summary.groups[0], safety=wide)
    page = _write(tmp_path, rows, groups=(group,))

    assert "25.0\u202f%" in page.text
    assert "95 % interval 7.2–52.8 · 5 of 20" in page.text


def test_what_is_not_in_the_rates_is_counted_with_reasons_and_bounds(tmp_path: Path) -> None:
    unscored: dict[str, Any] = {"label": Label.UNSCORED, "unscored_reason": "judge_refused"}
    page = _write(
        tmp_path,
        [
            *(examples.row(n, label=Label.WARNING) for n in range(5)),
            *(examples.row(n) for n in range(5, 10)),
            *(examples.row(n, **unscored) for n in range(10, 18)),
            *(examples.row(n, label=Label.FILTERED) for n in range(18, 20)),
        ],
    )

    assert "Not in the rates: 10 pairs – 2 filtered by the provider; 8 judge refused." in page.text
    assert "were unsafe, the safety rate would be 25.0\u202f%" in page.text
    assert "all were safe, 75.0\u202f%" in page.text


def test_a_run_with_nothing_scored_shows_no_rate(tmp_path: Path) -> None:
    page = _write(tmp_path, [examples.row(label=Label.UNSCORED, unscored_reason="reply_missing")])

    assert "nothing scored" in page.text
    assert "0.0\u202f%" not in page.text.split("If all of them")[0]


def test_a_run_without_any_outcome_has_a_report(tmp_path: Path) -> None:
    examples.report([], tmp_path / "report.html", complete=False, pairs=40, open=40)

    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "No pair has an outcome yet" in text
    assert "40 of 40 pairs are still open" in text


def test_benign_pairs_are_told_apart_and_measured_by_over_refusal(tmp_path: Path) -> None:
    page = _write(tmp_path, [*examples.rows(40), *examples.rows(40, harmful=False)])

    assert page.text.index("Harmful pairs") < page.text.index("Benign pairs")
    assert "Over-refusal by category" in page.text


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"simulated": True}, "Simulated: lab model."),
        ({"complete": False, "open": 3}, "Stopped early."),
        ({"left_out": (BadRow("data.json", "12", "no image"),)}, "Left out"),
        ({"published": examples.PUBLISHED}, "Beside published results"),
    ],
)
def test_what_limits_the_figures_is_said_only_where_it_holds(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    rows = examples.rows(20)

    assert said in _write(tmp_path, rows, **{"simulated": False} | changes).text
    assert said not in _write(tmp_path, rows, simulated=False).text


def test_this_run_stands_among_published_results_by_its_rate(tmp_path: Path) -> None:
    rows = [examples.row(n, label=Label.REFUSAL if n < 10 else Label.UNSAFE) for n in range(20)]
    published = (Published("low", 1, 2, 3, "a paper"), Published("high", 50, 25, 75, "a paper"))
    text = _write(tmp_path, rows, published=published, model="ours").text
    table = text[text.index("Beside published") :]

    assert table.index("high") < table.index("ours") < table.index("low")


def test_an_unknown_price_is_not_a_price(tmp_path: Path) -> None:
    spend = Spend("judge", "lab/judge", 9, 0, 9, 0, 0, None, None, None)
    text = _write(tmp_path, [examples.row()], spend=(spend,)).text

    assert "unknown" in text
    assert "$" not in text


def test_long_texts_are_folded_and_very_long_ones_cut(tmp_path: Path) -> None:
    page = _write(tmp_path, [examples.row(reply="crumb " * 50_000)])

    assert "Show all 300,000 characters" in page.text
    assert "Cut here at 20,000 characters" in page.text
    assert (tmp_path / "report.html").stat().st_size < 200_000


def test_the_identity_of_the_run_can_be_read_back(tmp_path: Path) -> None:
    identity = {"model": {"name": "lab/<careful>"}, "limit": None}
    text = _write(tmp_path, [examples.row()], identity=identity).text
    start = text.index("{")

    assert json.JSONDecoder().raw_decode(text, start)[0] == identity


def test_a_failed_report_leaves_the_one_before(tmp_path: Path) -> None:
    def broken() -> bytes:
        raise RuntimeError("the decoder is gone")

    _write(tmp_path, [examples.row()])
    before = (tmp_path / "report.html").read_bytes()
    with pytest.raises(RuntimeError, match="the decoder is gone"):
        _write(tmp_path, [examples.row(draw=broken)])

    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
