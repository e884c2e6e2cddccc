"""Replies made elsewhere, in the forms of other programs, held against a benchmark's pairs.

Where the forms come from: VLMEvalKit writes its questions with `index` and `prediction` beside
them (`vlmeval/inference.py`); lmms-eval one sample a line with `doc_id`, `input`, `target`,
`filtered_resps` and, where filters changed them, `resps` (`loggers/evaluation_tracker.py`); the
authors of VLSBench `{"stats": …, "logs": [{"id", "question", "pred_answer", …}]}` (their
`eval.py`); DeepSafe `predictions.jsonl` and `{"config", "metrics", "details": [{"id", "prompt",
"prediction", …}]}` (`runners/local_runner.py`); Inspect its logs (`inspect_ai.log`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from vlsbench.engine import find_run
from vlsbench.errors import BadRow, BadRows, MissingExtra, VlsbenchError
from vlsbench.evaluation._compare import images_of
from vlsbench.evaluation._rows import PAIRS, Key
from vlsbench.evaluation._settings import Presentation, Replies, Selection
from vlsbench.evaluation._summary import LOG, SUMMARY, read_summary
from vlsbench.files import file_sha256, unreadable
from vlsbench.judge import Unscored
from vlsbench.models import (
    CallFailed,
    RecordedReplies,
    Reply,
    read_finish,
    read_inspect_output,
    split_thoughts,
)
from vlsbench.pairs import READERS, ImageError, RowError, View, form_of, parse_columns, read_table
from vlsbench.registry import guarded
from vlsbench.schemas import convert
from vlsbench.text import counted, first_line, storable

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "pair_id", "instruction_id", "index", "doc_id"),
    "reply": (
        "reply", "prediction", "pred_answer", "response", "completion", "resps", "filtered_resps",
    ),
    "model": ("model", "model_name"),
    "asked": ("asked", "shown_text", "query", "question", "prompt", "instruction", "input"),
    "sample": ("sample", "epoch"),
    "reasoning": ("reasoning", "thinking"),
    "finish": ("finish", "finish_reason", "stop_reason"),
    "missing": ("unscored_reason",),
}  # fmt: skip
"""Field of a reply → columns that it is looked for in; the first that a row has is taken."""
PLACES = ("doc_id", "index")
"""Columns that may count pairs from 0 instead of naming them."""
FAILED = "Failed to obtain answer via API."
"""What VLMEvalKit writes in place of a reply that it did not get."""
METADATA = "vlsbench"
"""Key of what vlsbench says in the metadata of a log and of its scores."""
REFUSED = "vlsbench_refused"
"""Key of a sample's metadata: the reply that a provider's refusal of the request is."""


@dataclass(frozen=True, slots=True)
class SavedReply:
    """A reply as a file has it."""

    row: str
    """Where it stands in its file, as the user would look it up."""
    id: str
    """What names the pair: its id."""
    place: int | None
    """What may name it where the id does not: its place in the set, from 0."""
    reply: Reply | str
    """The reply, or why there is none."""
    model: str = ""
    asked: str | None = None
    """The text that was sent; None where the file does not say."""
    sample: int = 0
    """Which of the pair's replies it is, as the file counts them."""


def open_replies(given: Replies, selection: Selection, shown: Presentation) -> RecordedReplies:
    """Read replies and hold them against the pairs that they should answer.

    Args:
        given: The files, or folders of runs, and how to read them.
        selection: The pairs. Replies to pairs of the set that are not in the sample are left.
        shown: How many replies each pair has, and under which view they were made.

    Raises:
        BadRows: Rows name no pair of the set, were asked another text, or answer a pair that has
            its replies; lists every one.
        VlsbenchError: Pairs have no reply, or the file has those of several models.
    """
    columns = parse_columns(given.columns, COLUMNS, "--reply-columns")
    matched = _Matched(selection, shown)
    origin: dict[str, str] = {}
    for named in given.files:
        is_file = named.exists() or named.suffix == LOG or form_of(named) in READERS
        path = named if is_file else find_run(named)
        seen = images_of(file := _file_of(path))
        for row in _read(path, columns):
            matched.add(path.name, row, seen)
        origin[str(path) if path.name in origin else path.name] = file_sha256(file)
    return matched.recorded(given, origin)


class _Matched:
    """Replies by the pair that they answer, and what is wrong with the rest."""

    def __init__(self, selection: Selection, shown: Presentation) -> None:
        self._selection, self._shown = selection, shown
        self._queries = {pair.id: _plain(pair.query) for pair in selection.pairs}
        self._order, self._images = [*self._queries], {pair.id: pair.images for pair in selection}
        self._times = Counter(self._queries.values())
        self._bad: list[BadRow] = []
        self._rows: dict[str, list[tuple[str, SavedReply]]] = {}
        self._unknown = 0
        """Replies whose text is not told."""

    def add(self, file: str, row: SavedReply | BadRow, seen: Mapping[Key, Sequence[str]]) -> None:
        """Take one row of a file; of a run, the digests of its images are known."""
        if isinstance(row, BadRow):
            self._bad.append(row)
            return
        id = self._pair(row)
        if fault := self._fault(id, row, seen.get((row.id, row.sample), ())):
            self._bad.append(BadRow(file, row.row, fault))
        elif id is not None:
            self._unknown += row.asked is None
            self._rows.setdefault(id, []).append((file, row))

    def _pair(self, row: SavedReply) -> str | None:
        if row.id in self._queries:
            return row.id
        if row.place is None or not row.asked:
            return None
        # A place alone would pass anything off as a reply: a text of the pair's own confirms it.
        id = self._order[row.place] if row.place < len(self._order) else ""
        return id if id and self._times[self._queries[id]] == 1 else None

    def _fault(self, id: str | None, row: SavedReply, seen: Sequence[str]) -> str:
        if id is None:
            known = f"{self._selection.pairs.name} has no pair {row.id[:60]!r}; its first is"
            return f"{known} {self._order[0][:60]!r}"
        asked, wanted = row.asked and _plain(row.asked), self._queries[id]
        if asked is not None and self._shown.view is not View.IMAGE and wanted not in asked:
            return f"asked {_short(asked)}, and the pair asks {_short(wanted)}"
        images = self._images.get(id, ()) if seen else ()
        with suppress(ImageError):  # which is told of the pair where it is needed
            if images and [*seen] != [one.read().sha256 for one in images]:
                return "its run showed another image than the pair's (another SHA-256)"
        return ""

    def recorded(self, given: Replies, origin: Mapping[str, str]) -> RecordedReplies:
        """Return the replies, by record."""
        spec, samples = self._choose_model(given), self._shown.samples
        replies: dict[str, Reply] = {}
        missing: dict[str, str] = {}
        absent: list[str] = []
        for pair in self._selection:
            rows = sorted(self._rows.get(pair.id, ()), key=lambda row: row[1].sample)
            for file, row in rows[samples:]:
                said = f"pair {pair.id!r} has a reply already (row {rows[0][1].row}); "
                said += "--samples K judges K of each"
                self._bad.append(BadRow(file, row.row, said))
            for sample in range(samples):
                record = self._shown.record(pair.id, sample)
                if sample >= len(rows):
                    absent.append(record)
                    missing[record] = f"no reply in {', '.join(origin)}"
                elif isinstance(reply := rows[sample][1].reply, Reply):
                    replies[record] = reply
                else:
                    missing[record] = reply
        self._complain(given, ", ".join(origin), absent)
        files = ", ".join(f"{name} (SHA-256 {digest[:12]}…)" for name, digest in origin.items())
        notes = [
            f"Judged on {counted(len(replies), 'reply')} made elsewhere, from {files}: the model "
            "was not asked here, and only their source knows how it was asked."
        ]
        if absent:
            notes.append(f"{counted(len(absent), 'reply')} missing there; unscored.")
        if bad := self._bad:
            notes.append(f"{counted(len(bad), 'row')} there left out: {bad[0]}")
        if unknown := self._unknown:
            notes.append(
                f"{counted(unknown, 'reply')} without the text that was asked: matched by id alone."
            )
        return RecordedReplies(
            spec=spec or next(iter(origin)).partition(".")[0],
            replies=replies,
            missing=missing,
            origin=origin,
            notes=notes,
        )

    def _choose_model(self, given: Replies) -> str:
        """Keep the replies of one model, and return its name."""
        every = (row for rows in self._rows.values() for _, row in rows)
        models = Counter(row.model for row in every if row.model)
        if len(models) < 2:
            return given.model_name or next(iter(models), "")
        if given.model_name not in models:
            listed = ", ".join(f"{name} ({count:,})" for name, count in models.most_common())
            raise VlsbenchError(
                f"the replies are those of several models: {listed}; name one with --model-name"
            )
        self._rows = {
            id: [row for row in rows if row[1].model == given.model_name]
            for id, rows in self._rows.items()
        }
        return given.model_name

    def _complain(self, given: Replies, files: str, absent: list[str]) -> None:
        count = len(self._selection) * self._shown.samples
        some = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
        lacking = (
            f"no reply to {len(absent):,} of {count:,} {self._shown.what} of "
            f"{self._selection.pairs.name} ({some}); --partial-replies judges the others and "
            "counts these as unscored"
        )
        lacks = bool(absent) and not given.partial
        if self._bad and not self._selection.sample.skip_bad:
            rest = len(absent) < count
            hints = [f"{files}: {lacking}"] if lacks and rest else []
            way = "--skip-bad leaves them and says so"
            raise BadRows(files, self._bad, rest=rest, hints=hints, way=way)
        if lacks:
            raise VlsbenchError(f"{files}: {lacking}")
        if len(absent) == count:
            raise VlsbenchError(f"{files}: no reply to any of the {count:,} {self._shown.what}")


def _plain(text: str) -> str:
    return re.sub(r"(?:\s|<image>)+", " ", text).strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _file_of(path: Path) -> Path:
    """Return the file that holds the replies: that of a run, where the path is a run's folder."""
    if path.is_dir() and not (path / PAIRS).is_file():
        raise VlsbenchError(f"{path} is no finished run (no {PAIRS}): name the file of replies")
    return path / PAIRS if path.is_dir() else path


def _read(path: Path, given: Mapping[str, str]) -> Iterator[SavedReply | BadRow]:
    """Read a file of replies, an Inspect log, or the replies of a run, by its folder."""
    model = read_summary(path / SUMMARY).model if (path / SUMMARY).is_file() else ""
    if path.suffix == LOG:
        yield from _log(path)
        return
    file = _file_of(path)
    # Finding the columns costs more than reading a row; most files have one kind of row.
    columns = cache(partial(_columns, given))
    for label, fields in read_table(file):
        try:
            if isinstance(fields, RowError):
                raise fields
            if not isinstance(fields, dict):
                raise RowError("is no object")
            yield from _saved(label, fields, columns(tuple(fields)), model)
        except RowError as error:
            yield BadRow(file.name, label, str(error))


def _columns(given: Mapping[str, str], keys: tuple[str, ...]) -> dict[str, str]:
    known = {key.strip().lower(): key for key in reversed(keys)} | {key: key for key in keys}
    found = {}
    for name, usual in COLUMNS.items():
        wanted = (given[name],) if name in given else usual
        if column := next((known[one] for one in wanted if one in known), None):
            found[name] = column
        elif name in given or name in ("id", "reply"):
            raise RowError(
                f"no column {' or '.join(wanted)}: name it with --reply-columns {name}=COLUMN "
                f"(has {', '.join(keys)})"[:400]
            )
    return found


def _saved(
    row: str, fields: Mapping[str, Any], column: Mapping[str, str], model: str
) -> Iterator[SavedReply]:
    """Yield the replies of a row: several where its cell is a list."""
    cells = {name: fields[key] for name, key in column.items()}
    finish, detail = read_finish(cells.get("finish"))
    id, place = _id(fields, column["id"])
    number, missing = str(cells.get("sample")), cells.get("missing") == Unscored.REPLY_MISSING
    for text in _texts(cells["reply"]):
        said = split_thoughts(storable(text))
        thoughts = [storable(cells.get("reasoning") or ""), said.reasoning]
        reasoning = "\n".join(filter(None, thoughts))
        reply = Reply(said.text, finish, reasoning, attempts=0, detail=detail)
        yield SavedReply(
            row,
            id,
            place,
            f"none in the file: {text}" if missing or text == FAILED else reply,
            str(cells.get("model") or model),
            None if missing else _asked(cells.get("asked")),
            int(number) if number.isdecimal() else 0,
        )


def _id(fields: Mapping[str, Any], column: str) -> tuple[str, int | None]:
    """Return what names a row's pair, and the place that a counting column gives it."""
    value = fields[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas writes whole numbers with gaps as 1.0
    if value is None or isinstance(value, bool) or not str(value).strip():
        raise RowError(f"{column!r} is empty")
    if column == "doc_id":
        value = fields.get("target") or value  # which our own task for lmms-eval makes the id
    place = str(next((fields[name] for name in PLACES if name in fields), ""))
    return str(value), int(place) if place.isdecimal() else None


def _texts(cell: object) -> list[str]:
    if isinstance(cell, list) and cell:
        return [text for one in cell for text in _texts(one)]
    if cell is None or cell == []:
        return [""]  # how Excel and pandas keep an empty text
    if isinstance(cell, dict):
        raise RowError("the reply is an object, not text")
    return [str(cell)]


def _asked(cell: object) -> str | None:
    """Return the text of a question: text, parts of one, or messages, the last of a user."""
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, list):
        return None
    parts = [part for part in cell if isinstance(part, dict)]
    if spoken := [part for part in parts if part.get("role") == "user"]:
        return _asked(spoken[-1].get("content"))
    return "\n".join(str(part["text"]) for part in parts if "text" in part)


def log_header(path: Path) -> Any:
    """Return the header of an Inspect log, an `inspect_ai.log.EvalLog`.

    Raises:
        VlsbenchError: The file is not there, or is no log.
        MissingExtra: inspect_ai is not installed.
    """
    try:
        from inspect_ai.log import read_eval_log
    except ImportError:
        raise MissingExtra(f"{path}: reading an Inspect log", "inspect") from None
    if not path.is_file():
        raise VlsbenchError(unreadable(path, FileNotFoundError()))
    with guarded(f"{path}: no readable Inspect log", always=True):
        return read_eval_log(str(path), header_only=True)


def _log(path: Path) -> Iterator[SavedReply]:
    """Read a log of Inspect's; a sample that ended in an error has no reply."""
    model = log_header(path).eval.model
    from inspect_ai.log import read_eval_log_samples

    with guarded(f"{path}: no readable Inspect log", always=True):
        for sample in read_eval_log_samples(
            str(path), all_samples_required=False, resolve_attachments=True
        ):
            said = sample.input if not isinstance(sample.input, str) else []
            last = next((one.text for one in reversed(said) if one.role == "user"), None)
            asked = sample.input if isinstance(sample.input, str) else last
            id, epoch = str(sample.id), sample.epoch
            yield SavedReply(f"{id}, epoch {epoch}", id, None, _logged(sample), model, asked, epoch)


def read_sample(sample: Any) -> Reply:
    """Read the answer of a sample of Inspect's, or of its state: what it is that was refused, too.

    Raises:
        CallFailed: It holds none.
    """
    refused = sample.metadata.get(REFUSED)
    return convert(refused, Reply, REFUSED) if refused else read_inspect_output(sample.output)


def _logged(sample: Any) -> Reply | str:
    if sample.error:
        return f"Inspect's sample failed: {first_line(sample.error.message)}"
    scores = (score.metadata or {} for score in (sample.scores or {}).values())
    verdict = next((told[METADATA] for told in scores if METADATA in told), None)
    try:
        reply = read_sample(sample)
    except CallFailed as failed:
        return f"Inspect's sample has no answer: {failed.reason}"
    return replace(reply, extra={METADATA: verdict}) if verdict else reply
