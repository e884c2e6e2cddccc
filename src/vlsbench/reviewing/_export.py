"""What a review leaves behind: all verdicts, and the lists of pairs to keep and to drop."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.files import whole_file
from vlsbench.reviewing._decide import Fate
from vlsbench.reviewing._questions import Question
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._verdicts import PersonVerdict, Role
from vlsbench.text import csv_cell

KEEP, DROP = "keep.csv", "drop.csv"
LIST_COLUMNS = ("bench", "id", "score", "why")
"""Those of the lists that `--leave-out` takes; the score is the share of reviewers against."""
COLUMNS = (
    *("bench", "id", "person", "role", "complete", *map(str, Question)),
    *("codes", "comment", "at", "shown"),
)
"""Those of the verdicts, in order."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an export, and how much is in them."""

    verdicts: Path
    keep: Path
    drop: Path
    people: int
    rows: int
    kept: int
    dropped: int
    open: int
    stale: int


def export(review: Review, out: Path, *, anonymous: bool = False) -> Exported:
    """Write all verdicts that count, and `keep.csv` and `drop.csv` beside them.

    Args:
        review: The review.
        out: File to write, `.csv` or `.jsonl`; one row for each person and pair.
        anonymous: Number people rather than name them.

    Raises:
        VlsbenchError: The file's ending is neither, or it cannot be written.
    """
    if out.suffix.lower() not in (".csv", ".jsonl"):
        raise VlsbenchError(f"{out}: expected a name that ends in .csv or .jsonl")
    verdicts, stale = review.current()
    decisions = review.decisions(verdicts)
    names = _names(verdicts, anonymous)
    keep, drop = out.with_name(KEEP), out.with_name(DROP)
    if out in (keep, drop):
        raise VlsbenchError(f"{out} is written beside the verdicts: name those otherwise")
    rows = [_row(review.bench, names[verdict.person], verdict) for verdict in verdicts]
    lists = {
        fate: [
            (review.bench, d.pair, f"{d.against:.4f}", d.why) for d in decisions if d.fate is fate
        ]
        for fate in (Fate.KEEP, Fate.DROP)
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix.lower() == ".jsonl":
            with whole_file(out) as part:
                part.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        else:
            cells = ({**row, "codes": " ".join(row["codes"])}.values() for row in rows)
            _write_csv(out, COLUMNS, [[*map(csv_cell, row)] for row in cells])
        for path, fate in ((keep, Fate.KEEP), (drop, Fate.DROP)):
            _write_csv(path, LIST_COLUMNS, lists[fate])
    except OSError as error:
        raise VlsbenchError(f"cannot write into {out.parent}: {error.strerror}") from None
    kept, dropped = map(len, lists.values())
    undecided = len(decisions) - kept - dropped
    return Exported(out, keep, drop, len(names), len(rows), kept, dropped, undecided, stale)


def _names(verdicts: Iterable[PersonVerdict], anonymous: bool) -> dict[str, str]:
    roles = {verdict.person: verdict.role for verdict in verdicts}
    if not anonymous:
        return {person: person for person in roles}
    by_role = {role: sorted(p for p in roles if roles[p] is role) for role in Role}
    return {
        person: f"{role}-{number}"
        for role, people in by_role.items()
        for number, person in enumerate(people, start=1)
    }


def _row(bench: str, person: str, verdict: PersonVerdict) -> dict[str, Any]:
    answers = (str(verdict.answers.get(question, "")) for question in Question)
    at = datetime.fromtimestamp(verdict.at, UTC).isoformat(timespec="seconds")
    values = (
        *(bench, verdict.pair, person, str(verdict.role), verdict.complete, *answers),
        *(list(verdict.codes), verdict.comment, at, verdict.shown),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with (
        whole_file(path) as part,
        open(part, "w", encoding="utf-8", errors="surrogatepass", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
