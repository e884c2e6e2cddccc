"""Runs opened for comparison: what they are, and what became of each pair."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vlsbench.engine import FILE, Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import PAIRS, SUMMARY, Summary, read_summary
from vlsbench.judge import Label
from vlsbench.registry import is_simulated

UNFINISHED = (
    "{folder} is unfinished: {open} of {pairs} pairs are open; run its eval command again to "
    "finish it, or give --allow-unfinished to compare what is there"
)


Named = tuple[str, Path]
"""A path with the name of its row; empty where none was given."""


class Ended(NamedTuple):
    """What became of one pair."""

    label: Label
    harmful: bool
    category: str
    query: str
    cluster: str
    """Its images: what makes pairs depend on each other."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run with a name for its row."""

    folder: Path
    name: str
    named: bool
    """Whether the user gave the name."""
    summary: Summary
    ended: dict[str, Ended]
    """Pair id → what became of it."""

    @property
    def place(self) -> tuple[str, str]:
        """Benchmark and view: runs with the same ones are compared."""
        return self.summary.bench, self.summary.view

    @property
    def simulated(self) -> bool:
        """Whether a lab model or a lab benchmark took part."""
        return self.summary.simulated or is_simulated(self.summary.bench)


def split_name(text: str) -> Named:
    """Split `NAME=PATH`; a path that exists is never split."""
    name, equals, path = text.partition("=")
    if not equals or os.path.lexists(text):
        return "", Path(text)
    if not name.strip() or not path:
        raise VlsbenchError(f"{text!r} must be PATH or NAME=PATH, as in 'T-SFT=runs/A'")
    return name.strip(), Path(path)


def open_runs(given: Iterable[Named], *, allow_unfinished: bool) -> list[OpenRun]:
    """Open runs, and give every one a name for its row.

    Runs without a name are called by their model; where two of one benchmark and view would
    share a name, by what tells them apart.

    Raises:
        VlsbenchError: A folder is no run, is unfinished, is there twice, or a name is.
    """
    runs = [_open(name, folder, allow_unfinished=allow_unfinished) for name, folder in given]
    seen: dict[Path, OpenRun] = {}
    for run in runs:
        if run.folder.resolve() in seen:
            raise VlsbenchError(f"{run.folder} is given twice; give every run once")
        seen[run.folder.resolve()] = run
    return _told_apart(runs)


def _open(name: str, folder: Path, *, allow_unfinished: bool) -> OpenRun:
    if not (folder / SUMMARY).is_file():
        raise _no_summary(folder)
    try:
        summary = read_summary(folder / SUMMARY)
    except (TypeError, KeyError, AttributeError) as error:
        raise VlsbenchError(f"{folder / SUMMARY} is no summary of a run: {error}") from None
    if (summary.open or not summary.complete) and not allow_unfinished:
        raise VlsbenchError(
            UNFINISHED.format(folder=folder, open=f"{summary.open:,}", pairs=f"{summary.pairs:,}")
        )
    return OpenRun(folder, name or summary.model, bool(name), summary, _ended(folder))


def _no_summary(folder: Path) -> VlsbenchError:
    if not (folder / FILE).is_file():
        return VlsbenchError(
            f"{folder} holds no run (no {SUMMARY} in it); `vlsbench runs list FOLDER` shows runs"
        )
    with Ledger.read(folder) as ledger:
        pairs = int(ledger.meta("pairs") or 0)
        left = pairs - len(ledger.ended())
    return VlsbenchError(
        f"{folder} has no {SUMMARY} ({left:,} of {pairs:,} pairs are open): run its eval command "
        "again, which goes on where it was and writes it"
    )


def _ended(folder: Path) -> dict[str, Ended]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / PAIRS
    columns = ["id", "label", "harmful", "category", "query", "image_refs"]
    try:
        listed = pq.read_table(path, columns=columns).to_pylist()
        return {
            row["id"]: Ended(
                Label(row["label"]),
                bool(row["harmful"]),
                row["category"] or "(none)",
                row["query"],
                "|".join(row["image_refs"]) or row["id"],
            )
            for row in listed
        }
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise VlsbenchError(
            f"{path} cannot be read ({why}); run the run's eval command again to write it"
        ) from None


def _told_apart(runs: Sequence[OpenRun]) -> list[OpenRun]:
    told = _renamed(runs, [f"judge {run.summary.judge}" for run in runs])
    told = _renamed(told, [run.folder.name for run in runs])
    if clashes := _clashes(told):
        first, second = clashes[:2]
        raise VlsbenchError(
            f"{first.folder} and {second.folder} are both named {first.name!r} and of "
            f"{' under view '.join(first.place)}; give them different names (NAME=PATH)"
        )
    return told


def _renamed(runs: Sequence[OpenRun], differences: Sequence[str]) -> list[OpenRun]:
    """Add what tells them apart to the names of runs that would share a place in the table."""
    clashing = {run.name for run in _clashes(runs)}
    return [
        replace(run, name=f"{run.name} · {difference}")
        if run.name in clashing and not run.named
        else run
        for run, difference in zip(runs, differences, strict=True)
    ]


def _clashes(runs: Iterable[OpenRun]) -> list[OpenRun]:
    """Return the runs of the first row and place that more than one run claims."""
    places: dict[tuple[str, str, str], list[OpenRun]] = {}
    for run in runs:
        places.setdefault((run.name, *run.place), []).append(run)
    return [run for claimed in places.values() if len(claimed) > 1 for run in claimed]
