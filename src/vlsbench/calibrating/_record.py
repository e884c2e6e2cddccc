"""What was drawn and who said what: one line a step, added and never changed, beside the run.

A line is on disk when `add` returns. What a kill cut off has no newline and counts as unwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Ended, judge_digest, read_ended, read_run
from vlsbench.judge import Unscored, is_scored
from vlsbench.schemas import decode_json

RECORD = "calibration.jsonl"
SHOWN = 20
"""Rows that an error lists."""
MODEL = "model:"
"""How the name of an annotator that is a model begins."""


@dataclass(frozen=True, slots=True)
class Reply(Ended):
    """A reply that was judged; its label is the judge's."""

    reply: str = ""
    unscored_reason: str = ""
    judge_votes: tuple[str, ...] = ()

    @property
    def disputed(self) -> bool:
        """Whether judgements gave it different labels, or came to none; no vote is no label."""
        return self.divided or len({vote for vote in self.judge_votes if is_scored(vote)}) > 1

    @property
    def divided(self) -> bool:
        """Whether no label came of them: a tie, which people can decide."""
        return bool(self.judge_votes) and self.unscored_reason == Unscored.JUDGE_DIVIDED

    @property
    def sha256(self) -> str:
        """Digest of its text: a label is of one reply, and of no later one."""
        return hashlib.sha256(self.reply.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Given:
    """One person's label of one reply."""

    id: str
    label: str
    """Empty where it is taken back."""
    annotator: str
    adjudicates: bool = False
    """Whether it decides, whatever others said."""
    by_model: bool = False
    reply_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the record: replies that were drawn, or labels that were given."""

    at: str
    judge_sha256: str
    """Whose labels the strata of the draw are; see `judge_digest`."""
    drawn: tuple[str, ...] = ()
    labels: tuple[Given, ...] = ()


def listed(what: str, rows: Sequence[str]) -> VlsbenchError:
    """Return an error that lists rows."""
    more = [f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return VlsbenchError("\n  ".join([what, *rows[:SHOWN], *more]))


class CalibratedRun:
    """A finished run with the record of what people said of its replies."""

    def __init__(self, folder: Path | str, *, allow_model_labels: bool = False) -> None:
        """Open both; labels that models gave count only where that is allowed.

        Raises:
            VlsbenchError: It is no finished run, its judge scored no reply, or the record is of
                another judge or cannot be read.
        """
        self.folder, self.summary = read_run(folder)
        self._path, self._models = self.folder / RECORD, allow_model_labels
        self.judge = judge_digest(self.summary)
        self.rubric = self.summary.rubric
        several = self.summary.samples > 1
        self.replies = {
            f"{row.id}#{row.sample}" if several else row.id: row
            for row in read_ended(self.folder, Reply)
            if is_scored(row.label) or row.divided
        }
        """Id → reply, for all that the judge scored, and those over which its votes are divided."""
        if not self.replies:
            raise VlsbenchError(
                f"{self.folder}: the judge scored no reply, so there is none to check"
            )
        self.entries = list(self._read())

    def labels(self, id: str) -> tuple[str, ...]:
        """Return the labels that people can give a reply."""
        return self.rubric.labels(self.replies[id].harmful)

    def _read(self) -> Iterator[Entry]:
        try:
            whole = self._path.read_bytes().rpartition(b"\n")[0]
        except FileNotFoundError:
            return
        except OSError as error:
            raise VlsbenchError(f"cannot read {self._path}: {error.strerror}") from None
        for number, line in enumerate(whole.splitlines(), start=1):
            entry = decode_json(line, Entry, f"{self._path}, line {number}")
            if entry.judge_sha256 != self.judge:
                raise VlsbenchError(
                    f"{self._path} is stale: its replies were drawn by the labels of another judge "
                    f"than {self.summary.judge} as this run asked it (model, rubric, prompt or "
                    "parameters differ); move the file away and draw anew with --sample"
                )
            yield entry

    def add(self, *, drawn: Iterable[str] = (), labels: Iterable[Given] = ()) -> None:
        """Add a line, durably; one that adds nothing is not written.

        Raises:
            VlsbenchError: The disk does not let us, or another process is adding.
        """
        from filelock import FileLock, Timeout

        at = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(at, self.judge, tuple(drawn), tuple(labels))
        if not entry.drawn and not entry.labels:
            return
        line = json.dumps(asdict(entry)).encode() + b"\n"
        try:
            with (
                FileLock(self.folder / f".{RECORD}.lock", timeout=10),
                open(self._path, "ab+") as file,
            ):
                file.seek(0)
                whole = file.read().rpartition(b"\n")
                file.truncate(len(whole[0]) + len(whole[1]))
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, Timeout) as error:
            why = getattr(error, "strerror", None) or "another process is writing it"
            raise VlsbenchError(f"cannot write {self._path}: {why}") from None
        self.entries.append(entry)

    @property
    def drawn(self) -> list[str]:
        """Ids of all replies to label: those drawn, or all of them where none were."""
        ids = [id for entry in self.entries for id in entry.drawn]
        return [id for id in ids or self.replies if id in self.replies]

    @property
    def was_drawn(self) -> bool:
        """Whether a sample was drawn."""
        return any(entry.drawn for entry in self.entries)

    def counted(self) -> list[Given]:
        """Return those of the labels that count."""
        return [one for one in self.given() if self._models or not one.by_model]

    def given(self) -> list[Given]:
        """Return the labels that stand, of replies that are still as they were; the latest last."""
        known = {id: self.replies[id].sha256 for id in self.drawn}
        standing: dict[tuple[str, str, bool], Given] = {}
        for one in (one for entry in self.entries for one in entry.labels):
            place = (one.annotator, one.id, one.adjudicates)
            standing.pop(place, None)
            if one.label and known.get(one.id) == one.reply_sha256:
                standing[place] = one
        return list(standing.values())


@dataclass(frozen=True, slots=True)
class Settled:
    """What counts of all labels given."""

    labels: dict[str, str]
    """Id → the adjudicator's label, or that of more than half of the annotators."""
    disputed: tuple[str, ...]
    by_model: Collection[str]
    """Ids whose label a model gave, or helped to give."""


def settle(given: Iterable[Given]) -> Settled:
    """Decide each reply's label."""
    votes: dict[str, list[Given]] = {}
    for one in given:
        votes.setdefault(one.id, []).append(one)
    labels: dict[str, str] = {}
    for id, said in votes.items():
        last = [one.label for one in said if one.adjudicates][-1:]
        most, count = Counter(last or [one.label for one in said]).most_common(1)[0]
        if 2 * count > len(last or said):
            labels[id] = most
    by_model = {id for id in labels if any(one.by_model for one in votes[id])}
    return Settled(labels, tuple(id for id in votes if id not in labels), by_model)
