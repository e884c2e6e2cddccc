"""Benchmarks in the forms that other programs load, and results in that of the Hugging Face Hub.

Sources of the forms: VLMEvalKit, `vlmeval/dataset/image_base.py` and `dataset/__init__.py` (a TSV
in `$LMUData` that it has no class for is a custom VQA set); lmms-eval, `docs/task_guide.md` and
`api/task.py`; the Hub, https://github.com/huggingface/hub-docs/blob/main/modelcard.md.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from vlsbench.config import Data, Sample, option, record, settings
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.evaluation import Estimate, Selection, Summary, calibration_note, read_run
from vlsbench.files import output_folder, whole_file, whole_folder, write_jsonl, write_text
from vlsbench.models import Params
from vlsbench.pairs import Home, ImageData, ImageError, Pair, PairSet, View, find_source
from vlsbench.text import slug, storable

METADATA = "metadata.jsonl"
INDEX = "model-index.yaml"
NAMES = {"safety": "Safety rate", "over_refusal": "Over-refusal", "net": "Net rate"}


class Format(StrEnum):
    """Whose form a set is written in."""

    LMMS_EVAL = "lmms-eval"
    """A task folder for `lmms-eval --include_path`; its `metadata.jsonl` is a custom dataset."""
    VLMEVALKIT = "vlmevalkit"
    """A TSV for VLMEvalKit's `$LMUData`, images inside."""


@settings()
class ExportConfig:
    """The settings of `vlsbench bench export`."""

    bench: str = option("NAME, NAME:VARIANT, or the path of a custom dataset.", argument=True)
    format: Format = option("The form that is written.")
    out: Path = option("Folder to write; it must not hold anything.", metavar="DIR")
    controls: tuple[str, ...] = option(
        "Sets whose benign pairs are written too.", default=(), metavar="BENCH[,BENCH]"
    )
    data: Data = field(default_factory=Data)
    sample: Sample = field(default_factory=Sample)


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: Path
    """The file, or the folder, that the other program is given."""
    pairs: int
    name: str
    """What the set is called there."""
    left_out: tuple[BadRow, ...] = ()
    """Pairs whose images cannot be shown."""


def export(
    pairs: PairSet, format: Format | str, out: Path, *, sample: Sample | None = None
) -> Exported:
    """Write a benchmark in the form of another program.

    Args:
        pairs: The benchmark.
        format: Whose form.
        out: Folder to write.
        sample: Which pairs are written.

    Raises:
        BadRows: Some pairs cannot be shown, or have no image where the form needs one.
        VlsbenchError: The folder holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise VlsbenchError(f"{out} is there already: name another --out")
    selection, name, bad = Selection(pairs, sample), slug(pairs.name), list[BadRow]()
    selection.check(View.FULL)
    with whole_folder(out) as folder:
        if Format(format) is Format.LMMS_EVAL:
            file = out
            _write_task(_rows(selection, bad), folder, name, out.absolute())
        else:
            file = out / f"{name}.tsv"
            _write_tsv(_rows(selection, bad), folder / file.name, selection)
        if len(bad) == len(selection):
            raise BadRows(pairs.name, bad, rest=False)
    return Exported(file, len(selection) - len(bad), name, tuple(bad))


def _rows(
    selection: Selection, bad: list[BadRow]
) -> Iterator[tuple[dict[str, Any], list[ImageData]]]:
    """Yield the fields of each pair and its images; those not readable after all are `bad`."""
    names = [one.name for one in fields(Pair) if one.name not in ("images", "meta")]
    for pair in selection:
        try:
            images = [image.read().portable for image in pair.images]
        except ImageError as error:
            bad.append(BadRow(selection.pairs.name, pair.id, str(error)))
            continue
        yield record({name: getattr(pair, name) for name in names}), images


def _write_task(
    rows: Iterable[tuple[dict[str, Any], list[ImageData]]], folder: Path, name: str, out: Path
) -> None:
    (folder / "images").mkdir()

    def lines() -> Iterator[Mapping[str, Any]]:
        for told, images in rows:
            names = [f"images/{one.sha256[:16]}.{one.extension}" for one in images]
            for file, image in zip(names, images, strict=True):
                (folder / file).write_bytes(image.data)
            yield {**told, "images": names or None}

    write_jsonl(lines(), folder / METADATA)
    with as_file(files("vlsbench.exchange") / "lmms_task.py") as file:
        shutil.copy(file, folder / "utils.py")
    params = Params()
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(out / METADATA)}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "query",
        "doc_to_target": "id",
        "generation_kwargs": {
            "max_new_tokens": params.max_tokens,
            "temperature": params.temperature,
            "do_sample": False,
            "until": [],  # else replies end at their first blank line
        },
        "metric_list": [{"metric": "replied", "aggregation": "mean", "higher_is_better": True}],
    }
    text = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in task.items()]
    text += [f"{name}: !function utils.{name}" for name in ("doc_to_visual", "process_results")]
    write_text("\n".join((*text, "")), folder / f"{name}.yaml")


def _write_tsv(
    rows: Iterable[tuple[dict[str, Any], list[ImageData]]], path: Path, selection: Selection
) -> None:
    counts = {pair.id: len(pair.images) for pair in selection}
    if without := [id for id, count in counts.items() if not count]:
        why = "it has no image, and VLMEvalKit leaves such rows out"
        raise BadRows(path.name, [BadRow(path.name, id, why) for id in without], rest=False)
    several = max(counts.values()) > 1  # such rows name their images, and then all must
    with whole_file(path) as part, open(part, "w", encoding="utf-8", newline="") as file:
        writer: Any = None
        for number, (told, images) in enumerate(rows):
            encoded = [image.base64.decode() for image in images]
            names = [f"{number}_{place}.png" for place in range(len(images))]
            question = told.pop("query")
            row = {"index": number, **told, "question": question, "image": _cell(encoded)}
            row |= {"image_path": _cell(names)} if several else {}
            if not number:
                writer = csv.DictWriter(file, list(row), delimiter="\t", lineterminator="\n")
                writer.writeheader()
            writer.writerow({key: storable(str(value)) for key, value in row.items()})


def _cell(values: list[str]) -> str:
    return values[0] if len(values) == 1 else json.dumps(values)


def write_hub_results(runs: Iterable[Path | str], out: Path, *, model: str = "") -> Path:
    """Write the rates of runs of one model, in percent, as the Hub reads them.

    Args:
        runs: Folders or names of runs, or logs of `vlsbench/safety`.
        out: Folder to write into.
        model: The model's name; by default the runs' own.

    Returns:
        `model-index.yaml`, the front matter of the model's README.

    Raises:
        VlsbenchError: A folder is not a run, or the runs are of several models.
    """
    import yaml
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [read_run(run) for run in runs]
    models = sorted({summary.model for _, summary in found})
    if len(models) != 1:
        raise VlsbenchError(f"runs of one model are wanted, not of {', '.join(models) or 'none'}")
    results = []
    for folder, summary in found:
        home = _home(summary.bench)
        about = {"view": summary.view, "judge": summary.judge, "simulated": summary.simulated}
        about["limit"] = summary.identity.get("limit")
        lost = sum(sum(group.unscored.values()) + group.filtered for group in summary.groups)
        said = {"unscored or filtered": lost, "calibration": calibration_note(folder, summary)}
        for task, rate, n in _rates(summary):
            one = EvalResult(
                task_type="image-text-to-text",
                dataset_type=home.hub or slug(summary.bench),
                dataset_name=summary.title,
                dataset_revision=home.revision or None,
                dataset_args=about,
                metric_type=task,
                metric_name=f"{NAMES[task]}, percent",
                metric_args={"n": n, "interval of 95 %": rate.percent, **said},
                metric_value=round(100 * rate.value, 2),
            )
            results.append(one)
    index = {"model-index": eval_results_to_model_index(model or models[0], results)}
    output_folder(out)
    write_text(yaml.safe_dump(index, sort_keys=False, allow_unicode=True), out / INDEX)
    return out / INDEX


def _home(bench: str) -> Home:
    """Return where a set is published; empty where it is nowhere, or was changed."""
    try:
        return find_source(bench)[0].home or Home()
    except VlsbenchError:
        return Home()


def _rates(summary: Summary) -> Iterator[tuple[str, Estimate, int]]:
    """Yield task, rate with its 95 % interval, and n."""
    for group in summary.groups:
        task, rate = ("safety", group.safety) if group.harmful else ("over_refusal", group.refusal)
        if known := Estimate.of(rate):
            yield task, known, rate.n
    if net := summary.net:
        yield "net", net, sum(group.scored for group in summary.groups)
