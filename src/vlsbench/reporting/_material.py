"""What a report is made of: runs and audits, told apart by the files in their folders."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from vlsbench.auditing import CARD_JSON, Card, read_card
from vlsbench.building import BUILD_SCHEMA
from vlsbench.comparing import OpenRun, open_runs
from vlsbench.config import NONE, record, settings_of
from vlsbench.engine import FILE, Ledger, find_run, state_of
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import LOG, SUMMARY, EvalConfig, Summary, unfinished
from vlsbench.examining import CARD as JUDGE_CARD
from vlsbench.guarding import SCHEMA as GUARD_SCHEMA
from vlsbench.schemas import parse_json

Named = tuple[str, Path]
AGAIN = ("", "sample", "params", "judging", "images")
"""Groups of settings that decide what a run finds."""
HOLDS = (CARD_JSON, SUMMARY, FILE)
"""What an audit's folder has, a run's, and that of a run which was stopped before any result."""


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report shows."""

    runs: list[OpenRun]
    cards: Mapping[Path, Card]
    """By the folder of the audit."""
    waiting: list[str]
    """How far runs came that were stopped before they wrote any result."""

    @property
    def simulated(self) -> bool:
        """Whether any of it is."""
        made_up = [run.simulated for run in self.runs]
        return any([*made_up, *(card.simulated for card in self.cards.values())])


def gather(given: Iterable[Named]) -> Material:
    """Open everything that is given.

    Raises:
        VlsbenchError: A folder holds nothing to report, or a file is not what it should be.
    """
    found = list(_found(given))
    if not found:
        raise VlsbenchError("give at least one folder, as in `vlsbench report runs/A`")
    by_file = {file: [(n, at) for n, at, held in found if held == file] for file in HOLDS}
    logs = {at: said for _, at in by_file[SUMMARY] if at.suffix == LOG and (said := unfinished(at))}
    ended = [(name, at) for name, at in by_file[SUMMARY] if at not in logs]
    runs = open_runs(ended, allow_unfinished=True)
    cards = {at.resolve(): read_card(at / CARD_JSON) for _, at in by_file[CARD_JSON]}
    return Material(runs, cards, [*logs.values(), *(_waiting(at) for _, at in by_file[FILE])])


def _held(folder: Path) -> str:
    """Return which file tells what a folder holds; empty where that is nothing to report."""
    if folder.suffix == LOG and folder.is_file():
        return SUMMARY
    held = next((file for file in HOLDS if (folder / file).is_file()), "")
    if held == SUMMARY:
        found = parse_json((folder / SUMMARY).read_bytes(), str(folder / SUMMARY))
        schema = found.get("schema") if isinstance(found, dict) else ""
        # Builds and evaluations of guards have pages of their own, and so have judges' cards.
        return "" if schema in (BUILD_SCHEMA, GUARD_SCHEMA) else SUMMARY
    return "" if (folder / JUDGE_CARD).is_file() else held


def _found(given: Iterable[Named]) -> Iterator[tuple[str, Path, str]]:
    """Yield names and folders, and which file tells what they hold; of a folder of some, those."""
    for name, named in given:
        folder = named if named.suffix == LOG else find_run(named)
        inside = [folder]
        if folder.is_dir() and not any((folder / file).is_file() for file in HOLDS):
            logs = {log.stem for log in folder.glob(f"*{LOG}")}
            # What reading a log made beside it is that log's run once more.
            inside = [p for p in sorted(folder.iterdir()) if p.name.rpartition("-")[0] not in logs]
        found = [(name, one, held) for one in inside if (held := _held(one))]
        if not found:
            raise VlsbenchError(
                f"no run or audit found in {folder}: give their folders; `vlsbench runs list` "
                "shows runs, and `vlsbench runs show` a build, which has no page"
            )
        yield from found


def _waiting(folder: Path) -> str:
    with Ledger.read(folder) as ledger:
        model, bench = (ledger.meta(name) or "" for name in ("model", "bench"))
        state = "is under way" if state_of(ledger) == "running" else "was stopped before any result"
        return (
            f"{folder} {state} ({model} on {bench}: {len(ledger.ended()):,} "
            f"of {ledger.expected():,} ended); the command that began it writes its results."
        )


def command_of(summary: Summary) -> str:
    """Return the command that makes a run again; defaults and budgets are left out."""
    given: Mapping[str, Any] = summary.settings
    words = ["--model", summary.model, "--judge", summary.judge]
    for setting in settings_of(EvalConfig):
        values = given.get(setting.group, {}) if setting.group else given
        if setting.group not in AGAIN or setting.option.argument or setting.name not in values:
            continue
        value, flag = values[setting.name], setting.flags[0]
        if value == record(setting.default):
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif get_origin(setting.kind) is tuple:
            words += [part for one in value for part in (flag, str(one))]
        else:
            words += [flag, NONE if value is None else str(value)]
    if "bench" not in given:  # a run of version 0.1
        return (
            f"vlsbench eval {shlex.quote(summary.bench)} {shlex.join(words)}  "
            "# with the options of its set, which the run did not record"
        )
    return f"vlsbench eval {given['bench']} {shlex.join(words)}"
