"""Labels out and in: a CSV file, tasks of Label Studio, and what comes back of both.

Label Studio's formats: https://labelstud.io/guide/task_format, https://labelstud.io/tags/choices
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlsbench.calibrating._label_studio import LabelStudioAnnotation
from vlsbench.calibrating._record import MODEL, CalibratedRun, Given, listed
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import read_ended_run
from vlsbench.files import whole_file, write_csv, write_text
from vlsbench.pairs import Image, ImageError, RowError, load, read_table
from vlsbench.schemas import convert
from vlsbench.text import counted, csv_value, file_name, storable

LABELS, TASKS, CONFIG, RUBRIC = "labels.csv", "tasks.json", "label-studio.xml", "rubric.md"
COLUMNS = ("id", "query", "image", "reply", "choices", "label", "annotator", "role", "kind")
ROLES = ("", "annotator", "adjudicator")
KINDS = ("", "person", "model")
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
        fresh = [row for _, row in read_labels(path) if (row.id, row.label) not in known]
        if fresh:
            raise VlsbenchError(
                f"{path} holds {counted(len(fresh), 'label')} not on record: take them in first "
                f"with `vlsbench calibrate {run.folder} --labels {path}`"
            )
    images = reply_images(run, ids, sets, data)
    missing = 0
    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
        rows, tasks = [], []
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
            said = {"query": storable(reply.query), "image": name, "reply": storable(reply.reply)}
            texts = {"id": id, **said}
            choices = run.labels(id)
            rows.append([*texts.values(), " / ".join(choices), "", "", "", ""])
            options = [{"value": choice} for choice in choices]
            tasks.append({"data": {**texts, "image": shown, "choices": options}})
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
    standing = {(one.annotator, one.id, one.adjudicates): one.label for one in run.given()}
    drawn = set(run.drawn)
    bad: list[str] = []
    new: list[Given] = []
    known, why = 0, ""
    for path in files:
        for where, given in read_labels(path):
            place = (given.annotator, given.id, given.adjudicates)
            reply = run.replies.get(given.id)
            if reply is None or (why := _fault(given, run, drawn)):
                why = why if reply else f"no scored reply {given.id[:60]!r} in this run"
                bad.append(f"{path.name}, {where}: {why}")
            elif place not in standing:
                standing[place] = given.label
                new.append(replace(given, reply_sha256=reply.sha256))
            elif standing[place] == given.label:
                known += 1
            else:
                bad.append(
                    f"{path.name}, {where}: {given.annotator} labels {given.id} {given.label} here "
                    f"and {standing[place]} elsewhere: are these two people? To change a label add "
                    "a row of role adjudicator"
                )
    if bad:
        raise listed(f"{counted(len(bad), 'row')} cannot be taken, so none were:", bad)
    run.add(labels=new)
    return len(new), known


def _fault(given: Given, run: CalibratedRun, drawn: set[str]) -> str:
    if given.id not in drawn:
        return f"{given.id} was not drawn: labels of replies that somebody chose correct nothing"
    if given.label not in (labels := run.labels(given.id)):
        return f"label {given.label[:40]!r} of {given.id}: choose {', '.join(labels)}"
    return "" if given.annotator else f"{given.id} has no annotator"


def read_labels(path: Path) -> Iterator[tuple[str, Given]]:
    """Read the labels in a file, each with where it stands; rows without a label are passed over.

    Raises:
        VlsbenchError: The file cannot be read or lacks columns; names the row.
    """
    for number, fields in read_table(path):
        if isinstance(fields, RowError):
            raise VlsbenchError(f"{path}, row {number}: {fields}")
        try:
            rows = list(_rows_of(fields, f"{path}, row {number}"))
        except (KeyError, TypeError):
            raise VlsbenchError(
                f"{path}, row {number}: expected an object with id, label and annotator, or a task "
                "of Label Studio's export (its format JSON)"
            ) from None
        for row in rows:
            if missing := {"id", "label", "annotator"} - row.keys():
                raise VlsbenchError(
                    f"{path} lacks the column {', '.join(sorted(missing))} (has {', '.join(row)}): "
                    "fill in the labels.csv that `vlsbench calibrate RUN --sample N` writes"
                )
            if given := _given(row, f"{path}, row {number}"):
                yield f"row {number}", given


def _given(row: Mapping[str, Any], where: str) -> Given | None:
    id, label, by, role, kind = (
        csv_value(str(row.get(name) or "")).strip()
        for name in ("id", "label", "annotator", "role", "kind")
    )
    role, kind = role.lower(), kind.lower()
    if not label:
        return None
    if role not in ROLES or kind not in KINDS:
        raise VlsbenchError(
            f"{where}: role is annotator or adjudicator, kind is person or model, not "
            f"{role[:40]!r}, {kind[:40]!r}"
        )
    model = kind == "model" or by.lower().startswith(MODEL)
    return Given(id, label.lower(), by, role == "adjudicator", model)


def _rows_of(task: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield an object that is a label, or the labels of one of Label Studio's tasks."""
    if "annotations" not in task:
        yield dict(task)
        return
    for value in task["annotations"]:
        one = convert(value, LabelStudioAnnotation, where, foreign=True)
        label = [text for name, chosen in one.said() if name == "label" for text in chosen]
        if not one.was_cancelled:
            told = {"id": task["data"]["id"], "annotator": one.person}
            yield {**told, "label": " / ".join(label)}
