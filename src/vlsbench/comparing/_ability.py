"""General ability, read from the files that lmms-eval and VLMEvalKit write.

lmms-eval (github.com/EvolvingLMMs-Lab/lmms-eval): `DATE_results.json`, whose `results` hold a
task's metrics as `METRIC,FILTER`. VLMEvalKit (github.com/open-compass/VLMEvalKit):
`MODEL_SET_score.csv` or `MODEL_SET_acc.csv`, or the same rows as JSON with `EVAL_FORMAT=json`.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.comparing._table import Column, Kind
from vlsbench.errors import VlsbenchError
from vlsbench.files import unreadable
from vlsbench.schemas import convert, parse_json


@dataclass(frozen=True, slots=True)
class Ability:
    """A measure of general ability: a column, and where the two tools write its score."""

    key: str
    title: str
    unit: str
    top: float
    """The highest score there is, in the column's unit."""
    task: str
    """lmms-eval's task."""
    metrics: tuple[str, ...]
    """lmms-eval's names of the metric; a second one is how some of its versions spell it."""
    dataset: str
    """VLMEvalKit's name of the set."""
    field: str
    """VLMEvalKit's column."""
    row: tuple[str, str] = ("", "")
    """Column and value that tell VLMEvalKit's row from others; empty where there is only one."""
    factor: float = 1
    """From the tools' figure to the column's unit."""

    @property
    def column(self) -> Column:
        """The table's column."""
        return Column(self.key, self.title, Kind.ABILITY, self.unit)


ABILITIES = (
    Ability("mme_perception", "MME perception", "points", 2000, "mme",
            ("mme_perception_score", "mme_percetion_score"), "MME", "perception"),
    Ability("mme_cognition", "MME cognition", "points", 800, "mme",
            ("mme_cognition_score",), "MME", "reasoning"),
    Ability("mmmu", "MMMU", "%", 100, "mmmu_val", ("mmmu_acc",),
            "MMMU_DEV_VAL", "Overall", ("split", "validation"), 100),
    Ability("mmstar", "MMStar", "%", 100, "mmstar", ("average",), "MMStar", "Overall", factor=100),
    Ability("mmvet", "MMVet", "%", 100, "mmvet", ("gpt_eval_score",),
            "MMVet", "acc", ("Category", "Overall")),
)  # fmt: skip
"""In the order of the paper's table. MME sums accuracy and pair accuracy over 10 and 4 subtasks
of 200 points each (Fu et al. 2023, arXiv 2306.13394); the others are percent."""

_NAMES = re.compile(
    r"(?:.*_)?results\.json|"
    r"(?P<model>.+?)_(?P<set>MME|MMMU_DEV_VAL|MMStar|MMVet)(?:_[^_]+){0,2}_(?:score|acc)\.(?:csv|json)"
)
"""Files of lmms-eval, and of VLMEvalKit."""


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
    """Read a result file of lmms-eval or VLMEvalKit, or a folder, searched at every depth for some.

    Returns:
        Key of the ability → score; files of other benchmarks in a folder are passed over.

    Raises:
        VlsbenchError: A file is not what its name says, two disagree, or none is there.
    """
    found: dict[str, Score] = {}
    # VLMEvalKit links its newest files from the folder above them: one file under two names.
    inside = (file.resolve() for file in sorted(path.rglob("*")) if _NAMES.fullmatch(file.name))
    for file in dict.fromkeys(inside) if path.is_dir() else [path]:
        for key, score in _read(file).items():
            if key in found and found[key].score != score.score:
                raise VlsbenchError(
                    f"{found[key].file} and {file} give different scores of {key}: name the file "
                    "that counts rather than the folder"
                )
            found[key] = score
    if not found:
        raise VlsbenchError(
            f"{path} holds no MME, MMMU, MMStar or MMVet score: give lmms-eval's *_results.json, "
            "VLMEvalKit's MODEL_SET_score.csv or MODEL_SET_acc.csv, or a folder with them"
        )
    return found


def _read(file: Path) -> dict[str, Score]:
    kit = _NAMES.fullmatch(file.name)
    if not kit and file.suffix != ".json":
        return {}
    try:
        text = file.read_text("utf-8-sig")
        if file.suffix == ".json":
            value = parse_json(text, str(file))
        else:
            value = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise VlsbenchError(unreadable(file, error)) from None
    if kit and kit["set"]:
        rows = convert(value, list[dict[str, Any]], str(file))
        return _vlmevalkit(rows, file, kit["set"], kit["model"])
    return _lmms_eval(convert(value, dict[str, Any], str(file)), file)


def _number(value: object, ability: Ability, file: Path, where: str) -> float:
    """Read a score. Raises `VlsbenchError` where it is not a number or out of range."""
    try:
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            score = float(value) * ability.factor
            # One thousandth above for sums of rounded parts.
            if 0 <= score <= ability.top * 1.001:
                return score
    except (ValueError, OverflowError):
        pass
    raise VlsbenchError(
        f"{file}: {where} is {str(value)[:40]!r}, not a number from 0 to "
        f"{ability.top / ability.factor:g}; finish that evaluation and give its file again"
    )


def _lmms_eval(value: dict[str, Any], file: Path) -> dict[str, Score]:
    results = convert(value.get("results", {}), dict[str, Any], f"{file}: results")
    found: dict[str, Score] = {}
    for task in results.keys() & {ability.task for ability in ABILITIES}:
        given = convert(results[task], dict[str, Any], f"{file}: results.{task}")
        abilities = [ability for ability in ABILITIES if ability.task == task]
        before = len(found)
        for ability in abilities:
            spelt = [f"{metric}{end}" for metric in ability.metrics for end in (",none", "")]
            if name := next((name for name in spelt if name in given), ""):
                score = _number(given[name], ability, file, f"{task} {name}")
                note = _part(value.get("n-samples"), task)
                found[ability.key] = Score(score, file, str(value.get("model_name", "")), note)
        # A run on few questions may have one of a task's two abilities alone.
        if len(found) == before:
            raise VlsbenchError(
                f"{file}: {task} has no {abilities[0].metrics[0]}, only "
                f"{', '.join(sorted(given))[:120] or 'nothing'}; run that task again"
            )
    return found


def _part(counts: object, task: str) -> str:
    """Say on how many of a task's questions lmms-eval ran, where that is not all."""
    asked = counts.get(task) if isinstance(counts, dict) else None
    match asked:
        case {"effective": int(ran), "original": int(there)} if ran < there:
            return f"on {ran:,} of {there:,} questions"
    return ""


def _vlmevalkit(
    value: list[dict[str, Any]], file: Path, dataset: str, model: str
) -> dict[str, Score]:
    abilities = [ability for ability in ABILITIES if ability.dataset == dataset]
    column, wanted = abilities[0].row
    rows = [row for row in value if not column or row.get(column) == wanted]
    fields = [one.field for one in abilities]
    if len(rows) != 1 or any(rows[0].get(field) in (None, "") for field in fields):
        which = f"with {column} {wanted!r} and " if column else "with "
        raise VlsbenchError(
            f"{file}: expected one row {which}{' and '.join(fields)}; give the file that "
            "VLMEvalKit wrote, or evaluate again"
        )
    return {
        one.key: Score(_number(rows[0][one.field], one, file, one.field), file, model)
        for one in abilities
    }
