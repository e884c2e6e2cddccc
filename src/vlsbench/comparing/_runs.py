"""Runs opened for comparison: what they are, and what became of each pair."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from vlsbench.engine import FILE
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import PAIRS, SUMMARY, Ended, Key, Summary, read_ended_run, read_run
from vlsbench.registry import is_simulated

Named = tuple[str, Path]
"""A path with the name of its row; empty where none was given."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run with a name for its row."""

    folder: Path
    name: str
    named: bool
    """Whether the user gave the name."""
    summary: Summary
    ended: dict[Key, Ended]
    """Pair and answer → what became of it."""

    @property
    def place(self) -> tuple[str, str]:
        """Benchmark and view: runs with the same ones are compared."""
        return self.summary.bench, self.summary.view

    @property
    def rubric(self) -> str:
        """The rubric of its judge, as a reader knows it."""
        rubric = self.summary.rubric
        return f"{rubric.name} ({rubric.digest[:8]})"

    @property
    def asked(self) -> str:
        """Its pairs, as a reader knows them: how many of which sets, and a digest."""
        identity = self.summary.identity
        sets = self.summary.settings.get("bench") or self.summary.bench
        limit = identity.get("limit")
        sample = f" --limit {limit}" if limit else ""
        return f"{sets}{sample} ({self.summary.pairs:,} pairs, digest {identity.get('data')})"

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


def runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder of some; the folder itself where it is a run or holds none."""
    if any((folder / file).is_file() for file in (SUMMARY, FILE)):
        return [folder]
    return [one.parent for one in sorted(folder.glob(f"*/{PAIRS}"))] or [folder]


def open_runs(given: Iterable[Named], *, allow_unfinished: bool) -> list[OpenRun]:
    """Open runs, those in a folder of some too, and give every one a name for its row.

    Runs without a name are called by their model; where two of one benchmark and view would
    share a name, by what tells them apart.

    Raises:
        VlsbenchError: A folder is not a run, is unfinished or given twice; or a name is ambiguous.
    """
    each = ((name, one) for name, folder in given for one in runs_in(folder))
    runs = [_open(name, folder, allow_unfinished=allow_unfinished) for name, folder in each]
    seen = Counter(run.folder.resolve() for run in runs)
    if twice := next((run.folder for run in runs if seen[run.folder.resolve()] > 1), None):
        raise VlsbenchError(f"{twice} is given twice; give every run once")
    for difference in ("judge {run.summary.judge}", "{run.folder.name}"):
        said = [difference.format(run=run) for run in runs]
        claims = Counter((run.name, run.place) for run in runs)
        alike = Counter((run.name, run.place, one) for run, one in zip(runs, said, strict=True))
        runs = [
            run
            if run.named or claims[run.name, run.place] == alike[run.name, run.place, one]
            else replace(run, name=f"{run.name} · {one}")
            for run, one in zip(runs, said, strict=True)
        ]
    claimed: dict[tuple[str, tuple[str, str]], OpenRun] = {}
    for run in runs:
        if (first := claimed.setdefault((run.name, run.place), run)) is not run:
            raise VlsbenchError(
                f"{first.folder} and {run.folder} are both named {run.name!r} and of "
                f"{' under view '.join(run.place)}; give them different names (NAME=PATH)"
            )
    return runs


def _open(name: str, folder: Path, *, allow_unfinished: bool) -> OpenRun:
    folder, summary = read_run(folder, allow_unfinished=allow_unfinished)
    ended = read_ended_run(folder, summary)
    return OpenRun(folder, name or summary.model, bool(name), summary, ended)
