"""Files of replies, in the forms in which other programs write them, to rows of one form.

Where the forms come from: VLMEvalKit writes its questions with `index` and `prediction` beside
them (`vlmeval/inference.py`); lmms-eval one sample a line with `doc_id`, `input`, `target`,
`filtered_resps` and, where filters changed them, `resps` (`loggers/evaluation_tracker.py`); the
authors of VLSBench `{"stats": …, "logs": [{"id", "question", "pred_answer", …}]}` (their
`eval.py`); DeepSafe `predictions.jsonl` and `{"config", "metrics", "details": [{"id", "prompt",
"prediction", …}]}` (`runners/local_runner.py`); Inspect its logs (`inspect_ai.log`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vlsbench.errors import BadRow, MissingExtra, VlsbenchError
from vlsbench.evaluation._rows import PAIRS
from vlsbench.evaluation._summary import LOG, SUMMARY, read_summary
from vlsbench.files import unreadable
from vlsbench.judge import Unscored
from vlsbench.models import CallFailed, Reply, read_finish, read_inspect_output, split_thoughts
from vlsbench.pairs import RowError, read_table
from vlsbench.registry import guarded
from vlsbench.schemas import convert
from vlsbench.text import first_line, storable

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
FAILED = ("Failed to obtain answer via API.",)
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
    sample: int | None = None
    """Which of the pair's replies it is, as the file counts them."""


def file_of(path: Path) -> Path:
    """Return the file that holds the replies: that of a run, where the path is a run's folder."""
    if path.is_dir() and not (path / PAIRS).is_file():
        raise VlsbenchError(f"{path} is no finished run (no {PAIRS}): name the file of replies")
    return path / PAIRS if path.is_dir() else path


def read_replies(path: Path, given: Mapping[str, str]) -> Iterator[SavedReply | BadRow]:
    """Read a file of replies, or those of a run.

    Args:
        path: JSONL, JSON, CSV, TSV, Parquet or Excel with a reply a row; an Inspect log; the
            folder of a run.
        given: Field of a reply → column, where the names in `COLUMNS` do not fit.

    Raises:
        VlsbenchError: The file cannot be read.
        MissingExtra: What reads it is not installed.
    """
    model = read_summary(path / SUMMARY).model if (path / SUMMARY).is_file() else ""
    if path.suffix == LOG:
        yield from _log(path)
        return
    file = file_of(path)
    # Finding the columns costs more than reading a row; most files have one kind of row.
    columns = lru_cache(maxsize=64)(partial(_columns, given))
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
    number, missing = cells.get("sample"), cells.get("missing") == Unscored.REPLY_MISSING
    for text in _texts(cells["reply"]):
        said = split_thoughts(storable(text))
        thoughts = [storable(cells.get("reasoning") or ""), said.reasoning]
        reasoning = "\n".join(filter(None, thoughts))
        reply = Reply(said.text, finish, reasoning, attempts=0, detail=detail)
        yield SavedReply(
            row,
            id,
            place,
            f"none in the file: {text}" if missing or text in FAILED else reply,
            str(cells.get("model") or model),
            None if missing else _asked(cells.get("asked")),
            int(number) if isinstance(number, int | str) and str(number).isdigit() else None,
        )


def _id(fields: Mapping[str, Any], column: str) -> tuple[str, int | None]:
    """Return what names a row's pair, and the place that a counting column gives it."""
    value = fields[column]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas writes whole numbers with gaps as 1.0
    if value is None or isinstance(value, bool) or not str(value).strip():
        raise RowError(f"{column!r} is empty")
    if column == "doc_id":
        # lmms-eval counts; the target of our own task, or an older sample's `doc`, has the id.
        doc = fields.get("doc")
        value = (doc.get("id") if isinstance(doc, dict) else fields.get("target")) or value
    counted = next((fields[name] for name in PLACES if name in fields), None)
    place = str(counted) if isinstance(counted, int | str) else ""
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
            asked = sample.input if isinstance(sample.input, str) else _last_text(sample.input)
            id, epoch = str(sample.id), sample.epoch
            yield SavedReply(f"{id}, epoch {epoch}", id, None, _logged(sample), model, asked, epoch)


def _last_text(messages: list[Any]) -> str | None:
    return next((message.text for message in reversed(messages) if message.role == "user"), None)


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
