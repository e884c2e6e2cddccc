"""What leaves a review and comes into it: verdicts, lists of pairs, tasks of Label Studio.

Label Studio's format: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import PackageLoader

from vlsbench.calibrating import LabelStudioAnnotation
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import output_folder, whole_file, write_csv, write_jsonl, write_text
from vlsbench.pages import html_templates
from vlsbench.pairs import DROP_COLUMNS, ImageError, Pair
from vlsbench.reviewing._decide import Fate
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._verdicts import (
    CODES,
    MAX_COMMENT,
    STEPS,
    Answer,
    PersonVerdict,
    Question,
    Role,
    Row,
    Said,
    asked,
)
from vlsbench.schemas import SchemaError, convert, read_json

KEEP, DROP, UNDECIDED = "keep.csv", "drop.csv", "undecided.csv"
LISTS = {KEEP: Fate.KEEP, DROP: Fate.DROP, UNDECIDED: Fate.OPEN}
"""Files in the format of `--leave-out`, and what becomes of the pairs in them."""
COLUMNS = (
    *("bench", "id", "person", "role", "complete", *map(str, Question)),
    *("codes", "comment", "at", "shown"),
)
"""Those of the verdicts, in order."""
CONFIG = "label-studio.xml"
"""Label Studio's labelling interface, beside the tasks."""


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
    """Write all verdicts that count; beside them `keep.csv`, `drop.csv` and `undecided.csv`.

    Args:
        review: The review.
        out: File to write, `.csv` or `.jsonl`; one row for each person and pair.
        anonymous: Number people rather than name them.

    Raises:
        VlsbenchError: The file's ending is neither.
        OSError: A file cannot be written.
    """
    if out.suffix.lower() not in (".csv", ".jsonl") or out.name in LISTS:
        lists = ", ".join(LISTS)
        raise VlsbenchError(f"{out}: expected a name in .csv or .jsonl, none of {lists}")
    verdicts, stale = review.current()
    names = {verdict.person: verdict.person for verdict in verdicts}
    if anonymous:
        for role in Role:
            people = sorted({verdict.person for verdict in verdicts if verdict.role is role})
            names |= {person: f"{role}-{n}" for n, person in enumerate(people, start=1)}
    rows = [_row(review.bench, names[verdict.person], verdict) for verdict in verdicts]
    decisions = review.decisions(verdicts)
    output_folder(out.parent)
    if out.suffix.lower() == ".jsonl":
        write_jsonl(rows, out)
    else:
        cells = ({**row, "codes": " ".join(row["codes"])}.values() for row in rows)
        write_csv(cells, out, COLUMNS)
    for name, fate in LISTS.items():
        # The score is the share of reviewers against.
        listed = (
            (review.bench, one.pair, f"{one.against:.4f}", one.why)
            for one in decisions
            if one.fate is fate
        )
        write_csv(listed, out.with_name(name), DROP_COLUMNS)
    fates = Counter(one.fate for one in decisions)
    return Exported(
        verdicts=out,
        keep=out.with_name(KEEP),
        drop=out.with_name(DROP),
        people=len(names),
        rows=len(rows),
        kept=fates[Fate.KEEP],
        dropped=fates[Fate.DROP],
        open=fates[Fate.OPEN],
        stale=stale,
    )


def _row(bench: str, person: str, verdict: PersonVerdict) -> dict[str, Any]:
    answers = (str(verdict.answers.get(question, "")) for question in Question)
    at = datetime.fromtimestamp(verdict.at, UTC).isoformat(timespec="seconds")
    values = (
        *(bench, verdict.pair, person, str(verdict.role), verdict.complete, *answers),
        *(list(verdict.codes), verdict.comment, at, verdict.shown),
    )
    return dict(zip(COLUMNS, values, strict=True))


def labelling_config() -> str:
    """Return the labelling interface that goes with the tasks, as XML for Label Studio."""
    template = html_templates(PackageLoader("vlsbench.reviewing")).get_template(CONFIG)
    return template.render(answers=list(Answer), codes=CODES) + "\n"


class Tasks(NamedTuple):
    """What was written for Label Studio."""

    config: Path
    """Its labelling interface."""
    written: int
    bad: tuple[BadRow, ...]
    """Pairs that no task can show."""


def export_tasks(review: Review, out: Path) -> Tasks:
    """Write a review's pairs as tasks, images within, and the labelling interface beside.

    Raises:
        BadRows: No task can show any of the pairs.
        OSError: A file cannot be written.
    """
    config = out.with_name(CONFIG)
    bad: list[BadRow] = []
    written = 0
    output_folder(out.parent)
    with whole_file(out) as part, open(part, "w", encoding="utf-8") as file:
        # One task at a time: the images of a large set need not fit the memory.
        for pair in review.pairs:
            try:
                task = json.dumps({"data": _task(pair, review.shown(pair.id))})
            except ImageError as error:
                bad.append(BadRow(review.bench, pair.id, str(error)))
                continue
            file.write(f"{',' if written else '['}\n{task}")
            written += 1
        if not written:
            raise BadRows(review.bench, bad, rest=False)
        file.write("\n]\n")
    write_text(labelling_config(), config)
    return Tasks(config, written, tuple(bad))


def _task(pair: Pair, shown: str | None) -> dict[str, str]:
    if len(pair.images) > 1:
        raise ImageError(f"{pair.id} has {len(pair.images)} images: a task shows one")
    image = pair.images[0].read().portable
    return {
        "id": pair.id,
        "shown": shown or "",
        "query": pair.query,
        "category": " / ".join(filter(None, (pair.category, pair.subcategory))) or "–",
        "image": f"data:{image.mime};base64,{image.base64.decode()}",
    }


@dataclass(frozen=True, slots=True)
class Imported:
    verdicts: int
    """New, or changed since the last import."""
    known: int
    """The same as what is on record."""
    skipped: int
    """Cancelled by the annotator."""


def import_tasks(review: Review, path: Path) -> Imported:
    """Take over the annotations of an export of Label Studio (its format "JSON").

    People are known by their numbers there. An annotation that was imported before is not taken
    again; one that was changed since counts in place of the old one, which stays on record.

    Raises:
        BadRows: Some annotations cannot be used; lists every one, and nothing is imported.
        VlsbenchError: The file is no such export, or the record cannot be written.
    """
    found, skipped = read_tasks(read_json(path, list[Any]), review, path.name)
    standing = {
        (v.person, v.pair): Said(v.answers, v.codes, v.comment)
        for v in review.current()[0]
        if v.complete
    }
    new = [one for one in found if standing.get((one.person, one.pair.id)) != one.said]
    review.join({one.person: Role.REVIEWER for one in found})
    review.add([row for one in new for row in one.rows()])
    return Imported(len(new), len(found) - len(new), skipped)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One person's verdict on one pair, as Label Studio has it."""

    person: str
    pair: Pair
    shown: str
    said: Said
    at: float

    def rows(self) -> Iterator[Row]:
        """Yield the rows that record it: one a screen, as if it had been given here."""
        for step in STEPS:
            last = step is STEPS[-1]
            said = Said(
                {question: self.said.answers[question] for question in asked(self.pair, step)},
                self.said.codes if last else (),
                self.said.comment if last else "",
            )
            id = self.pair.id
            yield Row(self.person, Role.REVIEWER, id, self.shown, step, said, at=self.at)


@dataclass(frozen=True, slots=True)
class _Data:
    id: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Task:
    data: _Data
    annotations: list[Any] = field(default_factory=list)


def read_tasks(tasks: Any, review: Review, file: str) -> tuple[list[Annotation], int]:
    """Read the parsed JSON of an export of a review's tasks; `file` names it in errors.

    Returns:
        The annotations, the latest of each person and pair, and how many were cancelled.

    Raises:
        BadRows: Some cannot be used; lists every one.
        VlsbenchError: It is no list of tasks.
    """
    pairs = {pair.id: pair for pair in review.pairs}
    found: dict[tuple[str, str], Annotation] = {}
    bad: list[BadRow] = []
    skipped = 0
    for number, value in enumerate(convert(tasks, list[Any], file), start=1):
        where = f"task {number}"
        try:
            task = convert(value, _Task, "", foreign=True)
        except SchemaError as error:
            why = f"{error}; export it from Label Studio as JSON, not JSON-MIN"
            bad.append(BadRow(file, where, why))
            continue
        if (pair := pairs.get(task.data.id)) is None:
            bad.append(BadRow(file, where, f"no pair {task.data.id[:60]!r} in this review"))
            continue
        if task.data.shown != review.shown(pair.id):
            why = f"pair {pair.id} has changed since the task was exported"
            bad.append(BadRow(file, where, why))
            continue
        for place, annotation in enumerate(task.annotations, start=1):
            try:
                given = convert(annotation, LabelStudioAnnotation, "", foreign=True)
                if given.was_cancelled:
                    skipped += 1
                    continue
                one = _annotation(given, pair, task.data.shown)
            except VlsbenchError as error:
                bad.append(BadRow(file, f"{where}, annotation {place}", str(error)))
                continue
            before = found.get((one.person, pair.id))
            if before is None or before.at <= one.at:
                found[one.person, pair.id] = one
    if bad:
        raise BadRows(file, bad, way="nothing was imported; correct them and export again")
    return list(found.values()), skipped


def _annotation(given: LabelStudioAnnotation, pair: Pair, shown: str) -> Annotation:
    chosen = dict(given.said())
    wanted = [question for step in STEPS for question in asked(pair, step)]
    if missing := sorted({*wanted} - chosen.keys()):
        raise VlsbenchError(f"no answer to {', '.join(missing)}")
    for question in wanted:
        if len(said := chosen[question]) != 1 or said[0] not in list(Answer):
            wrong = ", ".join(said)[:80]
            raise VlsbenchError(
                f"{question}: expected one of yes, no, unsure (can't tell), not {wrong!r}"
            )
    codes, comment = chosen.get("codes", []), "\n".join(chosen.get("comment", ()))
    if not {*codes} <= {*CODES}:
        raise VlsbenchError(f"codes: {', '.join(codes)[:80]} are not all reason codes")
    when = given.updated_at or given.created_at
    if not 0 <= given.number < 10**12 or when is None:
        raise VlsbenchError("completed_by and updated_at: expected the annotator's number and time")
    answers = {question: Answer(chosen[question][0]) for question in wanted}
    ordered = tuple(code for code in CODES if code in codes)
    at = when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    verdict = Said(answers, ordered, comment[:MAX_COMMENT])
    return Annotation(given.person, pair, shown, verdict, at)
