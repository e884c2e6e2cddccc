"""The leakage card of a benchmark, and the leaderboard of several, as pages and in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote as quote_shell
from urllib.parse import quote

from vlsbench.auditing._head import Estimate
from vlsbench.auditing.against import Against
from vlsbench.auditing.card._card import Card, Leaderboard, LeaderboardRow, LeakingPair, Mark
from vlsbench.auditing.card._make import caveats
from vlsbench.auditing.judged import PATTERNS
from vlsbench.auditing.overlap import ContentKind
from vlsbench.pages import Cell, Document, Section, Table, interval, percent, write_page
from vlsbench.registry import is_simulated
from vlsbench.stats import Rate
from vlsbench.text import counted, markdown

UNSAID = ("none", ContentKind.FOREIGN)
LONGEST = 4000
"""Characters of one text that a card holds; `pairs.parquet` holds it whole."""
SCALE = (
    "For scale: VLSBench 27.7 % (0.0–44.9) of 2,241 queries, HarmBench 75.9 % (54.4–100.0) of 110, "
    "MM-SafetyBench's questions before their key phrase moves into the image 100.0 % (99.0–100.0) "
    "of 855."
)
"""Reference points, rows of docs/leaderboard.md."""
INTRO = (
    "A pair leaks when its query already tells what its image shows: a model can then be safe "
    "without looking, and a benchmark of such pairs does not measure cross-modal safety (VLSBench, "
    "arXiv 2411.19939).",
    "“Leaking pairs” is the share of queries that name their image’s content, corrected for the "
    "errors of the measure; “topic” is how many bits a query tells of which image it belongs to. "
    "Both compare the query with words for the image, or with the image where a model like CLIP "
    "looks at it; neither asks for harm. Rows rest on different contents: read the caveats before "
    "comparing two.",
)
HELD = (
    "What was found of a pair, beside what the set’s authors or people say of it. Only grades of "
    "safe and unsafe count. Bias is found minus graded; majority is the agreement of a baseline "
    "that says of all pairs what is graded most often, kappa of length that of the best cut of "
    "the queries’ lengths, chosen with the grades in hand. A query can name its image without "
    "being harmful, and the other way round."
)
"""What to know of measures held against labels."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a query, marked or not."""

    text: str
    mark: Mark | None = None


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
    said = []
    a, b, c = card.overlap, card.judged, card.behaviour
    leak, benign = a and a.group.leak, a and a.benign and a.benign.leak
    if leak:
        said.append(
            f"{percent(leak.value)} (95 % interval {interval(leak)}) of the queries name what "
            "their image shows."
        )
    elif a:
        said += ways(card)
    if benign:
        said.append(f"Of the {counted(benign.n, 'benign pair')}, apart: {share(benign)}.")
    if a and (told := a.group.topic.value) is not None:
        said.append(
            f"On average a query tells {told:.2f} bits of which image it belongs to."
            if told > 0
            else "On average the queries tell no more of their images than questions that "
            "name nothing."
        )
    if b and b.group.leak:
        said.append(
            f"{share(b.group.leak)} of the harmful pairs are harmful by their text alone, as "
            "judged and corrected."
        )
    if b and (bounds := b.group.corrected.bounds):
        said.append(f"Of the harmful pairs, {bounds}.")
    if c and c.gain and c.gain.value is not None:
        within = f" (95 % interval {interval(c.gain)})" if c.gain.low is not None else ""
        said.append(
            f"Seeing the image changes the safety rate of {c.model} by "
            f"{c.gain.value * 100:+.1f} points{within}."
        )
    if c and c.shortcut and c.shortcut.value is not None:
        kept = share(c.shortcut)
        said.append(f"Of its safe answers {kept} do not need the image, chance taken out.")
    if leak:
        said.append(SCALE)
    return " ".join(said) or "Nothing could be measured."


def ways(card: Card) -> tuple[str, ...]:
    """Return commands that would measure a set of which nothing says what its images show."""
    if not card.overlap or card.overlap.contents.get("none", 0) < card.overlap.pairs:
        return ()
    if not card.pictured and card.paper:
        return ()  # a published set of texts
    if not card.pictured:
        return (
            "The set has no images here: give their folder (--data; of several sets --data-root), "
            "or in a set of your own their column (--columns image=COLUMN).",
        )
    bench = card.arguments
    return (
        "Nothing says what its images show. Name a column that does (--columns "
        f"description=COLUMN); have a model describe them: `vlsbench audit {bench} --captioner "
        "MODEL@http://localhost:8000/v1`; or compare the queries with "
        f"the images themselves: `vlsbench audit {bench} --embedder "
        "clip/openai/clip-vit-large-patch14`.",
    )


def write_card(card: Card, path: Path) -> None:
    """Write a leakage card as a single HTML file that needs no network and runs no script."""
    file = quote_shell(card.dropped.file) if card.dropped else ""
    context = {
        "card": card,
        "finding": finding(card),
        "caveats": caveats(card),
        "patterns": PATTERNS,
        "leaking": [(pair, pieces(pair)) for pair in card.leaking],
        "longest": LONGEST,
        "against": against_sections(card.against),
        "usage": f"vlsbench eval {card.arguments} --leave-out {file} …",
        "settings": json.dumps(card.settings, indent=2, ensure_ascii=False),
    }
    write_page(path, "auditing/card/card.html", context)


def share(found: Estimate | Rate | None) -> str:
    """Write a share with its interval, as `3.1 % (2.2–4.3)`."""
    if found is None:
        return "–"
    value = found.rate if isinstance(found, Rate) else found.value
    if value is None:
        return "–"
    return percent(value) + (f" ({interval(found)})" if found.low is not None else "")


def leaderboard_table(leaderboard: Leaderboard) -> Table:
    """Return a leaderboard as a table, a row for each benchmark."""
    judged = any(row.vsil for row in leaderboard.rows)
    gain = any(row.gain for row in leaderboard.rows)
    names = ["benchmark", "n", "leaking pairs", "typographic", "topic, bits", "median rank"]
    names += ["VSIL, judged"] * judged + ["cross-modal gain"] * gain
    rows = []
    for row in leaderboard.rows:
        words = f" (median {row.words:.0f})" if row.words else ""
        said = [f"words for the image: {_contents(row)}{words}"] if row.contents else []
        said += [] if row.coverage is None else [f"{percent(row.coverage)} of pairs measured"]
        href = f"{quote(row.card, errors='replace')}/card.html"
        name = row.bench + " †" * is_simulated(row.bench)
        n = row.leak.n if row.leak else row.pairs
        told = Cell(_written(row.topic, ".2f"), row.topic.value if row.topic else None)
        cells = [Cell(name, details=[*said, *row.caveats], href=href), Cell(f"{n:,}", n)]
        cells += [_cell(row.leak), _cell(row.typographic), told, _cell(row.rank)]
        rows.append([*cells, *[_cell(row.vsil)] * judged, *[_cell(row.gain)] * gain])
    caption = "Percent, 95 % intervals clustered by image. A name opens the card."
    return Table(names, rows, caption=caption, bar="leaking pairs", fill="unsafe", sortable=True)


def _written(found: Estimate | None, form: str, scale: float = 1) -> str:
    """Write a number with its interval, which may reach below 0."""
    if found is None or found.value is None:
        return "–"
    said = f"{found.value * scale:{form}}"
    if found.low is None or found.high is None:
        return said
    return f"{said} ({found.low * scale:{form}} to {found.high * scale:{form}})"


def against_sections(against: Against | None) -> Sequence[Section]:
    """Return how findings agree with grades, and the corrected shares, the figures to quote."""
    if not against:
        return ()
    names = ["finding", "graded", "n", "graded unsafe", "found unsafe", "bias, points"]
    names += ["kappa", "kappa of length", "same label", "majority"]
    labels = [
        (
            *(one.finding, f"{one.part}, {one.by}", f"{one.pairs:,}"),
            *(share(one.unsafe), share(one.found), _written(one.bias, "+.1f", 100)),
            _written(one.kappa, ".2f"),
            "–" if one.length is None else f"{one.length:.2f}",
            *(share(one.agreement), percent(one.majority)),
        )
        for one in against.labels
    ]
    shares = [
        (
            *(one.finding, f"text, {one.by}", f"{one.leak.n:,}", share(one.unsafe)),
            *(share(one.leak), _written(one.bias, "+.1f", 100)),
        )
        for one in against.shares
    ]
    none = [] if labels else ["Nothing that has a grade was measured."]
    said = "With 95 % intervals clustered by image."

    def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table | None:
        return Table(names, [[*map(Cell, row)] for row in rows], 2, said) if rows else None

    sections = [
        Section("Held against labels", [HELD, *none, *_confusion(against)], table(names, labels))
    ]
    if shares:
        heads = [*names[:4], "share, corrected", "bias, points"]
        title = "Corrected shares of the harmful pairs, held against labels"
        sections.append(Section(title, table=table(heads, shares)))
    return sections


def _confusion(against: Against) -> Sequence[str]:
    """Return a line for each finding: how its labels fall on the grades, and what has none."""
    lines = []
    for one in against.labels:
        cells = [
            f"{grade} → {found} {n:,}"
            for grade, counts in one.confusion.items()
            for found, n in counts.items()
        ]
        said = f"{one.finding} against {one.part}, {one.by} (graded → found): {', '.join(cells)}"
        if one.borderline.n:
            said += f"; of the borderline {one.borderline.k:,} of {one.borderline.n:,} found unsafe"
        if one.ungraded or one.unmeasured:
            said += f"; without a grade {one.ungraded:,}, not measured {one.unmeasured:,}"
        lines.append(said)
    return lines


def _cell(found: Estimate | None) -> Cell:
    return Cell(share(found), found.value if found else None)


def _contents(row: LeaderboardRow) -> str:
    return ", ".join(kind for kind in row.contents if kind not in UNSAID) or "none"


def write_leaderboard(leaderboard: Leaderboard, path: Path) -> None:
    """Write the leaderboard as a single HTML file beside the folders of its cards."""
    settings = json.dumps(leaderboard.settings, indent=2, ensure_ascii=False)
    table = leaderboard_table(leaderboard)
    left_out = [f"{name}: {why}" for name, why in (leaderboard.skipped or {}).items()]
    Document(
        "How much do the texts tell?",
        [
            Section("Leaderboard", table=table),
            *against_sections(leaderboard.against),
            *([Section("Left out", left_out)] if left_out else []),
            Section("Settings", code=settings),
        ],
        subtitle=f"{counted(len(table.rows), 'benchmark')}, the most leaking first",
        eyebrow="vlsbench · visual safety information leakage",
        intro=INTRO,
        simulated=any(is_simulated(row.bench) for row in leaderboard.rows),
        vlsbench=leaderboard.vlsbench,
        made=leaderboard.made,
    ).write(path)


def leaderboard_markdown(leaderboard: Leaderboard) -> str:
    """Return the leaderboard in Markdown: figures only, no text of any pair."""
    table = leaderboard_table(leaderboard)
    lines = [[*table.names, "words for the image", "their number", "measured", "caveats"]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for row, (_, *figures) in zip(leaderboard.rows, table.rows, strict=True):
        words = "–" if row.words is None else f"{row.words:.0f}"
        contents, notes = markdown(_contents(row)), markdown("; ".join(row.caveats))
        cells = [cell.text for cell in figures]
        lines.append([markdown(row.bench), *cells, contents, words, percent(row.coverage), notes])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
