"""The leakage card of a benchmark, and the leaderboard of several, as pages and in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote as quote_shell
from typing import TYPE_CHECKING
from urllib.parse import quote

from vlsbench.auditing.overlap._figures import FOREIGN
from vlsbench.pages._page import count, interval, percent, write_page
from vlsbench.text import markdown

if TYPE_CHECKING:
    from vlsbench.auditing.card._card import (
        Card,
        CategoryLeak,
        Leaderboard,
        LeaderboardRow,
        LeakingPair,
        Mark,
    )
    from vlsbench.auditing.overlap import Estimate
    from vlsbench.stats import Rate

LONGEST = 4000
"""Characters of one text that a card holds; `pairs.parquet` holds it whole."""
SHOWN_CATEGORIES = 20
"""Categories in the chart: where there are more, the most and the least leaking."""
CHANNELS = {
    "content": "what the image shows",
    "reason": "why the pair is harmful (cards of version 0.1)",
    "typographic": "what is written in the image",
}
SCALE = (
    "For scale: VLSBench 27.7 % (0.0–44.9) of 2,241 queries, HarmBench 75.9 % (54.4–100.0) of 110, "
    "MM-SafetyBench's questions before their key phrase moves into the image 100.0 % (99.0–100.0) "
    "of 855."
)
"""Reference points, rows of docs/leaderboard.md."""
CATEGORIES_NOTE = """\
Categories stand in the order of the pairs found to leak, by the lower end of their interval. \
Corrected shares of few pairs say more of the correction's assumptions than of the category, and \
do not average to the share of the whole."""
INTRO = """\
A pair leaks when its query already tells what its image shows: a model can then be safe without \
looking, and a benchmark of such pairs does not measure cross-modal safety (VLSBench, arXiv \
2411.19939).

"Leaking pairs" is the share of queries that name their image's content, corrected for the \
errors of the measure; "topic" is how many bits a query tells of which image it belongs to. Both \
compare the query with words for the image, or with the image where a model like CLIP looks at \
it; neither asks for harm. Rows rest on different contents: read the caveats before comparing \
two."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a query, marked or not."""

    text: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A leaking pair with its query in pieces."""

    pair: LeakingPair
    pieces: tuple[Piece, ...]


def pieces(pair: LeakingPair, longest: int = LONGEST) -> tuple[Piece, ...]:
    """Cut a query at its marks; marks beyond `longest` or out of order are left out."""
    query, found, at = pair.query[:longest], [], 0
    for mark in pair.marks:
        if not at <= mark.start < mark.end <= len(query):
            continue
        if at < mark.start:
            found.append(Piece(query[at : mark.start]))
        found.append(Piece(query[mark.start : mark.end], mark))
        at = mark.end
    rest = query[at:] + ("…" if len(pair.query) > longest else "")
    return (*found, Piece(rest)) if rest else tuple(found)


def finding(card: Card) -> str:
    """Say in a sentence or two what the card found."""
    from vlsbench.auditing.card._card import leak_by_overlap

    said = []
    leak, benign = (leak_by_overlap(card.overlap, benign=apart) for apart in (False, True))
    if leak:
        said.append(
            f"{percent(leak.value)} (95 % interval {interval(leak)}) of the queries name what "
            "their image shows."
        )
    elif card.overlap:
        said += ways(card)
    if benign:
        said.append(f"Of the {benign.n:,} benign pairs, apart: {share(benign)}.")
    if card.overlap and card.overlap.group.topic.value is not None:
        told = card.overlap.group.topic.value
        said.append(
            f"On average a query tells {told:.2f} bits of which image it belongs to."
            if told > 0
            else "On average the queries tell no more of their images than questions that "
            "name nothing."
        )
    if card.judged and card.judged.group.corrected.value is not None:
        judged = card.judged.group.corrected
        said.append(
            f"{percent(judged.value)} ({interval(judged)}) of the harmful pairs are harmful by "
            "their text alone, as judged and corrected."
        )
    if card.judged and (bounds := card.judged.group.corrected.bounds):
        said.append(f"Of the harmful pairs, {bounds} are harmful by their text alone.")
    gain = card.behaviour.gain if card.behaviour else None
    if card.behaviour and gain and gain.value is not None:
        within = "" if gain.low is None else f" (95 % interval {gain.low * 100:+.1f} to "
        within += "" if gain.high is None else f"{gain.high * 100:+.1f})"
        said.append(
            f"Seeing the image changes the safety rate of {card.behaviour.model} by "
            f"{gain.value * 100:+.1f} points{within}."
        )
    kept = card.behaviour.shortcut if card.behaviour else None
    if kept and kept.value is not None:
        said.append(
            f"Of its safe answers {percent(kept.value)} ({interval(kept)}) do not need the "
            "image, chance taken out."
        )
    if leak:
        said.append(SCALE)
    return " ".join(said) or "Nothing could be measured."


def ways(card: Card) -> tuple[str, ...]:
    """Return commands that would measure a set of which nothing says what its images show."""
    if not card.overlap or card.overlap.contents.get("none", 0) < card.overlap.pairs:
        return ()
    if not card.pictured:
        return ("The set has no images here: give their folder (--data-root) first.",)
    bench = card.arguments
    return (
        "Nothing says what its images show. Have a model describe them: `vlsbench audit "
        f"{bench} --captioner MODEL@http://localhost:8000/v1`; or compare the queries with "
        f"the images themselves: `vlsbench audit {bench} --embedder "
        "clip/openai/clip-vit-large-patch14`.",
    )


def _both_ends(categories: Sequence[CategoryLeak]) -> Sequence[CategoryLeak]:
    if len(categories) <= SHOWN_CATEGORIES:
        return categories
    half = SHOWN_CATEGORIES // 2
    return [*categories[:half], *categories[-half:]]


def _usage(card: Card) -> str:
    file = card.dropped.file if card.dropped else ""
    return f"vlsbench eval {card.arguments} --leave-out {quote_shell(file)} …"


def write_card(card: Card, path: Path) -> None:
    """Write a leakage card as a single HTML file that needs no network and runs no script.

    Raises:
        OSError: The file cannot be written.
    """
    from vlsbench.auditing.card._make import caveats
    from vlsbench.auditing.judged import PATTERNS

    context = {
        "card": card,
        "finding": finding(card),
        "caveats": caveats(card),
        "channels": CHANNELS,
        "patterns": PATTERNS,
        "shown_categories": _both_ends(card.categories),
        "leaking": [ShownPair(pair, pieces(pair)) for pair in card.leaking],
        "longest": LONGEST,
        "usage": _usage(card),
        "settings": json.dumps(card.settings, indent=2, ensure_ascii=False),
        "categories_note": CATEGORIES_NOTE,
    }
    write_page(path, "auditing/card/card.html", context)


@dataclass(frozen=True, slots=True)
class Line:
    """One benchmark of the leaderboard as its page shows it."""

    row: LeaderboardRow
    href: str
    contents: str
    topic: str


def _contents(row: LeaderboardRow) -> str:
    return ", ".join(kind for kind in row.contents if kind not in ("none", FOREIGN))


def write_leaderboard(leaderboard: Leaderboard, path: Path) -> None:
    """Write the leaderboard as a single HTML file beside the folders of its cards.

    Raises:
        OSError: The file cannot be written.
    """
    context = {
        "leaderboard": leaderboard,
        "intro": INTRO.split("\n\n"),
        "rows": [
            Line(
                row,
                f"{quote(row.card, errors='replace')}/card.html",
                _contents(row),
                bits(row.topic),
            )
            for row in leaderboard.rows
        ],
        "judged": any(row.vsil for row in leaderboard.rows),
        "behaviour": any(row.gain for row in leaderboard.rows),
        "settings": json.dumps(leaderboard.settings, indent=2, ensure_ascii=False),
    }
    write_page(path, "auditing/card/leaderboard.html", context)


def share(found: Estimate | None) -> str:
    """Write a share with its interval, as `3.1 % (2.2–4.3)`."""
    if found is None or found.value is None:
        return "–"
    return percent(found.value) + (f" ({interval(found)})" if found.low is not None else "")


def bits(found: Estimate | None) -> str:
    """Write bits with their interval."""
    if found is None or found.value is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"


def rate_with_interval(rate: Rate | None) -> str:
    """Write a rate with its interval."""
    if rate is None or rate.rate is None:
        return "–"
    return f"{percent(rate.rate)} ({interval(rate)})"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write a table in Markdown."""
    yield f"| {' | '.join(names)} |"
    yield f"| --- {'| ---: ' * (len(names) - 1)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def size(row: LeaderboardRow) -> tuple[str, str]:
    """Write how long a row's contents are, and what share of its pairs has one."""
    words = "–" if row.words is None else f"{row.words:.0f}"
    return words, "–" if row.coverage is None else percent(row.coverage)


def leaderboard_markdown(leaderboard: Leaderboard) -> str:
    """Return the leaderboard in Markdown: figures only, no text of any pair."""
    judged = any(row.vsil for row in leaderboard.rows)
    gain = any(row.gain for row in leaderboard.rows)
    names = ["benchmark", "n", "leaking pairs", "typographic", "topic, bits", "median rank"]
    names += ["VSIL, judged"] * judged + ["cross-modal gain"] * gain
    names += ["words for the image", "their number", "measured", "caveats"]
    rows = []
    for row in leaderboard.rows:
        n = row.leak.n if row.leak else row.pairs
        cells = [markdown(row.bench), count(n), share(row.leak), share(row.typographic)]
        cells += [bits(row.topic), share(row.rank)]
        cells += [share(row.vsil)] * judged + [share(row.gain)] * gain
        cells += [markdown(_contents(row)) or "none", *size(row), markdown("; ".join(row.caveats))]
        rows.append(cells)
    return "\n".join(table(names, rows))
