"""Replies made elsewhere, held against the pairs of a benchmark."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from vlsbench.engine import FILE, find_run
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.evaluation._compare import read_ended_run
from vlsbench.evaluation._reply_files import COLUMNS, SavedReply, file_of, read_replies
from vlsbench.evaluation._rows import PAIRS, Ended, Key
from vlsbench.evaluation._settings import Presentation, Replies, Selection
from vlsbench.evaluation._summary import LOG, SUMMARY, read_summary
from vlsbench.files import file_sha256
from vlsbench.models import RecordedReplies, Reply
from vlsbench.pairs import READERS, ImageError, View, form_of, parse_columns
from vlsbench.text import counted

SHOWN = 5
"""Ids that an error or a note names."""


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
        seen = _images_of(path)
        for row in read_replies(path, columns):
            matched.add(path.name, row, seen)
        origin[str(path) if path.name in origin else path.name] = file_sha256(file_of(path))
    return matched.recorded(given, origin)


class _Matched:
    """Replies by the pair that they answer, and what is wrong with the rest."""

    def __init__(self, selection: Selection, shown: Presentation) -> None:
        self._selection, self._shown = selection, shown
        self._queries = {pair.id: pair.query for pair in selection.pairs}
        self._images = {pair.id: pair.images for pair in selection}
        self._order = list(self._queries)
        self._times = Counter(map(_plain, self._queries.values()))
        controls = self._order[selection.pairs.parts[0] :]
        endings = Counter(map(_ending, controls))
        self._ends = {_ending(id): id for id in controls if endings[_ending(id)] == 1}
        """Controls as a file of their own calls them: without their set's name before it."""
        self._bad: list[BadRow] = []
        self._rows: dict[str, list[tuple[str, SavedReply]]] = {}
        self._longer = self._unknown = 0
        """Replies to more text than the pair's; those whose text is not told."""

    def add(self, file: str, row: SavedReply | BadRow, seen: Mapping[Key, Ended]) -> None:
        """Take one row of a file, which may be that of a run."""
        if isinstance(row, BadRow):
            self._bad.append(row)
            return
        id = self._pair(row)
        if id is None:
            first = f"its first is {self._order[0][:60]!r}"
            said = f"{self._selection.pairs.name} has no pair {row.id[:60]!r}; {first}"
            self._bad.append(BadRow(file, row.row, said))
        elif fault := self._asked(row, self._queries[id]) or self._saw(
            id, seen.get((row.id, row.sample or 0))
        ):
            self._bad.append(BadRow(file, row.row, fault))
        else:
            self._rows.setdefault(id, []).append((file, row))

    def _pair(self, row: SavedReply) -> str | None:
        if row.id in self._queries:
            return row.id
        if (ends := self._ends.get(row.id)) or row.place is None or not row.asked:
            return ends
        # A place alone would pass anything off as a reply: a text of the pair's own confirms it.
        id = self._order[row.place] if row.place < len(self._order) else ""
        return id if id and self._times[_plain(self._queries[id])] == 1 else None

    def _asked(self, row: SavedReply, query: str) -> str:
        """Say how the text that was asked is not the pair's; empty where it is."""
        if row.asked is None or self._shown.view is View.IMAGE:
            self._unknown += row.asked is None
            return ""
        asked, wanted = _plain(row.asked), _plain(query)
        if wanted not in asked:
            return f"asked {_short(asked)}, and the pair asks {_short(wanted)}"
        self._longer += self._shown.view is not View.CAPTION and asked != wanted
        return ""

    def _saw(self, id: str, row: Ended | None) -> str:
        """Say that a run's reply is about other images than the pair's, where both are known."""
        images = self._images.get(id, ()) if row and row.image_sha256 else ()
        with suppress(ImageError):  # which is told of the pair where it is needed
            if row and images and row.image_sha256 != tuple(one.read().sha256 for one in images):
                return "its run showed another image than the pair's (another SHA-256)"
        return ""

    def recorded(self, given: Replies, origin: Mapping[str, str]) -> RecordedReplies:
        """Return the replies, by record."""
        spec = self._choose_model(given)
        replies: dict[str, Reply] = {}
        missing: dict[str, str] = {}
        absent: list[str] = []
        for pair in self._selection:
            rows = sorted(self._rows.get(pair.id, ()), key=lambda row: row[1].sample or 0)
            self._too_many(pair.id, rows)
            for sample in range(self._shown.samples):
                record = self._shown.record(pair.id, sample)
                reply = rows[sample][1].reply if sample < len(rows) else None
                if reply is None:
                    absent.append(record)
                    missing[record] = f"no reply in {', '.join(origin)}"
                elif isinstance(reply, Reply):
                    replies[record] = reply
                else:
                    missing[record] = reply
        self._complain(given, origin, absent)
        return RecordedReplies(
            spec=spec or next(iter(origin)).partition(".")[0],
            replies=replies,
            missing=missing,
            origin=origin,
            notes=tuple(self._notes(origin, len(replies), len(absent))),
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

    def _too_many(self, id: str, rows: Sequence[tuple[str, SavedReply]]) -> None:
        first = rows[0][1].row if rows else ""
        for file, row in rows[self._shown.samples :]:
            said = f"pair {id!r} has a reply already (row {first}); --samples K judges K of each"
            self._bad.append(BadRow(file, row.row, said))

    def _complain(self, given: Replies, origin: Mapping[str, str], absent: Sequence[str]) -> None:
        files, count = ", ".join(origin), len(self._selection) * self._shown.samples
        some = ", ".join(absent[:SHOWN]) + (", …" if len(absent) > SHOWN else "")
        lacking = ""
        if absent and not given.partial:
            what = "pairs" if self._shown.samples == 1 else "answers"
            lacking = (
                f"{files}: no reply to {len(absent):,} of {count:,} {what} of "
                f"{self._selection.pairs.name} ({some}); --partial-replies judges the others and "
                "counts these as unscored"
            )
        if self._bad and not self._selection.sample.skip_bad:
            raise BadRows(
                files,
                self._bad,
                rest=len(absent) < count,
                hints=[lacking] if lacking and len(absent) < count else (),
                way="--skip-bad leaves them and says so",
            )
        if lacking or len(absent) == count:
            raise VlsbenchError(lacking or f"{files}: no reply to any of the {count:,} pairs")

    def _notes(self, origin: Mapping[str, str], found: int, absent: int) -> list[str]:
        files = ", ".join(f"{name} (SHA-256 {digest[:12]}…)" for name, digest in origin.items())
        told = (
            (True, f"Judged on {counted(found, 'reply')} made elsewhere, from {files}: the model "
             "was not asked here, and only their source knows how it was asked."),
            (absent, f"{counted(absent, 'reply')} missing there; unscored."),
            (self._bad, f"{counted(len(self._bad), 'row')} there left out: {_first(self._bad)}"),
            (self._unknown, f"{counted(self._unknown, 'reply')} without the text that was asked: "
             "matched by id alone."),
            (self._longer, f"{counted(self._longer, 'reply')} given to more text than the pair's "
             "query, which is what the judge is told."),
        )  # fmt: skip
        return [text for holds, text in told if holds]


def _images_of(path: Path) -> dict[Key, Ended]:
    """Return what tells the images of replies, where they are those of a run."""
    table = file_of(path)
    beside = [table.with_name(name) for name in (SUMMARY, FILE)]
    if table.name != PAIRS or not all(file.is_file() for file in beside):
        return {}
    return read_ended_run(table.parent, read_summary(beside[0]))


def _first(bad: Sequence[BadRow]) -> str:
    return str(bad[0]) if bad else ""


def _ending(id: str) -> str:
    return id.rpartition("/")[2]


def _plain(text: str) -> str:
    return re.sub(r"(?:\s|<image>)+", " ", text).strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
