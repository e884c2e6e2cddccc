"""`vlsbench.compare`: runs side by side from Python, as on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vlsbench.comparing._compare import compare_all
from vlsbench.comparing._runs import Named, split_name
from vlsbench.comparing._types import Compared
from vlsbench.evaluation._evaluate import Evaluation

Run = str | os.PathLike[str] | Evaluation
"""A run's folder, or what `vlsbench.evaluate` returned."""


def compare(
    runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]],
    *,
    baseline: Run = "",
    ability: Iterable[str | os.PathLike[str]] = (),
    published: str | Iterable[str] = (),
    allow_unfinished: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> Compared:
    """Set runs side by side: rates by benchmark, and paired differences to a baseline.

    Args:
        runs: Runs, or row names with the run or runs of each (`{"T-SFT": [leaky, leakless]}`).
            As a text, a run may be `NAME=PATH`.
        baseline: The run or the row's name that others are compared with; by default the first.
        ability: Result files or folders of lmms-eval or VLMEvalKit, `PATH` or `NAME=PATH`.
        published: Models whose rows of the paper are shown too (`llava-v1.5-7b`), or `all`.
        allow_unfinished: Take runs with open pairs.
        out: Write compare.html, compare.json, compare.tex, table.csv, differences.csv and, with
            matplotlib, figure.png and figure.svg into this folder.

    Returns:
        The table and the differences.

    Raises:
        VlsbenchError: A folder is no run, is unfinished, or shares no pairs with the baseline; a
            file of abilities is not what it should be.
    """
    compared = compare_all(
        list(_named_runs(runs)),
        baseline=os.fspath(_folder(baseline)) if baseline else "",
        abilities=[split_name(os.fspath(path)) for path in ability],
        published=[published] if isinstance(published, str) else list(published),
        allow_unfinished=allow_unfinished,
    )
    if out is not None:
        from vlsbench.comparing._page import write_compared

        write_compared(compared, Path(out))
    return compared


def _folder(run: Run) -> str | os.PathLike[str]:
    return run.folder if isinstance(run, Evaluation) else run


def _named_runs(runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]]) -> Iterable[Named]:
    if not isinstance(runs, Mapping):
        for run in runs:
            yield ("", run.folder) if isinstance(run, Evaluation) else split_name(os.fspath(run))
        return
    for name, given in runs.items():
        listed = [given] if isinstance(given, (str, os.PathLike, Evaluation)) else given
        for run in listed:
            yield name, Path(_folder(run))
