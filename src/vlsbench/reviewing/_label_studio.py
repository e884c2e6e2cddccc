"""Reviews in Label Studio: its tasks from our pairs, our verdicts from its export.

Source of the format: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import whole_file
from vlsbench.pairs import Pair
from vlsbench.reviewing._questions import CODES, MAX_COMMENT, STEPS, Answer, Question, asked
from vlsbench.reviewing._review import Review, Said, row_of
from vlsbench.reviewing._store import Row
from vlsbench.reviewing._verdicts import Role

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
    try:
        tasks = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise VlsbenchError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VlsbenchError(f"{path}: not JSON ({error})") from None
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
            yield row_of(self.person, Role.REVIEWER, id, self.shown, step, said, self.at)


class _Unusable(Exception):
    """Why an annotation cannot be used."""


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
            pair, shown, annotations = _task(task, pairs, review)
        except _Unusable as error:
            bad.append(BadRow(file, f"task {number}", str(error)))
            continue
        for place, annotation in enumerate(annotations, start=1):
            try:
                if isinstance(annotation, dict) and annotation.get("was_cancelled") is True:
                    skipped += 1
                    continue
                one = _annotation(annotation, pair, shown)
            except _Unusable as error:
                bad.append(BadRow(file, f"task {number}, annotation {place}", str(error)))
                continue
            before = found.get((one.person, pair.id))
            if before is None or before.at <= one.at:
                found[one.person, pair.id] = one
    if bad:
        raise BadRows(file, bad)
    return list(found.values()), skipped


def _task(task: Any, pairs: Mapping[str, Pair], review: Review) -> tuple[Pair, str, Sequence[Any]]:
    if not isinstance(task, dict) or not isinstance(data := task.get("data"), dict):
        raise _Unusable("no task with data; export it from Label Studio as JSON, not JSON-MIN")
    id = data.get("id")
    if not isinstance(id, str) or (pair := pairs.get(id)) is None:
        raise _Unusable(f"no pair {str(id)[:60]!r} in this review")
    if data.get("shown") != review.shown(id):
        raise _Unusable(f"pair {id} has changed since the task was exported")
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        raise _Unusable("annotations is no list")
    return pair, str(data["shown"]), annotations


def _annotation(annotation: Any, pair: Pair, shown: str) -> Annotation:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
        raise _Unusable("no annotation with a result")
    answers: dict[Question, Answer] = {}
    codes: tuple[str, ...] = ()
    comment = ""
    for item in annotation["result"]:
        if not isinstance(item, dict) or not isinstance(value := item.get("value"), dict):
            raise _Unusable("a result without a value")
        name = item.get("from_name")
        if name == CODES_TAG:
            chosen = _texts(value.get("choices"), CODES_TAG)
            if not set(chosen) <= set(CODES):
                raise _Unusable(f"codes: {', '.join(chosen)[:80]} are not among the reason codes")
            codes = tuple(code for code in CODES if code in chosen)
        elif name == COMMENT_TAG:
            comment = "\n".join(_texts(value.get("text"), COMMENT_TAG))[:MAX_COMMENT]
        elif name in list(Question):
            answers[Question(name)] = _answer(value.get("choices"), str(name))
    wanted = {question for step in STEPS for question in asked(pair, step)}
    if missing := sorted(wanted - set(answers)):
        raise _Unusable(f"no answer to {', '.join(missing)}")
    kept = {question: answers[question] for question in Question if question in wanted}
    return Annotation(
        _person(annotation.get("completed_by")),
        pair,
        shown,
        Said(kept, codes, comment),
        _time(annotation.get("updated_at") or annotation.get("created_at")),
    )


def _texts(value: Any, name: str) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise _Unusable(f"{name}: expected a list of texts")
    return [text.encode("utf-8", "replace").decode() for text in values]


def _answer(value: Any, name: str) -> Answer:
    chosen = _texts(value, name)
    if len(chosen) != 1 or chosen[0] not in list(Answer):
        raise _Unusable(f"{name}: expected one of {', '.join(Answer)}")
    return Answer(chosen[0])


def _person(value: Any) -> str:
    # By number only: names and addresses of accounts are nobody's business here.
    number = value.get("id") if isinstance(value, dict) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 10**12:
        raise _Unusable("completed_by: expected the number of the annotator")
    return f"label-studio-{number}"


def _time(value: Any) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise _Unusable("updated_at: expected an ISO 8601 time") from None
