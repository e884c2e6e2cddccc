"""What leaves a review and comes into it: verdicts, lists of pairs, tasks of Label Studio.

Label Studio's format: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
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
from vlsbench.reviewing._review import Review, Status
from vlsbench.reviewing._verdicts import (
    CODES,
    MAX_COMMENT,
    STEPS,
    Answer,
    Fate,
    PersonVerdict,
    Question,
    Role,
    Row,
    Said,
    asked,
)
from vlsbench.schemas import convert, read_json

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


def export(review: Review, out: Path) -> Status:
    """Write all verdicts that count; beside them `keep.csv`, `drop.csv` and `undecided.csv`.

    Args:
        review: The review.
        out: File to write, `.csv`; one row for each person and pair.

    Returns:
        What the review has come to, which is what the lists hold.

    Raises:
        VlsbenchError: The file's ending is another, or it is one of the lists.
        OSError: A file cannot be written.
    """
    if out.suffix.lower() != ".csv" or out.name in LISTS:
        raise VlsbenchError(f"{out}: expected a name in .csv, none of {', '.join(LISTS)}")
    verdicts, _ = review.current()
    output_folder(out.parent)
    write_csv((_cells(review.bench, verdict) for verdict in verdicts), out, COLUMNS)
    decisions = review.decisions(verdicts)
    for name, fate in LISTS.items():
        # The score is the share of reviewers against.
        listed = (
            (review.bench, one.pair, f"{one.against:.4f}", one.why)
            for one in decisions
            if one.fate is fate
        )
        write_csv(listed, out.with_name(name), DROP_COLUMNS)
    return review.status()


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
    standing = {(v.person, v.pair): v for v in review.current()[0] if v.complete}
    pairs = {pair.id: pair for pair in review.pairs}
    found = read_tasks(read_json(path, list[Any]), review, path.name)
    if not found:
        raise VlsbenchError(f"{path} holds no annotation: export the tasks once they are annotated")
    review.join({one.person: Role.REVIEWER for one in found})
    rows: list[Row] = []
    new = [one for one in found if not _same(one, standing.get((one.person, one.pair)))]
    for one in new:
        # As if it had been given here, one row a screen.
        for step in STEPS:
            answers = {question: one.answers[question] for question in asked(pairs[one.pair], step)}
            said = Said(answers)
            if step is STEPS[-1]:
                said = Said(answers, one.codes, one.comment)
            rows.append(Row(one.person, one.role, one.pair, one.shown, step, said, at=one.at))
    review.add(rows)
    return len(new)


def _same(one: PersonVerdict, other: PersonVerdict | None) -> bool:
    return other is not None and all(
        getattr(one, part) == getattr(other, part) for part in ("answers", "codes", "comment")
    )


@dataclass(frozen=True, slots=True)
class _Data:
    id: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Task:
    data: _Data
    annotations: list[Any] = field(default_factory=list)


def read_tasks(tasks: Any, review: Review, file: str) -> list[PersonVerdict]:
    """Read the parsed JSON of an export of a review's tasks; `file` names it in errors.

    Returns:
        The annotations that were not cancelled, the latest of each person and pair.

    Raises:
        BadRows: Some cannot be used; lists every one.
        VlsbenchError: It is no list of tasks.
    """
    pairs = {pair.id: pair for pair in review.pairs}
    found: list[PersonVerdict] = []
    bad: list[BadRow] = []
    for number, value in enumerate(convert(tasks, list[Any], file), start=1):
        where = f"task {number}"
        try:
            task = convert(value, _Task, "", foreign=True)
            id, shown = task.data.id, task.data.shown
            if id not in pairs:
                raise VlsbenchError(f"no pair {id[:60]!r} in this review")
            if shown != review.shown(id):
                raise VlsbenchError(f"pair {id} has changed since the task was exported")
            for place, annotation in enumerate(task.annotations, start=1):
                where = f"task {number}, annotation {place}"
                given = convert(annotation, LabelStudioAnnotation, "", foreign=True)
                if not given.was_cancelled:
                    found.append(_verdict(given, pairs[id], shown))
        except VlsbenchError as error:
            bad.append(BadRow(file, where, str(error)))
    if bad:
        way = "nothing was imported; correct them, and export from Label Studio as JSON again"
        raise BadRows(file, bad, way=way)
    found.sort(key=lambda one: one.at)
    return list({(one.person, one.pair): one for one in found}.values())


def _verdict(given: LabelStudioAnnotation, pair: Pair, shown: str) -> PersonVerdict:
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
    if not 0 <= given.number < 10**12 or when is None:
        raise VlsbenchError("completed_by and updated_at: expected the annotator's number and time")
    return PersonVerdict(
        person=given.person,
        role=Role.REVIEWER,
        pair=pair.id,
        shown=shown,
        answers=answers,
        codes=tuple(code for code in CODES if code in picked),
        comment=comment[:MAX_COMMENT],
        at=when.replace(tzinfo=when.tzinfo or UTC).timestamp(),
        complete=True,
    )
