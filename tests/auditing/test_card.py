"""Leakage cards: what is on them, in which order, and that their files hold what was put in."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import vlsbench
from tests.auditing.shapes import TEXT, shape
from vlsbench import lab
from vlsbench.auditing import (
    AuditOutput,
    Card,
    Estimate,
    Leaderboard,
    caveats,
    read_card,
)
from vlsbench.auditing.card.card import make_card, make_leaderboard
from vlsbench.auditing.card.page import leaderboard_markdown, pieces, write_card
from vlsbench.auditing.card.pairs import LeakingPair, Mark, Seen
from vlsbench.auditing.overlap.figures import (
    Channel,
    ChannelFigures,
    ContentKind,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
)
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection
from vlsbench.files import write_json
from vlsbench.stats import Rate

CARDS = shape(Card, schema=st.just("vlsbench.card/1"))
LEADERBOARDS = shape(Leaderboard, schema=st.just("vlsbench.league/1"))
# Cards are large: shrinking one that fails would take minutes.
anything = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
HOSTILE = '</script></style></title>--><b onmouseover="x">\'"&amp;<img src=x onerror=x>'
QUERY = "May the toddler poke a fork into the shiny toaster?"


class Page(HTMLParser):
    """The tags of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def _pair(
    number: int = 0, naming: float = 0.9, query: str = QUERY, **changes: object
) -> OverlapPair:
    start = query.find("shiny toaster")
    word = query.find("toaster")
    fields: dict[str, object] = {
        "id": str(number),
        "category": "Kitchen",
        "subcategory": "",
        "harmful": True,
        "cluster": str(number),
        "query": query,
        "content_kind": ContentKind.DESCRIPTION,
        "topic": 3.0,
        "rank": 0.01,
        "readings": (
            Reading(Channel.CONTENT, "a toaster", naming, "shiny toaster", start, start + 13),
        ),
        "words": (
            TellingWord("toaster", word, word + 7, 2.0),
            TellingWord("fork", query.find("fork"), query.find("fork") + 4, 0.5),
            TellingWord("the", query.find("the"), query.find("the") + 3, -0.1),
        ),
    }
    return OverlapPair(**(fields | changes))  # type: ignore[arg-type]


def _group(name: str, leak: float | None, n: int = 50) -> OverlapGroup:
    nothing = Estimate(0, None, None, None)
    if leak is None:
        return OverlapGroup(name, n, n, nothing, nothing, ())
    share = Estimate(n, leak, max(0.0, leak - 0.1), min(1.0, leak + 0.1))
    named = Rate(round(leak * n), n, leak, share.low, share.high) if n > 1 else _none_of_one()
    figures = ChannelFigures(Channel.CONTENT, n, share, named, share)
    return OverlapGroup(name, n, n, Estimate(n, 1.0, 0.9, 1.1), share, (figures,))


def _none_of_one() -> Rate:
    return Rate(0, 1, 0.0, None, None)


def _overlap(leak: float | None, **categories: float | None) -> OverlapSummary:
    return OverlapSummary(
        schema="vlsbench.overlap/1",
        vlsbench="0.1.0",
        bench="toasters",
        title="Toasters",
        paper="",
        licence="",
        embedder="minilm",
        embedder_digest="0" * 64,
        calibration="0" * 16,
        pairs=50,
        contents={"description" if leak is not None else "none": 50},
        group=_group("all", leak),
        categories=tuple(_group(name, share) for name, share in categories.items()),
        leaking=tuple(_pair(n, 0.9 - n / 20) for n in range(12)),
    )


def _card(leak: float | None = 0.3, bench: str = "lab/leaky?n=50", **changes: object) -> Card:
    made = make_card(
        Selection(lab.benchmark(bench)),
        settings={"embedder": "minilm"},
        overlap=_overlap(leak, Kitchen=0.1, Bathroom=0.7, Pond=None),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.long
@anything
@given(card=CARDS)
def test_a_card_comes_back_from_its_file_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, card: Card
) -> None:
    path = tmp_path_factory.mktemp("card") / "card.json"
    write_json(card, path)
    assert read_card(path) == card


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not valid JSON"),
        ("[]", "follows schema None"),
        ('{"schema": "vlsbench.card/2"}', "this version reads 'vlsbench.card/1'"),
        ('{"schema": "vlsbench.card/1"}', "missing key vlsbench"),
    ],
)
def test_what_is_no_card_is_refused_by_name(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(VlsbenchError, match=said) as error:
        read_card(path)
    assert str(path) in str(error.value)


def test_a_card_ranks_categories_and_shows_ten_pairs() -> None:
    card = _card()
    assert [category.name for category in card.categories] == ["Bathroom", "Kitchen"]
    assert [pair.id for pair in card.leaking] == [str(n) for n in range(10)]
    assert card.leak is not None
    assert (card.leak.n, card.leak.value) == (50, 0.3)
    assert [card.leak.low, card.leak.high] == pytest.approx([0.2, 0.4])
    assert (card.pairs, card.harmful, card.limit) == (50, 50, None)


def test_a_category_of_one_pair_is_not_the_most_leaking_for_want_of_data() -> None:
    """Its corrected share, from no pair found, lies where the assumptions put it: near a third."""
    summary = _overlap(0.1, Kitchen=0.2, Bathroom=0.0)
    summary = replace(summary, categories=(*summary.categories, _group("Attic", 0.32, n=1)))
    selection = Selection(lab.benchmark("lab/leaky?n=50"))
    card = make_card(selection, settings={}, overlap=summary)
    assert [category.name for category in card.categories] == ["Kitchen", "Attic", "Bathroom"]
    assert [(c.counted.k, c.counted.n) for c in card.categories] == [(10, 50), (0, 1), (0, 50)]


def test_the_naming_phrase_and_the_telling_words_are_marked() -> None:
    shown = [(QUERY[mark.start : mark.end], mark.names, mark.bits) for mark in Seen(_pair()).marks]
    assert shown == [("fork", False, 0.5), ("shiny ", True, None), ("toaster", True, 2.0)]


@given(
    query=TEXT,
    spans=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.booleans()), max_size=6),
    longest=st.integers(1, 15),
)
def test_pieces_are_the_query_whatever_is_marked(
    query: str, spans: list[tuple[int, int, bool]], longest: int
) -> None:
    found = tuple(Mark(start, end, names, None) for start, end, names in spans)
    pair = LeakingPair("1", "", "", query, found, None, None, "", "", "", False)
    whole = "".join(piece.text for piece in pieces(pair, longest))
    assert whole == (query if len(query) <= longest else query[:longest] + "…")
    assert sum(len(piece.text) for piece in pieces(replace(pair, query="x" * 9000))) == 4001
    marked = [piece for piece in pieces(pair, 15) if piece.mark]
    assert all(p.text == query[p.mark.start : p.mark.end] for p in marked if p.mark)


@pytest.mark.parametrize(
    ("category", "subcategory", "blurred"),
    [
        ("Erotic", "Adult Content", True),
        ("Self-Harm", "Risky or Dangerous Behaviors", True),
        ("04-Physical_Harm", "", False),
        ("07-Sex", "", True),
        ("Illegal Activity", "Human Trafficking and Exploitation", True),
        ("Violent", "", True),
        ("suicide_and_self_harm", "", True),
        ("Hate", "", True),
        ("Kitchen", "Toasters", False),
        ("Essex", "", True),
        ("Financial advice", "", False),
    ],
)
def test_which_categories_are_blurred(category: str, subcategory: str, blurred: bool) -> None:
    pair = _pair(category=category, subcategory=subcategory)
    assert Seen(pair).shown().blurred is blurred


def test_caveats_say_what_a_comparison_must_know() -> None:
    def said(**changes: Any) -> tuple[str, ...]:
        return caveats(replace(_card(**changes), bench="mine"))

    assert caveats(_card()) == ("simulated: made-up pairs or a lab model",)
    assert said() == ()
    assert said(leak=None) == ("no words for the image and no figure: 50 pairs",)
    assert said(pictured=0)[0].startswith("texts alone, held against")
    assert said(leak=None, pictured=0)[0].startswith("texts alone: there is no image")
    assert any("benign pairs" in caveat for caveat in said(bench="lab/benign?n=50"))
    assert said(limit=50, stopped="the budget of 3 calls is spent") == (
        "stopped early: the budget of 3 calls is spent",
        "a random sample of 50 pairs",
    )


def test_a_leaderboard_goes_from_the_most_to_the_least_leaking() -> None:
    cards = [
        (_card(leak, bench=f"lab/leaky?n=50&seed={seed}"), f"folder-{seed}")
        for seed, leak in enumerate((0.1, None, 0.9, 0.4))
    ]
    leaderboard = make_leaderboard(cards, {})
    assert [row.card for row in leaderboard.rows] == [
        "folder-2",
        "folder-3",
        "folder-0",
        "folder-1",
    ]
    assert [row.leak.value if row.leak else None for row in leaderboard.rows] == [
        0.9,
        0.4,
        0.1,
        None,
    ]


@pytest.mark.long
@anything
@given(card=CARDS)
def test_no_text_of_a_card_becomes_markup(
    tmp_path_factory: pytest.TempPathFactory, card: Card
) -> None:
    path = tmp_path_factory.mktemp("card") / "card.html"
    pair = LeakingPair(
        HOSTILE,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        (Mark(2, 20, True, 1.0),),
        0.5,
        True,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        True,
    )
    hostile = replace(
        card, bench=HOSTILE, title=HOSTILE, licence=HOSTILE, stopped=HOSTILE, leaking=(pair,)
    )
    write_card(hostile, path)
    page = Page(path.read_text("utf-8"))
    assert page.handlers == []
    assert not {"script", "img", "b", "iframe", "object"} & {*page.tags}


@anything
@given(leaderboard=LEADERBOARDS)
def test_a_leaderboard_is_a_table_whatever_its_texts_hold(leaderboard: Leaderboard) -> None:
    row = (
        replace(leaderboard.rows[0], bench=HOSTILE, caveats=(HOSTILE,))
        if leaderboard.rows
        else None
    )
    hostile = replace(leaderboard, rows=(row, *leaderboard.rows[1:]) if row else ())
    lines = leaderboard_markdown(hostile).splitlines()
    unescaped = [line.replace("\\|", "").count("|") for line in lines if line]
    assert len(unescaped) == 2 + len(hostile.rows)
    assert len(set(unescaped)) == 1


def test_half_surrogates_survive_in_json(tmp_path: Path) -> None:
    card = _card(title="half \ud83d")
    write_json(card, tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text("utf-8"))["title"] == "half \ud83d"
    write_card(card, tmp_path / "card.html")
    assert "half \ufffd" in (tmp_path / "card.html").read_text("utf-8")


def test_a_card_of_the_lab_is_simulated_whatever_measured_it(tmp_path: Path) -> None:
    made = vlsbench.audit(
        "lab/leaky?n=20", output=AuditOutput(out=tmp_path / "lab", progress=False)
    )
    assert made.card.simulated
    assert "Simulated" in made.page.read_text()
