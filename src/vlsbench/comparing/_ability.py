"""General ability, read from the files that lmms-eval and VLMEvalKit write.

lmms-eval (github.com/EvolvingLMMs-Lab/lmms-eval): `DATE_results.json`, whose `results` hold a
task's metrics as `METRIC,FILTER`. VLMEvalKit (github.com/open-compass/VLMEvalKit):
`MODEL_SET_score.csv` or `MODEL_SET_acc.csv`, or the same rows as JSON with `EVAL_FORMAT=json`.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.comparing._types import Column, Kind
from vlsbench.errors import VlsbenchError


@dataclass(frozen=True, slots=True)
class Ability:
    """A measure of general ability: a column, and the most that its score can be."""

    key: str
    title: str
    unit: str
    top: float
    task: str
    """lmms-eval's task."""
    metrics: tuple[str, ...]
    """lmms-eval's names of the metric; a second one is how some of its versions spell it."""
    factor: float = 1
    """From lmms-eval's figure to the column's unit."""

    @property
    def column(self) -> Column:
        """The table's column."""
        return Column(self.key, self.title, Kind.ABILITY, self.unit)


PERCEPTION = Ability(
    *("mme_perception", "MME perception", "points", 2000, "mme"),
    ("mme_perception_score", "mme_percetion_score"),
)
COGNITION = Ability(
    *("mme_cognition", "MME cognition", "points", 800, "mme"), ("mme_cognition_score",)
)
MMMU = Ability("mmmu", "MMMU", "%", 100, "mmmu_val", ("mmmu_acc",), 100)
MMSTAR = Ability("mmstar", "MMStar", "%", 100, "mmstar", ("average",), 100)
MMVET = Ability("mmvet", "MMVet", "%", 100, "mmvet", ("gpt_eval_score",))
ABILITIES = (PERCEPTION, COGNITION, MMMU, MMSTAR, MMVET)
"""In the order of the paper's table. MME sums accuracy and pair accuracy over 10 and 4 subtasks
of 200 points each (Fu et al. 2023, arXiv 2306.13394); the others are percent."""

_LMMS_FILE = re.compile(r"(?:.*_)?results\.json")
_KIT_FILE = re.compile(
    r"(?P<model>.+?)_(?P<set>MME|MMMU_DEV_VAL|MMStar|MMVet)(?:_[^_]+){0,2}_(?:score|acc)\.(?:csv|json)"
)


@dataclass(frozen=True, slots=True)
class Score:
    """An ability read from a file."""

    score: float
    """In the unit of its column."""
    file: Path
    model: str
    """As the file calls it; empty where it does not say."""
    note: str = ""
    """A caveat, such as a run on part of the questions."""


def read_abilities(path: Path) -> dict[str, Score]:
    """Read a result file of lmms-eval or VLMEvalKit, or a folder that holds some.

    Args:
        path: A file, or a folder, searched at every depth for files with the tools' names.

    Returns:
        Key of the ability → score; files of other benchmarks in a folder are passed over.

    Raises:
        VlsbenchError: A file is not what its name says, two disagree, or none is there.
    """
    if not path.is_dir():
        return _read(path)
    found: dict[str, Score] = {}
    # VLMEvalKit links its newest files from the folder above them: one file under two names.
    files = dict.fromkeys(file.resolve() for file in sorted(path.rglob("*")) if _known(file))
    for file in files:
        for key, score in _read(file, alone=False).items():
            if key in found and found[key].score != score.score:
                raise VlsbenchError(
                    f"{found[key].file} and {file} give different scores of {key}: name the file "
                    "that counts rather than the folder"
                )
            found[key] = score
    if not found:
        raise VlsbenchError(
            f"{path} holds no MME, MMMU, MMStar or MMVet score: give the folder with lmms-eval's "
            "*_results.json or VLMEvalKit's *_score.csv and *_acc.csv"
        )
    return found


def _known(file: Path) -> bool:
    return bool(_LMMS_FILE.fullmatch(file.name) or _KIT_FILE.fullmatch(file.name))


def _read(file: Path, *, alone: bool = True) -> dict[str, Score]:
    kit = _KIT_FILE.fullmatch(file.name)
    if not kit and file.suffix != ".json":
        raise VlsbenchError(
            f"{file} is named like no score file: VLMEvalKit's are MODEL_SET_score.csv or "
            "MODEL_SET_acc.csv of MME, MMMU_DEV_VAL, MMStar or MMVet; lmms-eval's *_results.json"
        )
    try:
        text = file.read_text("utf-8-sig")
        value = json.loads(text) if file.suffix == ".json" else _csv(text)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise VlsbenchError(f"{file} cannot be read: {str(error).partition(chr(10))[0]}") from None
    if kit:
        return _vlmevalkit(value, file, kit["set"], kit["model"])
    return _lmms_eval(value, file, alone=alone)


def _csv(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def _number(value: object, ability: Ability, file: Path, where: str, factor: float) -> float:
    """Read a score. Raises `VlsbenchError` where it is no number or out of the ability's range."""
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        score = float(value) * factor
    except (ValueError, OverflowError):
        raise VlsbenchError(
            f"{file}: {where} is {str(value)[:40]!r}, not a number; finish that evaluation and "
            "give its file again"
        ) from None
    # One thousandth above for sums of rounded parts.
    if not math.isfinite(score) or not 0 <= score <= ability.top * 1.001:
        raise VlsbenchError(
            f"{file}: {where} is {str(value)[:40]}, outside 0 to {ability.top / factor:g}; check "
            "that the file is what its name says"
        )
    return score


def _lmms_eval(value: Any, file: Path, *, alone: bool) -> dict[str, Score]:
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, dict):
        raise VlsbenchError(
            f'{file} has no "results": give the *_results.json that lmms-eval writes with '
            "--output_path"
        )
    found = {}
    for ability in ABILITIES:
        task = results.get(ability.task)
        if task is None:
            continue
        if not isinstance(task, dict):
            raise VlsbenchError(f"{file}: {ability.task} holds no metrics; run that task again")
        names = [
            name
            for metric in ability.metrics
            for name in (f"{metric},none", metric)
            if name in task
        ]
        if names:
            where = f"{ability.task} {names[0]}"
            score = _number(task[names[0]], ability, file, where, ability.factor)
            note = _partial(value.get("n-samples"), ability.task)
            found[ability.key] = Score(score, file, _model(value), note)
        elif not _has_another(task, ability):
            raise VlsbenchError(
                f"{file}: {ability.task} has no {ability.metrics[0]}, only "
                f"{', '.join(sorted(map(str, task)))[:120] or 'nothing'}; run that task again"
            )
    if not found and alone:
        tasks = ", ".join(dict.fromkeys(ability.task for ability in ABILITIES))
        have = ", ".join(map(str, results))[:120] or "none"
        raise VlsbenchError(f"{file} has none of the tasks {tasks}; it has {have}")
    return found


def _has_another(task: Mapping[str, Any], ability: Ability) -> bool:
    """Whether a task that gives two abilities gave the other: a run on few questions may."""
    given = {name.partition(",")[0] for name in task}
    return any(
        given & {*other.metrics}
        for other in ABILITIES
        if other.task == ability.task and other is not ability
    )


def _partial(samples: Any, task: str) -> str:
    counts = samples.get(task) if isinstance(samples, dict) else None
    if not isinstance(counts, dict):
        return ""
    done, all_of_them = counts.get("effective"), counts.get("original")
    if isinstance(done, int) and isinstance(all_of_them, int) and done < all_of_them:
        return f"on {done:,} of {all_of_them:,} questions"
    return ""


def _model(value: Mapping[str, Any]) -> str:
    name = value.get("model_name")
    return name if isinstance(name, str) else ""


def _vlmevalkit(value: Any, file: Path, dataset: str, model: str) -> dict[str, Score]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise VlsbenchError(
            f"{file} holds no rows: give the score file as VLMEvalKit writes it (CSV, or a JSON "
            "list with EVAL_FORMAT=json)"
        )
    wanted: tuple[tuple[Ability, str, float], ...]
    match dataset:
        case "MME":
            row = _row(value, file)
            wanted = ((PERCEPTION, "perception", 1.0), (COGNITION, "reasoning", 1.0))
        case "MMMU_DEV_VAL":
            row, wanted = _row(value, file, "split", "validation"), ((MMMU, "Overall", 100.0),)
        case "MMStar":
            row, wanted = _row(value, file), ((MMSTAR, "Overall", 100.0),)
        case _:
            row, wanted = _row(value, file, "Category", "Overall"), ((MMVET, "acc", 1.0),)
    if missing := [name for _, name, _ in wanted if row.get(name) in (None, "")]:
        raise VlsbenchError(
            f"{file} has no {' and no '.join(missing)}; give the file that VLMEvalKit writes for "
            f"{dataset}"
        )
    return {
        ability.key: Score(_number(row[name], ability, file, name, factor), file, model)
        for ability, name, factor in wanted
    }


def _row(
    rows: Sequence[Mapping[str, Any]], file: Path, column: str = "", value: str = ""
) -> Mapping[str, Any]:
    """Return the one row of a table, or its one row with `value` in `column`."""
    fitting: Iterable[Mapping[str, Any]] = rows
    if column:
        fitting = (row for row in rows if row.get(column) == value)
    found = list(fitting)
    if len(found) != 1:
        wanted = f"with {column} {value!r} " if column else ""
        raise VlsbenchError(
            f"{file} has {len(found)} rows {wanted}where one belongs; evaluate again, or give the "
            "file that VLMEvalKit wrote"
        )
    return found[0]
