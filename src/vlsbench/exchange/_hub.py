"""Runs as evaluation results of a model on the Hugging Face Hub: `model-index`, for its README.

https://github.com/huggingface/hub-docs/blob/main/modelcard.md describes the form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Estimate, Summary, read_run
from vlsbench.files import output_folder, write_text
from vlsbench.pairs import Home, find_source
from vlsbench.text import slug

INDEX = "model-index.yaml"
NAMES = {"safety": "Safety rate", "over_refusal": "Over-refusal", "net": "Net rate"}


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

    found = [read_run(run)[1] for run in runs]
    models = sorted({summary.model for summary in found})
    if len(models) != 1:
        raise VlsbenchError(f"runs of one model are wanted, not of {', '.join(models) or 'none'}")
    results = []
    for summary in found:
        home = _home(summary.bench)
        about = {"view": summary.view, "judge": summary.judge, "simulated": summary.simulated}
        about["limit"] = summary.identity.get("limit")
        for task, rate, n in _rates(summary):
            one = EvalResult(
                task_type="image-text-to-text",
                dataset_type=home.hub or slug(summary.bench),
                dataset_name=summary.title,
                dataset_revision=home.revision or None,
                dataset_args=about,
                metric_type=task,
                metric_name=f"{NAMES[task]}, percent",
                metric_args={"n": n, "interval of 95 %": rate.percent},
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
