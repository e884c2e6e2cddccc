"""Runs as evaluation results of a model on the Hugging Face Hub.

Two forms: `.eval_results/*.yaml` in the model's repository
(https://huggingface.co/docs/hub/eval-results), and `model-index` at the head of its README
(https://github.com/huggingface/hub-docs/blob/main/modelcard.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Net, Summary, calibration_note, read_run
from vlsbench.files import write_text
from vlsbench.pairs import Home, find_source
from vlsbench.stats import Rate
from vlsbench.text import one_line, slug

FOLDER = ".eval_results"
INDEX = "model-index.yaml"
TASK = "image-text-to-text"


@dataclass(frozen=True)
class _Figure:
    """One figure of a run."""

    task: str
    name: str
    value: float
    low: float
    high: float
    n: int


def write_hub_results(
    runs: Iterable[Path | str], out: Path, *, model: str = "", allow_unfinished: bool = False
) -> list[Path]:
    """Write the figures of runs of one model, in percent, as the Hub reads them.

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
    import yaml
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [read_run(run, allow_unfinished=allow_unfinished) for run in runs]
    models = sorted({summary.model for _, summary in found})
    if len(models) != 1:
        raise VlsbenchError(f"runs of one model are wanted, not of {', '.join(models) or 'none'}")
    results, written = [], []
    for folder, summary in found:
        home = _home(summary.bench)
        note = _note(folder, summary)
        figures = list(_figures(summary))
        results += [
            EvalResult(
                task_type=TASK,
                dataset_type=home.hub or slug(summary.bench),
                dataset_name=summary.title,
                dataset_revision=home.revision or None,
                dataset_args={"view": summary.view, "judge": summary.judge},
                metric_type=one.task,
                metric_name=f"{one.name}, percent",
                metric_value=round(one.value, 2),
            )
            for one in figures
        ]
        if home.hub:
            name = slug(f"{summary.bench}-{summary.view}-{summary.judge}")
            entries = [_entry(one, home, summary, note) for one in figures]
            written.append(_write(entries, out / FOLDER / f"{name}.yaml", yaml))
    index = {"model-index": eval_results_to_model_index(model or models[0], results)}
    return [*written, _write(index, out / INDEX, yaml)]


def _write(content: Any, file: Path, yaml: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000), file)
    return file


def _home(bench: str) -> Home:
    """Return where a set is published; empty where it is nowhere, or was changed."""
    try:
        source, _ = find_source(bench)
    except VlsbenchError:
        return Home()
    return source.home or Home()


def _figures(summary: Summary) -> Iterator[_Figure]:
    def figure(task: str, name: str, rate: Rate | Net | None, n: int) -> Iterator[_Figure]:
        value = rate.value if isinstance(rate, Net) else rate.rate if rate else None
        if rate and value is not None and rate.low is not None and rate.high is not None:
            yield _Figure(task, name, 100 * value, 100 * rate.low, 100 * rate.high, n)

    for group in summary.groups:
        if group.harmful:
            yield from figure("safety", "Safety rate", group.safety, group.scored)
        else:
            yield from figure("over_refusal", "Over-refusal", group.refusal, group.scored)
    scored = sum(group.scored for group in summary.groups)
    yield from figure("net", "Net rate", summary.net, scored)


def _note(folder: Path, summary: Summary) -> str:
    unscored = sum(sum(group.unscored.values()) + group.filtered for group in summary.groups)
    parts = [
        "simulated: says nothing about a real model" if summary.simulated else "",
        f"judge {summary.judge}",
        f"view {summary.view}",
        f"a random sample of {limit} pairs" if (limit := summary.identity.get("limit")) else "",
        f"{unscored:,} unscored or filtered" if unscored else "",
        calibration_note(folder, summary),
        f"vlsbench {summary.vlsbench}",
    ]
    return one_line("; ".join(filter(None, parts)))


def _entry(one: _Figure, home: Home, summary: Summary, note: str) -> dict[str, Any]:
    """Return an entry of a `.eval_results` file."""
    revision = {"revision": home.revision} if home.revision else {}
    ends = f"95 % interval [{one.low:.1f}, {one.high:.1f}] clustered by image"
    return {
        "dataset": {"id": home.hub, "task_id": one.task, **revision},
        "value": round(one.value, 2),
        **({"date": summary.finished} if summary.finished else {}),
        "notes": f"{one.name}, percent, n = {one.n:,}, {ends}; {note}",
    }
