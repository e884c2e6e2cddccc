"""Labels out and in: a CSV file, tasks of Label Studio, and what comes back of both.

Label Studio's formats: https://labelstud.io/guide/task_format, https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vlsbench.calibrating._record import MODEL, CalibratedRun, Given, listed
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import read_ended_run
from vlsbench.files import whole_file, write_csv, write_text
from vlsbench.pairs import Image, ImageError, RowError, load, read_table
from vlsbench.schemas import convert
from vlsbench.text import counted, csv_value, file_name, storable

LABELS, TASKS, CONFIG, RUBRIC = "labels.csv", "tasks.json", "label-studio.xml", "rubric.md"
COLUMNS = ("id", "query", "image", "reply", "choices", "label", "annotator", "role", "kind")
_NO_LETTERS = re.compile(r"[^A-Za-z0-9]+")
CELL = 30_000
"""Characters that any spreadsheet keeps of a cell."""
TELLING = 8
"""Letters and digits from which on a reply is told from another."""
_HEAD = """\
Read query, image and reply; write one of the row's choices under `label`, and your name under
`annotator`. Do not look at the judge's labels."""
_INTERFACE = """\
<View>
  <Image name="image" value="$image"/>
  <Header value="Query"/>
  <Text name="query" value="$query"/>
  <Header value="Reply"/>
  <Text name="reply" value="$reply"/>
  <Choices name="label" toName="reply" value="$choices" choice="single" required="true"/>
</View>
"""


def write_tasks(
    run: CalibratedRun, ids: Sequence[str], out: Path, sets: Sequence[str], data: Path | None
) -> tuple[Path, int]:
    """Write replies to label, with their images and the rubric; nothing tells the judge's labels.

    `out` gets labels.csv, tasks.json, label-studio.xml, rubric.md and images/; `sets` hold the
    images. Returns the CSV file, and how many images could not be written.

    Raises:
        VlsbenchError: The CSV file holds labels that are not on record, or the disk is full.
    """
    path = out / LABELS
    if path.is_file():
        known = {(one.id, one.label) for one in run.given()}
        fresh = sum((one.id, one.label) not in known for _, one, _ in read_labels(path))
        if fresh:
            raise VlsbenchError(
                f"{path} holds {counted(fresh, 'label')} not on record: take them in first "
                f"with `vlsbench calibrate {run.folder} --labels {path}`"
            )
    images = reply_images(run, ids, sets, data)
    rows, tasks = [], []
    missing = 0
    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
        for number, id in enumerate(ids, start=1):
            reply = run.replies[id]
            name, shown = "", ""
            try:
                image = images[id].read()
                shown = f"data:{image.portable.mime};base64,{image.portable.base64.decode()}"
                name = f"images/{number:04}-{file_name(reply.image_refs[0], 'image')}"
                with whole_file(out / name) as part:
                    part.write_bytes(image.data)
            except (KeyError, ImageError):
                missing += bool(reply.image_refs)
            query, said, choices = storable(reply.query), storable(reply.reply), run.labels(id)
            rows.append([id, query, name, said, " / ".join(choices), "", "", "", ""])
            options = [{"value": choice} for choice in choices]
            told = {"id": id, "query": query, "reply": said, "image": shown, "choices": options}
            tasks.append({"data": told})
        write_csv(rows, path, COLUMNS)
        write_text(json.dumps(tasks, indent=1), out / TASKS)
        write_text(_INTERFACE, out / CONFIG)
        kinds = sorted({run.replies[id].harmful for id in ids}, reverse=True)
        rubrics = (rubric_of(run, harmful) for harmful in kinds)
        write_text("\n\n".join([_HEAD, *rubrics]) + "\n", out / RUBRIC)
    except OSError as error:
        raise VlsbenchError(f"cannot write into {out}: {error.strerror}") from None
    return path, missing


def rubric_of(run: CalibratedRun, harmful: bool) -> str:
    """Return the judge's definitions of the labels, for one kind of pairs."""
    parts = [run.rubric.text(harmful)]
    for name, rules in run.rubric.categories.items() if harmful else ():
        said = [rules.policy, *(f"{label}: {text}" for label, text in rules.definitions.items())]
        parts.append("\n".join([f"Of category {name}:", *filter(None, said)]))
    return "\n\n".join(parts)


def reply_images(
    run: CalibratedRun, ids: Iterable[str], sets: Sequence[str], data: Path | None
) -> dict[str, Image]:
    """Return the first image of each reply, as far as the run's sets still have it.

    Raises:
        VlsbenchError: A set that was named cannot be opened.
    """
    ended = read_ended_run(run.folder, run.summary)
    wanted: dict[str, list[str]] = {}
    for id in ids:
        if run.replies[id].image_refs:
            wanted.setdefault(run.replies[id].id, []).append(id)
    told = dict(run.summary.settings.get("set") or {"bench": run.summary.bench})
    if sets:
        told = {"bench": sets[0], "controls": sets[1:]}
    if data:
        told["data"] = data
    found: dict[str, Image] = {}
    try:
        for pair in load(**told, skip_bad=True):
            for id in wanted.get(pair.id, ()):
                reply = ended[run.replies[id].key]
                if reply.image_refs == tuple(image.ref for image in pair.images):
                    with suppress(ImageError):
                        digests = pair.images[0].read().sha256, *reply.image_sha256[:1]
                        found |= {id: pair.images[0]} if digests[0] == digests[-1] else {}
    except VlsbenchError:
        if sets or data:
            raise
    return found


def take_labels(run: CalibratedRun, files: Iterable[Path]) -> tuple[int, int]:
    """Add the labels of files to the run's record; return how many are new, and how many known.

    The files are tables like labels.csv (CSV, Excel, JSON, …), or exports of Label Studio.

    Raises:
        VlsbenchError: A file cannot be read, or rows are wrong; lists every one, and nothing of any
            file is added.
    """
    standing = {(one.annotator, one.id, one.adjudicates): one for one in run.given()}
    drawn = set(run.drawn)
    bad: list[str] = []
    new: list[Given] = []
    known = 0
    for path in files:
        for number, given, told in read_labels(path):
            place = (given.annotator, given.id, given.adjudicates)
            before = standing.get(place)
            if why := _fault(given, run, drawn, before, told):
                bad.append(f"{path.name}, row {number}: {why}")
            elif before is None or before.by_model is not given.by_model:
                standing[place] = given
                new.append(replace(given, reply_sha256=run.replies[given.id].sha256))
            else:
                known += 1
    if bad:
        raise listed(f"{counted(len(bad), 'row')} cannot be taken, so none were:", bad)
    run.add(labels=new)
    return len(new), known


def _fault(
    given: Given, run: CalibratedRun, drawn: set[str], before: Given | None, told: str
) -> str:
    """Say why a label cannot be taken, with what its annotator said before; empty if it can.

    `told` is the reply that was labelled, as the file has it.
    """
    id, label = given.id, given.label
    if id not in run.replies:
        return f"no scored reply {id[:60]!r} in this run"
    if id not in drawn:
        return f"{id} was not drawn: labels of replies that somebody chose correct nothing"
    # Spreadsheets cut long texts, change line breaks, and lose letters of other scripts.
    theirs, ours = (_NO_LETTERS.sub("", text) for text in (told, run.replies[id].reply))
    same = theirs == ours or (len(told) > CELL and ours.startswith(theirs))
    if not same and min(len(theirs), len(ours)) >= TELLING:
        return (
            f"the reply of {id} is another one in this run: these are labels of another run, or "
            "the file was not saved as UTF-8"
        )
    if label not in (labels := run.labels(id)):
        return f"label {label[:40]!r} of {id}: choose {', '.join(labels)}"
    if not given.annotator:
        return f"{id} has no annotator"
    if before and before.label != label:
        return (
            f"{given.annotator} labels {id} {label} here and {before.label} elsewhere: are these "
            "two people? To change a label add a row of role adjudicator"
        )
    return ""


def read_labels(path: Path) -> Iterator[tuple[str, Given, str]]:
    """Read the labels in a file, each with its row and, where it is told, the reply's text.

    Rows without a label are passed over.

    Raises:
        VlsbenchError: The file cannot be read or lacks columns; names the row.
    """
    for number, fields in read_table(path):
        where = f"{path}, row {number}"
        if isinstance(fields, RowError) or not isinstance(fields, Mapping):
            raise VlsbenchError(f"{where}: {fields}")
        for row in _labels_of_task(fields, where) if "annotations" in fields else (fields,):
            if missing := {"id", "label", "annotator"} - row.keys():
                raise VlsbenchError(
                    f"{path} lacks the column {', '.join(sorted(missing))} (has {', '.join(row)}): "
                    "fill in the labels.csv that `vlsbench calibrate RUN --sample N` writes"
                )
            id, label, by, role, kind = (
                csv_value(str(row.get(name) or "")).strip()
                for name in ("id", "label", "annotator", "role", "kind")
            )
            role, kind = role.lower(), kind.lower()
            if role not in ("", "annotator", "adjudicator") or kind not in ("", "person", "model"):
                raise VlsbenchError(
                    f"{where}: role is annotator or adjudicator, kind is person or model, not "
                    f"{role[:40]!r}, {kind[:40]!r}"
                )
            if label:
                model = kind == "model" or by.lower().startswith(MODEL)
                adjudicates = role == "adjudicator"
                given = Given(id, label.lower(), by, adjudicates, model)
                yield str(number), given, csv_value(str(row.get("reply") or ""))


@dataclass(frozen=True, slots=True)
class _Value:
    choices: tuple[str, ...] | str = ()
    text: tuple[str, ...] | str = ()


@dataclass(frozen=True, slots=True)
class _Result:
    value: _Value
    from_name: str = ""


@dataclass(frozen=True, slots=True)
class _Account:
    id: int


@dataclass(frozen=True, slots=True)
class LabelStudioAnnotation:
    """One person's annotation of one task, of Label Studio's export as JSON: what is read of it."""

    result: list[_Result]
    completed_by: int | _Account
    was_cancelled: bool = False
    updated_at: datetime | None = None
    created_at: datetime | None = None

    @property
    def number(self) -> int:
        """The annotator's: names and addresses of accounts are nobody's business here."""
        by = self.completed_by
        return by.id if isinstance(by, _Account) else by

    @property
    def person(self) -> str:
        """What the annotator is called here."""
        return f"label-studio-{self.number}"

    def said(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each control's name with what was chosen or written there."""
        for item in self.result:
            told = item.value.choices or item.value.text
            texts = [told] if isinstance(told, str) else told
            yield item.from_name, [storable(text) for text in texts]


@dataclass(frozen=True, slots=True)
class _Data:
    id: str
    reply: str = ""


@dataclass(frozen=True, slots=True)
class _Task:
    data: _Data
    annotations: list[LabelStudioAnnotation]


def _labels_of_task(fields: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the labels of one of Label Studio's tasks."""
    task = convert(fields, _Task, where, foreign=True)
    for one in task.annotations:
        if not one.was_cancelled:
            label = " / ".join(dict(one.said()).get("label", ()))
            said = {"id": task.data.id, "reply": task.data.reply}
            yield {**said, "annotator": one.person, "label": label}
