"""One pair as the measures saw it: how much it leaks, its row of `pairs.parquet`, and the list of
those to leave out.

`--drop-leaking` writes the list, and `vlsbench eval --leave-out` runs a benchmark without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from vlsbench.auditing.judged.figures import JudgedPair
from vlsbench.auditing.overlap.figures import Channel, OverlapPair
from vlsbench.files import write_csv
from vlsbench.judge import Part
from vlsbench.pairs import DROP_COLUMNS

PAIRS = "pairs.parquet"
DROP = "drop.csv"
WORDS = 5
"""Telling words marked in one query at most."""
TELLING_BITS = 0.25
"""A word that carries less is not marked: leaving any word out changes a sentence a little."""
BLURRED = re.compile(
    r"sex|erotic|porn|nud(e|ity)|adult|self.?harm|suicid|self.?injur|disordered|violen|weapon"
    r"|abus|gore|graphic|terror|hate|racis|racial|ethnic|xenophob|discriminat|traffick|child",
    re.IGNORECASE,
)
"""Categories whose texts are blurred until they are wanted: sexual content, self-harm, violence,
hatred, and whatever concerns children."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a query that tells of its image; start and end in characters."""

    start: int
    end: int
    names: bool
    """It is (part of) the phrase that comes closest to naming the content."""
    bits: float | None
    """Topic that is lost without this word; None where that is not known."""


@dataclass(frozen=True, slots=True)
class LeakingPair:
    """One of the pairs that leak most."""

    id: str
    category: str
    subcategory: str
    query: str
    marks: tuple[Mark, ...]
    """In order, none overlapping another."""
    naming: float | None
    """Probability that the query names the image's content; None where that was not measured."""
    text_harmful: bool | None
    """Whether a judge holds the text harmful by itself; None where none was asked or it is
    unscored."""
    content: str
    """What the image shows, in the words that the query was held against."""
    content_kind: str
    """Where those words come from; empty where only a judge's label counts."""
    said: str
    """The judge's words on the text alone; empty where no judge was asked."""
    blurred: bool
    """Its category asks for its texts to be blurred until they are wanted."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What `--drop-leaking` left out."""

    threshold: float
    file: str
    """Name of the list beside the card."""
    dropped: int
    kept: int
    unmeasured: int
    """Pairs without a score, which are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A row of `pairs.parquet`; its fields are the columns, which docs/audit.md explains."""

    id: str
    category: str
    subcategory: str
    harmful: bool
    query: str
    score: float | None
    why: str
    content_kind: str | None
    content: str | None
    topic_bits: float | None
    rank: float | None
    naming: float | None
    phrase: str | None
    naming_typographic: float | None
    text_harmful: bool | None
    image_harmful: bool | None
    pair_harmful: bool | None
    pattern: str | None


class Seen(NamedTuple):
    """One pair as measures A and B saw it; at least one of them did."""

    overlap: OverlapPair | None
    judged: JudgedPair | None = None

    @property
    def score(self) -> tuple[float | None, str]:
        """How much the pair leaks, for `--drop-leaking`, and the phrase or label that says so.

        The probability that the query names what the image shows or what is written in it, and 1
        where a judge holds the text harmful by itself; None where nothing was measured.
        """
        found = [
            (reading.naming, f"{reading.channel}: {reading.phrase}")
            for reading in (self.overlap.readings if self.overlap else ())
        ]
        harmful = self.judged.harmful_by(Part.TEXT) if self.judged else None
        if harmful is not None:
            found.append((float(harmful), "judged: harmful by its text"))
        return max(found, key=itemgetter(0), default=(None, ""))

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The phrase of the query that comes closest to naming its content, and telling words.

        They stand in order and without overlap.
        """
        if not self.overlap:
            return ()
        reading = self.overlap.reading(Channel.CONTENT)
        phrase = (reading.start, reading.end) if reading else (0, 0)
        words = [word for word in self.overlap.words if word.bits >= TELLING_BITS][:WORDS]
        edges = sorted({*phrase, *(word.start for word in words), *(word.end for word in words)})
        found = []
        for start, end in pairwise(edges):
            names = phrase[0] <= start and end <= phrase[1]
            bits = next((w.bits for w in words if w.start <= start and end <= w.end), None)
            if names or bits is not None:
                found.append(Mark(start, end, names, bits))
        return tuple(found)

    def row(self) -> CardRow:
        """Return its row of `pairs.parquet`."""
        overlap, judged, (score, why) = self.overlap, self.judged, self.score
        pair = overlap or judged
        assert pair, "some measure saw the pair"
        content = overlap.reading(Channel.CONTENT) if overlap else None
        written = overlap.reading(Channel.TYPOGRAPHIC) if overlap else None
        unnamed = "" if overlap else None
        return CardRow(
            id=pair.id,
            category=pair.category,
            subcategory=pair.subcategory,
            harmful=pair.harmful,
            query=pair.query,
            score=score,
            why=why,
            content_kind=str(overlap.content_kind or "") if overlap else None,
            content=content.text if content else unnamed,
            topic_bits=overlap.topic if overlap else None,
            rank=overlap.rank if overlap else None,
            naming=overlap.naming if overlap else None,
            phrase=content.phrase if content else unnamed,
            naming_typographic=written.naming if written else None,
            text_harmful=judged.harmful_by(Part.TEXT) if judged else None,
            image_harmful=judged.harmful_by(Part.IMAGE) if judged else None,
            pair_harmful=judged.harmful_by(Part.PAIR) if judged else None,
            pattern=judged.pattern if judged else None,
        )

    def shown(self) -> LeakingPair:
        """Return what a card shows of it."""
        row, findings = self.row(), self.judged.findings if self.judged else ()
        said = (one for one in findings if one.part is Part.TEXT and one.harmful is not None)
        return LeakingPair(
            id=row.id,
            category=row.category,
            subcategory=row.subcategory,
            query=row.query,
            marks=self.marks,
            naming=row.naming,
            text_harmful=row.text_harmful,
            content=row.content or "",
            content_kind=row.content_kind or "",
            said=next((one.explanation for one in said), ""),
            blurred=bool(BLURRED.search(f"{row.category} {row.subcategory}")),
        )


def write_drop_list(path: Path, bench: str, threshold: float, rows: Sequence[CardRow]) -> Dropped:
    """Write the list of pairs to leave out, the most leaking first, and say what is on it.

    Pairs are left out from the score `threshold` on.
    """
    known = [(-row.score, row.id, row.why) for row in rows if row.score is not None]
    leaking = sorted(one for one in known if -one[0] >= threshold)
    listed = ((bench, id, f"{-value:.4f}", why) for value, id, why in leaking)
    write_csv(listed, path, DROP_COLUMNS)
    kept, unmeasured = len(rows) - len(leaking), len(rows) - len(known)
    return Dropped(threshold, path.name, len(leaking), kept, unmeasured)
