"""What a review leaves behind: all verdicts, and the lists of pairs to keep and to drop."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlsbench.auditing import DROP
from vlsbench.errors import VlsbenchError
from vlsbench.files import whole_file
from vlsbench.reviewing._decide import Decision, Fate
from vlsbench.reviewing._questions import Question
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._verdicts import PersonVerdict, Role

KEEP = "keep.csv"
LIST_COLUMNS = ("bench", "id", "score", "why")
"""Those of the lists that `--leave-out` takes; the score is the share of reviewers against."""
FORMS = (".csv", ".jsonl")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, *CSV Injection*)."""


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
    if out.suffix.lower() not in FORMS:
        raise VlsbenchError(f"{out}: expected a name that ends in {' or '.join(FORMS)}")
    verdicts, stale = review.current()
    decisions = review.decisions(verdicts)
    names = _names(verdicts, anonymous)
    keep, drop = out.with_name(KEEP), out.with_name(DROP)
    if out in (keep, drop):
        raise VlsbenchError(f"{out} is written beside the verdicts: name those otherwise")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, [_fields(review.bench, names, verdict) for verdict in verdicts])
        counts = [
            _write_list(path, review.bench, decisions, fate)
            for path, fate in ((keep, Fate.KEEP), (drop, Fate.DROP))
        ]
    except OSError as error:
        raise VlsbenchError(f"cannot write into {out.parent}: {error.strerror}") from None
    return Exported(
        verdicts=out,
        keep=keep,
        drop=drop,
        people=len(names),
        rows=len(verdicts),
        kept=counts[0],
        dropped=counts[1],
        open=len(decisions) - sum(counts),
        stale=stale,
    )


def _names(verdicts: Iterable[PersonVerdict], anonymous: bool) -> dict[str, str]:
    roles = {verdict.person: verdict.role for verdict in verdicts}
    if not anonymous:
        return {person: person for person in roles}
    numbers = dict.fromkeys(Role, 0)
    names = {}
    for person in sorted(roles):
        numbers[roles[person]] += 1
        names[person] = f"{roles[person]}-{numbers[roles[person]]}"
    return names


def _fields(bench: str, names: Mapping[str, str], verdict: PersonVerdict) -> dict[str, Any]:
    return {
        "bench": bench,
        "id": verdict.pair,
        "person": names[verdict.person],
        "role": str(verdict.role),
        "complete": verdict.complete,
        **{str(question): str(verdict.answers.get(question, "")) for question in Question},
        "codes": list(verdict.codes),
        "comment": verdict.comment,
        "at": datetime.fromtimestamp(verdict.at, UTC).isoformat(timespec="seconds"),
        "shown": verdict.shown,
    }


_COLUMNS = (
    *("bench", "id", "person", "role", "complete", *map(str, Question)),
    *("codes", "comment", "at", "shown"),
)


def _write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with (
        whole_file(out) as part,
        open(part, "w", encoding="utf-8", errors="surrogatepass", newline="") as file,
    ):
        if out.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
            return
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for row in rows:
            cells = {**row, "codes": " ".join(row["codes"])}
            writer.writerow({name: _inert(cell) for name, cell in cells.items()})


def _inert(cell: Any) -> Any:
    """Keep a spreadsheet from running what a person or a data set wrote: it shows the text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _write_list(path: Path, bench: str, decisions: Iterable[Decision], fate: Fate) -> int:
    rows = [(bench, d.pair, f"{d.against:.4f}", d.why) for d in decisions if d.fate is fate]
    with (
        whole_file(path) as part,
        open(part, "w", encoding="utf-8", errors="surrogatepass", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(LIST_COLUMNS)
        writer.writerows(rows)
    return len(rows)
