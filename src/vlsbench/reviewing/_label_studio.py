"""Reviews in Label Studio: its tasks from our pairs, our verdicts from its export.

Source of the format: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import whole_file
from vlsbench.pairs import Pair
from vlsbench.reviewing._questions import CODES, MAX_COMMENT, STEPS, Answer, Question, Said, asked
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._store import Row
from vlsbench.reviewing._verdicts import Role
from vlsbench.schemas import SchemaError, convert, read_json
from vlsbench.text import storable

CONFIG = "label-studio.xml"
"""The labelling interface, beside the tasks."""
CODES_TAG, COMMENT_TAG = "codes", "comment"


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in from an export of Label Studio."""

    verdicts: int
    """New, or changed since the last import."""
    known: int
    """The same as what is on record."""
    skipped: int
    """Cancelled by the annotator."""


def labelling_config() -> str:
    """Return the labelling interface that goes with the tasks, as XML for Label Studio."""
    loader = PackageLoader("vlsbench.reviewing")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.get_template(CONFIG)
    return template.render(answers=list(Answer), codes=CODES) + "\n"


def export_tasks(review: Review, out: Path) -> Path:
    """Write a review's pairs as tasks for Label Studio, images within, and its interface beside.

    Args:
        review: The review.
        out: File to write.

    Returns:
        The path of the labelling interface.

    Raises:
        VlsbenchError: An image cannot be read, a pair has several, or the disk cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as part, open(part, "w", encoding="utf-8") as file:
            # One task at a time: the images of a large set need not fit the memory.
            for number, pair in enumerate(review.pairs):
                file.write("[\n" if number == 0 else ",\n")
                file.write(json.dumps({"data": _data(review, pair)}))
            file.write("\n]\n")
        config = out.with_name(CONFIG)
        with whole_file(config) as part:
            part.write_text(labelling_config(), "utf-8", newline="\n")
    except OSError as error:
        raise VlsbenchError(f"cannot write {out}: {error.strerror}") from None
    return config


def _data(review: Review, pair: Pair) -> dict[str, str]:
    if len(pair.images) > 1:
        raise VlsbenchError(f"{pair.id} has {len(pair.images)} images: a task shows one")
    image = pair.images[0].read()
    return {
        "id": pair.id,
        "shown": review.shown(pair.id) or "",
        "query": pair.query,
        "category": " / ".join(part for part in (pair.category, pair.subcategory) if part) or "–",
        "image": f"data:{image.portable.mime};base64,{image.portable.base64.decode()}",
    }


def import_tasks(review: Review, path: Path) -> Imported:
    """Take over the annotations of an export of Label Studio (its format "JSON").

    People are known by their numbers there. An annotation that was imported before is not taken
    again; one that was changed since counts in place of the old one, which stays on record.

    Raises:
        BadRows: Some annotations cannot be used; lists every one, and nothing is imported.
        VlsbenchError: The file is no such export, or the record cannot be written.
    """
    tasks = read_json(path, list[Any])
    found, skipped = read_tasks(tasks, review, path.name)
    standing = {(v.person, v.pair): v for v in review.current()[0]}
    rows: list[Row] = []
    known = 0
    for one in found:
        there = standing.get((one.person, one.pair.id))
        same = there and (there.answers, there.codes, there.comment, there.complete) == (
            *(one.said.answers, one.said.codes, one.said.comment),
            True,
        )
        known += bool(same)
        rows += [] if same else one.rows()
    review.join({one.person: Role.REVIEWER for one in found})
    review.add(rows)
    return Imported(len(found) - known, known, skipped)


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
class _Value:
    choices: tuple[str, ...] | str = ()
    text: tuple[str, ...] | str = ()


@dataclass(frozen=True, slots=True)
class _Result:
    """One control of the interface."""

    value: _Value
    from_name: str = ""


@dataclass(frozen=True, slots=True)
class _Account:
    id: int


@dataclass(frozen=True, slots=True)
class _Given:
    """An annotation as the export holds it."""

    result: list[_Result]
    completed_by: int | _Account
    updated_at: datetime | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Data:
    id: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Task:
    data: _Data
    annotations: list[Any] = field(default_factory=list)


def read_tasks(tasks: Any, review: Review, file: str) -> tuple[list[Annotation], int]:
    """Read the tasks of an export.

    Args:
        tasks: The parsed JSON.
        review: What they should be tasks of.
        file: Name of the file, for errors.

    Returns:
        The annotations, the latest of each person and pair, and how many were cancelled.

    Raises:
        BadRows: Some cannot be used; lists every one.
        VlsbenchError: It is no list of tasks.
    """
    if not isinstance(tasks, list):
        raise VlsbenchError(f"{file}: no list of tasks; export it from Label Studio as JSON")
    pairs = {pair.id: pair for pair in review.pairs}
    found: dict[tuple[str, str], Annotation] = {}
    bad: list[BadRow] = []
    skipped = 0
    for number, task in enumerate(tasks, start=1):
        try:
            pair, given = _task(task, pairs, review)
        except VlsbenchError as error:
            bad.append(BadRow(file, f"task {number}", str(error)))
            continue
        for place, annotation in enumerate(given.annotations, start=1):
            if isinstance(annotation, dict) and annotation.get("was_cancelled") is True:
                skipped += 1
                continue
            try:
                one = _annotation(annotation, pair, given.data.shown)
            except VlsbenchError as error:
                bad.append(BadRow(file, f"task {number}, annotation {place}", str(error)))
                continue
            before = found.get((one.person, pair.id))
            if before is None or before.at <= one.at:
                found[one.person, pair.id] = one
    if bad:
        raise BadRows(file, bad)
    return list(found.values()), skipped


def _task(task: Any, pairs: Mapping[str, Pair], review: Review) -> tuple[Pair, _Task]:
    try:
        found = convert(task, _Task, "", foreign=True)
    except SchemaError as error:
        raise VlsbenchError(f"{error}; export it from Label Studio as JSON, not JSON-MIN") from None
    if (pair := pairs.get(found.data.id)) is None:
        raise VlsbenchError(f"no pair {found.data.id[:60]!r} in this review")
    if found.data.shown != review.shown(pair.id):
        raise VlsbenchError(f"pair {pair.id} has changed since the task was exported")
    return pair, found


def _annotation(value: Any, pair: Pair, shown: str) -> Annotation:
    given = convert(value, _Given, "", foreign=True)
    answers: dict[Question, Answer] = {}
    codes: tuple[str, ...] = ()
    comment = ""
    for item in given.result:
        chosen = _texts(item.value.choices)
        if item.from_name == CODES_TAG:
            if not set(chosen) <= set(CODES):
                raise VlsbenchError(f"codes: {', '.join(chosen)[:80]} are not all reason codes")
            codes = tuple(code for code in CODES if code in chosen)
        elif item.from_name == COMMENT_TAG:
            comment = "\n".join(_texts(item.value.text))[:MAX_COMMENT]
        elif item.from_name in list(Question):
            if len(chosen) != 1 or chosen[0] not in list(Answer):
                raise VlsbenchError(f"{item.from_name}: expected one of {', '.join(Answer)}")
            answers[Question(item.from_name)] = Answer(chosen[0])
    wanted = {question for step in STEPS for question in asked(pair, step)}
    if missing := sorted(wanted - set(answers)):
        raise VlsbenchError(f"no answer to {', '.join(missing)}")
    # By number only: names and addresses of accounts are nobody's business here.
    by = given.completed_by
    number = by.id if isinstance(by, _Account) else by
    when = given.updated_at or given.created_at
    if not 0 <= number < 10**12 or when is None:
        raise VlsbenchError("completed_by and updated_at: expected the annotator's number and time")
    kept = {question: answers[question] for question in Question if question in wanted}
    said = Said(kept, codes, comment)
    at = when.replace(tzinfo=when.tzinfo or UTC).timestamp()
    return Annotation(f"label-studio-{number}", pair, shown, said, at)


def _texts(value: Sequence[str]) -> list[str]:
    values = [value] if isinstance(value, str) else value
    return [storable(text) for text in values]
