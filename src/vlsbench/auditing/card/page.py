"""The leakage card of a benchmark as a page, the leaderboard of several as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote as quote_shell

from vlsbench.auditing.against import Against
from vlsbench.auditing.card.card import Card, Leaderboard, caveats
from vlsbench.auditing.card.pairs import LeakingPair, Mark
from vlsbench.auditing.head import Estimate
from vlsbench.auditing.judged.figures import PATTERNS
from vlsbench.auditing.overlap.figures import ContentKind
from vlsbench.pages import Cell, Table, interval, percent, write_page
from vlsbench.registry import is_simulated
from vlsbench.stats import Rate
from vlsbench.text import counted, markdown

LONGEST = 4000
"""Characters of one text that a card holds; `pairs.parquet` holds it whole."""
UNSAID = ("none", ContentKind.FOREIGN)
SCALE = (
    "For scale: VLSBench 27.7 % (0.0–44.9) of 2,241 queries, HarmBench 75.9 % (54.4–100.0) of 110, "
    "MM-SafetyBench's questions before their key phrase moves into the image 100.0 % (99.0–100.0) "
    "of 855."
)
"""Reference points, rows of docs/leaderboard.md."""
HELD = (
    "What was found of a pair, beside what the set’s authors or people say of it; only grades of "
    "safe and unsafe count. Bias is found minus graded; majority is the agreement of a baseline "
    "that says of all pairs what is graded most often, kappa of length that of the best cut of the "
    "queries’ lengths, chosen with the grades in hand. A query can name its image without being "
    "harmful, and the other way round. 95 % intervals are clustered by image."
)
"""What to know of measures held against labels."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a query, marked or not."""

    text: str
    mark: Mark | None = None


def pieces(pair: LeakingPair, longest: int = LONGEST) -> tuple[Piece, ...]:
    """Cut a query at its marks; marks beyond `longest` or out of order are left out."""
    query, found, at = pair.query[:longest], list[Piece](), 0
    for mark in pair.marks:
        if at <= mark.start < mark.end <= len(query):
            found.append(Piece(query[at : mark.start]))
            found.append(Piece(query[mark.start : mark.end], mark))
            at = mark.end
    found.append(Piece(query[at:] + ("…" if len(query) < len(pair.query) else "")))
    return tuple(piece for piece in found if piece.text)


def finding(card: Card) -> str:
    """Say in a sentence or two what the card found."""
    said = []
    a, b, c = card.overlap, card.judged, card.behaviour
    leak, benign = a and a.group.leak, a and a.benign and a.benign.leak
    wordless = a and a.contents.get("none", 0) >= a.pairs
    if leak:
        said.append(
            f"{percent(leak.value)} (95 % interval {interval(leak)}) of the {leak.n:,} queries "
            "measured name what their image shows."
        )
    elif wordless and card.pictured:
        bench = card.arguments
        said.append(
            "Nothing says what its images show. Name a column that does (--columns "
            f"description=COLUMN); have a model describe them: `vlsbench audit {bench} --captioner "
            "MODEL@http://localhost:8000/v1`; or compare the queries with the images themselves: "
            f"`vlsbench audit {bench} --embedder clip/openai/clip-vit-large-patch14`."
        )
    elif wordless and not card.paper:  # a published set of texts has none
        said.append(
            "The set has no images here: give their folder (--data; of several sets --data-root), "
            "or in a set of your own their column (--columns image=COLUMN)."
        )
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
        "against": against_table(card.against),
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
        told = [f"{row.leak.n if row.leak else row.pairs:,}", share(row.leak)]
        told += [share(row.typographic), _written(row.topic, ".2f"), share(row.rank)]
        told += [share(row.vsil)] * judged + [share(row.gain)] * gain
        name = Cell(row.bench + " †" * is_simulated(row.bench), details=row.caveats)
        rows.append([name, *map(Cell, told)])
    return Table(names, rows, caption="Percent, 95 % intervals clustered by image.")


def _written(found: Estimate | None, form: str, scale: float = 1) -> str:
    """Write a number with its interval, which may reach below 0."""
    if found is None or found.value is None:
        return "–"
    said = f"{found.value * scale:{form}}"
    if found.low is None or found.high is None:
        return said
    return f"{said} ({found.low * scale:{form}} to {found.high * scale:{form}})"


def against_table(against: Against | None) -> Table | None:
    """Return how findings agree with grades, a row for each; None where nothing was held."""
    if not against or not against.labels:
        return None
    names = ["finding", "graded", "n", "graded unsafe", "found unsafe", "bias, points"]
    names += ["kappa", "kappa of length", "majority"]
    rows = []
    for one in against.labels:
        fell = ", ".join(
            f"{grade} → {found} {n:,}"
            for grade, counts in one.confusion.items()
            for found, n in counts.items()
        )
        told = [f"{one.part}, {one.by}", f"{one.pairs:,}", share(one.unsafe), share(one.found)]
        told += [_written(one.bias, "+.1f", 100), _written(one.kappa, ".2f")]
        told += ["–" if one.length is None else f"{one.length:.2f}", percent(one.majority)]
        said = f"{one.part}, {one.by} (graded → found): {fell}"
        if one.ungraded or one.unmeasured:
            said += f"; without a grade {one.ungraded:,}, not measured {one.unmeasured:,}"
        rows.append([Cell(one.finding, details=[said]), *map(Cell, told)])
    return Table(names, rows, 2, HELD)


def leaderboard_markdown(leaderboard: Leaderboard) -> str:
    """Return the leaderboard in Markdown: figures only, no text of any pair."""
    table = leaderboard_table(leaderboard)
    lines = [[*table.names, "words for the image", "their number", "measured", "caveats"]]
    lines.append(["---", *["---:"] * (len(lines[0]) - 1)])
    for row, (_, *figures) in zip(leaderboard.rows, table.rows, strict=True):
        contents = ", ".join(kind for kind in row.contents if kind not in UNSAID) or "none"
        words = "–" if row.words is None else f"{row.words:.0f}"
        notes = markdown("; ".join(row.caveats))
        told = [markdown(contents), words, percent(row.coverage), notes]
        lines.append([markdown(row.bench), *(cell.text for cell in figures), *told])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
