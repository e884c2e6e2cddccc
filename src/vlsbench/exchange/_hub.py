"""Runs as evaluation results of a model on the Hugging Face Hub.

Two forms: `.eval_results/*.yaml` in the model's repository
(https://huggingface.co/docs/hub/eval-results), and `model-index` at the head of its README
(https://github.com/huggingface/hub-docs/blob/main/modelcard.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Estimate, Summary, calibration_note, read_run
from vlsbench.files import output_folder, write_text
from vlsbench.pairs import Home, find_source
from vlsbench.text import one_line, slug

FOLDER = ".eval_results"
INDEX = "model-index.yaml"
TASK = "image-text-to-text"
NAMES = {"safety": "Safety rate", "over_refusal": "Over-refusal", "net": "Net rate"}


def write_hub_results(
    runs: Iterable[Path | str], out: Path, *, model: str = "", allow_unfinished: bool = False
) -> list[Path]:
    """Write the rates of runs of one model, in percent, as the Hub reads them.

    Args:
        runs: Folders or names of runs, or logs of `vlsbench/safety`.
        out: Folder that becomes a part of the model's repository.
        model: The model's name; by default the runs' own.
        allow_unfinished: Take runs with open pairs.

    Returns:
        What was written: a file in `.eval_results/` for each run of a set that the Hub has, and
        `model-index.yaml`, the front matter of the model's README.

    Raises:
        VlsbenchError: A folder is not a run, or the runs are of several models.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [read_run(run, allow_unfinished=allow_unfinished) for run in runs]
    models = sorted({summary.model for _, summary in found})
    if len(models) != 1:
        raise VlsbenchError(f"runs of one model are wanted, not of {', '.join(models) or 'none'}")
    results, written = [], []
    for folder, summary in found:
        home, note = _home(summary.bench), _note(folder, summary)
        revision = {"revision": home.revision} if home.revision else {}
        entries = []
        for task, rate, n in _rates(summary):
            value = round(100 * rate.value, 2)
            entries.append(
                {
                    "dataset": {"id": home.hub, "task_id": task, **revision},
                    "value": value,
                    "date": summary.finished,
                    "notes": f"{NAMES[task]}, percent: {rate.percent}, n = {n:,}; {note}",
                }
            )
            results.append(
                EvalResult(
                    task_type=TASK,
                    dataset_type=home.hub or slug(summary.bench),
                    dataset_name=summary.title,
                    dataset_revision=home.revision or None,
                    dataset_args={"view": summary.view, "judge": summary.judge},
                    metric_type=task,
                    metric_name=f"{NAMES[task]}, percent",
                    metric_value=value,
                )
            )
        if home.hub:
            name = slug(f"{summary.bench}-{summary.view}-{summary.judge}")
            written.append(_write(entries, out / FOLDER / f"{name}.yaml"))
    index = {"model-index": eval_results_to_model_index(model or models[0], results)}
    return [*written, _write(index, out / INDEX)]


def _write(content: object, file: Path) -> Path:
    import yaml

    output_folder(file.parent)
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000), file)
    return file


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
        if rate.rate is not None and rate.low is not None and rate.high is not None:
            yield task, Estimate(rate.rate, rate.low, rate.high), rate.n
    if net := summary.net:
        scored = sum(group.scored for group in summary.groups)
        yield "net", Estimate(net.value, net.low, net.high), scored


def _note(folder: Path, summary: Summary) -> str:
    unscored = sum(sum(group.unscored.values()) + group.filtered for group in summary.groups)
    limit = summary.identity.get("limit")
    parts: tuple[tuple[Any, str], ...] = (
        (summary.simulated, "simulated: says nothing about a real model"),
        (True, f"95 % interval clustered by image; judge {summary.judge}; view {summary.view}"),
        (limit, f"a random sample of {limit} pairs"),
        (unscored, f"{unscored:,} unscored or filtered"),
        (True, calibration_note(folder, summary)),
        (True, f"vlsbench {summary.vlsbench}"),
    )
    return one_line("; ".join(text for holds, text in parts if holds))
