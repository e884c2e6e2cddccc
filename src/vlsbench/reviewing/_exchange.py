"""What leaves a review and comes into it: verdicts, lists of pairs, tasks of Label Studio.

Label Studio's format: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import PackageLoader

from vlsbench.calibrating import LabelStudioAnnotation
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import output_folder, whole_file, write_csv, write_text
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


def export(review: Review, out: Path) -> Exported:
    """Write all verdicts that count; beside them `keep.csv`, `drop.csv` and `undecided.csv`.

    Args:
        review: The review.
        out: File to write, `.csv`; one row for each person and pair.

    Raises:
        VlsbenchError: The file's ending is another, or it is one of the lists.
        OSError: A file cannot be written.
    """
    if out.suffix.lower() != ".csv" or out.name in LISTS:
        raise VlsbenchError(f"{out}: expected a name in .csv, none of {', '.join(LISTS)}")
    verdicts, stale = review.current()
    output_folder(out.parent)
    write_csv((_cells(review.bench, verdict) for verdict in verdicts), out, COLUMNS)
    decisions = review.decisions(verdicts)
    counts = {}
    for name, fate in LISTS.items():
        # The score is the share of reviewers against.
        listed = [
            (review.bench, one.pair, f"{one.against:.4f}", one.why)
            for one in decisions
            if one.fate is fate
        ]
        write_csv(listed, out.with_name(name), DROP_COLUMNS)
        counts[fate] = len(listed)
    return Exported(
        verdicts=out,
        keep=out.with_name(KEEP),
        drop=out.with_name(DROP),
        people=len({verdict.person for verdict in verdicts}),
        rows=len(verdicts),
        kept=counts[Fate.KEEP],
        dropped=counts[Fate.DROP],
        open=counts[Fate.OPEN],
        stale=stale,
    )


def _cells(bench: str, verdict: PersonVerdict) -> list[object]:
    answers = (verdict.answers.get(question, "") for question in Question)
    at = datetime.fromtimestamp(verdict.at, UTC).isoformat(timespec="seconds")
    whose = (bench, verdict.pair, verdict.person, verdict.role, verdict.complete)
    return [*whose, *answers, " ".join(verdict.codes), verdict.comment, at, verdict.shown]


def export_tasks(review: Review, out: Path) -> Path:
    """Write a review's pairs as tasks for Label Studio, images within.

    Returns:
        Its labelling interface, which is written beside.

    Raises:
        BadRows: No task can show some pairs; lists every one.
        OSError: A file cannot be written.
    """
    bad: list[BadRow] = []
    output_folder(out.parent)
    with whole_file(out) as part, open(part, "w", encoding="utf-8") as file:
        # One task at a time: the images of a large set need not fit the memory.
        for number, pair in enumerate(review.pairs):
            try:
                task = json.dumps({"data": _task(pair, review.shown(pair.id))})
            except ImageError as error:
                bad.append(BadRow(review.bench, pair.id, str(error)))
            else:
                file.write(f"{',' if number else '['}\n{task}")
        if bad:
            raise BadRows(review.bench, bad, way="leave them out of the set, or mend them")
        file.write("\n]\n")
    config = out.with_name(CONFIG)
    template = html_templates(PackageLoader("vlsbench.reviewing")).get_template(CONFIG)
    write_text(template.render(answers=list(Answer), codes=CODES) + "\n", config)
    return config


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


def import_tasks(review: Review, path: Path) -> int:
    """Take over the annotations of an export of Label Studio (its format "JSON").

    People are known by their numbers there. An annotation that was imported before is not taken
    again; one that was changed since counts in place of the old one, which stays on record.

    Returns:
        How many verdicts are new, or changed since the last import.

    Raises:
        BadRows: Some annotations cannot be used; lists every one, and nothing is imported.
        VlsbenchError: The file is no such export, or the record cannot be written.
    """
    standing = {
        (v.person, v.pair): Said(v.answers, v.codes, v.comment)
        for v in review.current()[0]
        if v.complete
    }
    found = read_tasks(read_json(path, list[Any]), review, path.name)
    new = [one for one in found if standing.get((one.person, one.pair.id)) != one.said]
    review.join({one.person: Role.REVIEWER for one in found})
    review.add([row for one in new for row in one.rows()])
    return len(new)


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
            answers = {question: self.said.answers[question] for question in asked(self.pair, step)}
            said = Said(answers)
            if step is STEPS[-1]:
                said = Said(answers, self.said.codes, self.said.comment)
            id, role = self.pair.id, Role.REVIEWER
            yield Row(self.person, role, id, self.shown, step, said, at=self.at)


@dataclass(frozen=True, slots=True)
class _Data:
    id: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Task:
    data: _Data
    annotations: list[Any] = field(default_factory=list)


def read_tasks(tasks: Any, review: Review, file: str) -> list[Annotation]:
    """Read the parsed JSON of an export of a review's tasks; `file` names it in errors.

    Returns:
        The annotations that were not cancelled, the latest of each person and pair.

    Raises:
        BadRows: Some cannot be used; lists every one.
        VlsbenchError: It is no list of tasks.
    """
    pairs = {pair.id: pair for pair in review.pairs}
    found: list[Annotation] = []
    bad: list[BadRow] = []
    for number, value in enumerate(convert(tasks, list[Any], file), start=1):
        where = f"task {number}"
        try:
            task = convert(value, _Task, "", foreign=True)
        except SchemaError as error:
            why = f"{error}; export it from Label Studio as JSON, not JSON-MIN"
            bad.append(BadRow(file, where, why))
            continue
        id, shown = task.data.id, task.data.shown
        if id not in pairs or shown != review.shown(id):
            why = f"no pair {id[:60]!r} in this review, or it has changed since it was exported"
            bad.append(BadRow(file, where, why))
            continue
        for place, annotation in enumerate(task.annotations, start=1):
            try:
                given = convert(annotation, LabelStudioAnnotation, "", foreign=True)
                if not given.was_cancelled:
                    found.append(_annotation(given, pairs[id], shown))
            except VlsbenchError as error:
                bad.append(BadRow(file, f"{where}, annotation {place}", str(error)))
    if bad:
        raise BadRows(file, bad, way="nothing was imported; correct them and export again")
    found.sort(key=lambda one: one.at)
    return list({(one.person, one.pair.id): one for one in found}.values())


def _annotation(given: LabelStudioAnnotation, pair: Pair, shown: str) -> Annotation:
    chosen = dict(given.said())
    answers: dict[Question, Answer] = {}
    for question in (question for step in STEPS for question in asked(pair, step)):
        said = chosen.get(question, [])
        if len(said) != 1 or said[0] not in list(Answer):
            wrong = ", ".join(said)[:80]
            raise VlsbenchError(f"{question}: expected one of yes, no, unsure, not {wrong!r}")
        answers[question] = Answer(said[0])
    picked, comment = chosen.get("codes", []), "\n".join(chosen.get("comment", ()))
    if not {*picked} <= {*CODES}:
        raise VlsbenchError(f"codes: {', '.join(picked)[:80]} are not all reason codes")
    when = given.updated_at or given.created_at
    at = when.replace(tzinfo=when.tzinfo or UTC).timestamp() if when else 0.0
    codes = tuple(code for code in CODES if code in picked)
    return Annotation(given.person, pair, shown, Said(answers, codes, comment[:MAX_COMMENT]), at)
