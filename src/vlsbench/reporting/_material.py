"""What a report is made of: runs, audits and builds, told apart by the files in their folders."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

from vlsbench.auditing import AUDITS, CARD_JSON, Card, read_card
from vlsbench.building import BUILD_SCHEMA, BuildSummary, read_build
from vlsbench.comparing import OpenRun, open_runs
from vlsbench.config import NONE, record, settings_of
from vlsbench.engine import FILE, Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import LOG, PAIRS, SUMMARY, EvalConfig, Summary
from vlsbench.examining import CARD as JUDGE_CARD
from vlsbench.guarding import SCHEMA as GUARD_SCHEMA
from vlsbench.schemas import SchemaError, parse_json
from vlsbench.tables import read_rows

Named = tuple[str, Path]
BUILD_RUN = "run"
"""Where a build's folder keeps its ledger."""
AGAIN = ("", "sample", "params", "judging", "images")
"""Groups of settings that decide what a run finds."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run or build that was stopped before it wrote any result."""

    folder: Path
    model: str
    bench: str
    ended: int
    expected: int


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report shows."""

    runs: list[OpenRun]
    waiting: list[Waiting] = field(default_factory=list)
    cards: dict[Path, Card] = field(default_factory=dict)
    builds: dict[Path, BuildSummary] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether any of it is."""
        made_up = [run.simulated for run in self.runs]
        made_up += [card.simulated for card in self.cards.values()]
        return any(made_up) or any(found.simulated for found in self.builds.values())


def _kind(folder: Path) -> str:
    """Tell what a folder holds: `card`, `run`, `build`, `waiting`, or nothing."""
    if (folder / CARD_JSON).is_file():
        return "card"
    if folder.suffix == LOG and folder.is_file():
        return "run"
    if (folder / SUMMARY).is_file():
        found = parse_json((folder / SUMMARY).read_bytes(), str(folder / SUMMARY))
        schema = found.get("schema") if isinstance(found, dict) else ""
        # An evaluation of a guard has a page of its own, and so has a judge's card.
        return {BUILD_SCHEMA: "build", GUARD_SCHEMA: ""}.get(str(schema), "run")
    if (folder / JUDGE_CARD).is_file():
        return ""
    ledgers = (folder / FILE, folder / BUILD_RUN / FILE)
    return "waiting" if any(ledger.is_file() for ledger in ledgers) else ""


def _found(given: Iterable[Named]) -> Iterator[tuple[str, Path, str]]:
    """Yield names, folders and kinds; of a folder that holds some, those."""
    for name, folder in given:
        if kind := _kind(folder):
            yield name, folder, kind
            continue
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        kinds = [(one, kind) for one in inside if one.is_dir() and (kind := _kind(one))]
        if not kinds:
            raise VlsbenchError(
                f"{folder} holds no run, audit or build (summary.json, card.json): give their "
                "folders; `vlsbench runs list` shows runs"
            )
        for one, kind in kinds:
            yield name, one, kind


def gather(given: Iterable[Named]) -> Material:
    """Open everything that is given, and the cards beside runs of the same benchmark.

    Raises:
        VlsbenchError: A folder holds nothing to report, or a file is not what it should be.
    """
    found = list(_found(given))
    if not found:
        raise VlsbenchError("give at least one folder, as in `vlsbench report runs/A`")
    runs = open_runs([(n, at) for n, at, kind in found if kind == "run"], allow_unfinished=True)
    return Material(
        runs,
        [_waiting(folder) for _, folder, kind in found if kind == "waiting"],
        {at.resolve(): read_card(at / CARD_JSON) for _, at, kind in found if kind == "card"}
        | _beside(runs),
        {at: read_build(at / SUMMARY) for _, at, kind in found if kind == "build"},
    )


def _beside(runs: Iterable[OpenRun]) -> dict[Path, Card]:
    cards = {}
    for run in runs:
        for place in (run.folder.parent, run.folder.parent.parent / AUDITS):
            for path in sorted(place.glob(f"*/{CARD_JSON}")):
                with suppress(SchemaError):
                    card = read_card(path)
                    if card.bench == run.summary.bench:
                        cards[path.parent.resolve()] = card
    return cards


def _waiting(folder: Path) -> Waiting:
    home = folder if (folder / FILE).is_file() else folder / BUILD_RUN
    with Ledger.read(home) as ledger:
        model, bench = (ledger.meta(name) or "" for name in ("model", "bench"))
        return Waiting(folder, model, bench, len(ledger.ended()), ledger.expected())


@dataclass(frozen=True, slots=True)
class _Served:
    served_by: str


def served_by(run: Path) -> str:
    """Return what servers called the model that answered."""
    names = {row.served_by for row in read_rows(run / PAIRS, _Served, remedy="run it again")}
    return ", ".join(sorted(names - {""}))


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
