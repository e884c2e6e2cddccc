"""Runs opened for comparison: what they are, and what became of each pair."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.engine import FILE
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import (
    PAIRS,
    SUMMARY,
    Ended,
    Evaluation,
    Key,
    Summary,
    read_ended_run,
    read_run,
)
from vlsbench.pages import label
from vlsbench.registry import is_simulated

Named = tuple[str, Path]
"""A path with the name of its row; empty where none was given."""
Run = str | os.PathLike[str] | Evaluation
"""A run's folder, or what `vlsbench.evaluate` returned."""
DIFFERING = {
    "judge": "judge",
    "judge_partial": "judge",
    "system": "system prompt",
    "params": "sampling parameters",
    "samples": "samples",
    "shrink": "image size",
}
"""Part of a run's identity that should be equal where models are compared → what it is."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run with a name for its row."""

    folder: Path
    name: str
    summary: Summary
    ended: dict[Key, Ended]
    """Pair and answer → what became of it."""

    @property
    def place(self) -> tuple[str, str]:
        """Benchmark and view: runs with the same ones are compared."""
        return self.summary.bench, self.summary.view

    @property
    def simulated(self) -> bool:
        """Whether a lab model or a lab benchmark took part."""
        return self.summary.simulated or is_simulated(self.summary.bench)

    @property
    def marked(self) -> str:
        """Its name, with a sign where it is simulated."""
        return self.name + " †" * self.simulated

    def _told(self, part: str, value: Any) -> str:
        summary = self.summary
        if part in ("rubric", "protocol"):
            value = f"{summary.rubric.name} ({summary.rubric.digest[:8]})"
        elif part == "data":
            sets = summary.settings.get("bench") or summary.bench
            value = f"{sets} ({summary.pairs:,} pairs, digest {value})"
        return label(value, 120)

    def differing(self, other: OpenRun, parts: Mapping[str, str]) -> dict[str, str]:
        """Return what differs in another run, in words → how it does, part by part."""
        found: dict[str, list[str]] = {}
        for key, what in parts.items():
            mine, theirs = (
                value if isinstance(value, Mapping) else {key: value}
                for value in (run.summary.identity.get(key) for run in (self, other))
            )
            for part in sorted(mine.keys() | theirs.keys()):
                one, two = mine.get(part), theirs.get(part)
                if one != two:
                    said = f"{part}: {self._told(part, one)}, not {other._told(part, two)}"
                    found.setdefault(what, []).append(said)
        return {what: "; ".join(said) for what, said in found.items()}


def named_runs(runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]]) -> list[Named]:
    """Return the folders of runs with the names of their rows, empty where none was given.

    A text may be `NAME=PATH`; a path that exists is never split.
    """
    found: list[Named] = []
    for name, some in runs.items() if isinstance(runs, Mapping) else [("", [*runs])]:
        for run in [some] if isinstance(some, (str, os.PathLike, Evaluation)) else some:
            text = os.fspath(run.folder if isinstance(run, Evaluation) else run)
            own, equals, path = text.partition("=")
            if name or not equals or os.path.lexists(text):
                found.append((name, Path(text)))
            elif own.strip() and path:
                found.append((own.strip(), Path(path)))
            else:
                raise VlsbenchError(f"{text!r} must be PATH or NAME=PATH, as in 'T-SFT=runs/A'")
    return found


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs in a folder of some; the folder itself where it is a run or holds none."""
    if any((folder / file).is_file() for file in (SUMMARY, FILE)):
        return [folder]
    return [one.parent for one in sorted(folder.glob(f"*/{PAIRS}"))] or [folder]


def open_runs(given: Iterable[Named], *, stopped: bool = False) -> list[OpenRun]:
    """Open runs, those in a folder of some too, and give every one a name for its row.

    Runs without a name are called by their model; where two of one benchmark and view would
    share a name, by their folder too. A run that is given twice counts where it stands first.

    Raises:
        VlsbenchError: A folder is not a run, or is unfinished where those are not wanted; or two
            runs of one benchmark and view were given one name.
    """
    found: dict[Path, tuple[str, Path, Summary]] = {}
    for name, named in given:
        for one in _runs_in(named):
            folder, summary = read_run(one, allow_unfinished=stopped)
            found.setdefault(folder.resolve(), (name, folder, summary))
    if not found and not stopped:
        raise VlsbenchError("give at least one run's folder, as in `vlsbench compare runs/A`")
    alike = Counter((one.model, one.bench, one.view) for name, _, one in found.values() if not name)
    runs = []
    claimed: dict[tuple[str, str, str], Path] = {}
    for name, folder, summary in found.values():
        own = name or summary.model
        if not name and alike[own, summary.bench, summary.view] > 1:
            own = f"{own} · {folder.name}"
        first = claimed.setdefault((own, summary.bench, summary.view), folder)
        if first != folder:
            raise VlsbenchError(
                f"{first} and {folder} are both named {own!r} and of {summary.bench} under view "
                f"{summary.view}; give them different names (NAME=PATH)"
            )
        runs.append(OpenRun(folder, own, summary, read_ended_run(folder, summary)))
    return runs
