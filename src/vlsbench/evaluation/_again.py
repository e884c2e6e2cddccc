"""A finished run's replies, judged once more: the target is not asked."""

from __future__ import annotations

import os
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from vlsbench.config import Budget, Connection, Images, Sample, option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._evaluate import Evaluation, execute, plan
from vlsbench.evaluation._run import EvaluationPlan
from vlsbench.evaluation._settings import Output, Replies, Selection
from vlsbench.evaluation._summary import read_run
from vlsbench.judge import Judges, Judging
from vlsbench.pairs import Bench, load
from vlsbench.schemas import convert


@settings()
class JudgeConfig:
    """The settings of `vlsbench judge`, and the keys of its configuration file."""

    run: str = option("The run whose replies are judged again.", metavar="RUN", argument=True)
    judge: str | tuple[str, ...] = option(
        "Judge: a model's spec, `offline` (English, by wording), `lab`, or a plug-in; several "
        "vote (--vote).",
        whole=True,
    )
    bench: str = option(
        "The run's benchmark, where it cannot be opened as it was then.", default=""
    )
    judging: Judging = field(default_factory=Judging)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: Output = field(default_factory=Output)


def plan_again(
    run: str | os.PathLike[str] | Evaluation,
    *,
    judge: Judges,
    bench: Bench = "",
    judging: Judging | None = None,
    **others: Any,
) -> EvaluationPlan:
    """Say what judging a run's replies again will do and cost; see `judge_again`."""
    named = run.folder if isinstance(run, Evaluation) else os.fspath(run)
    folder, summary = read_run(named, allow_unfinished=True)
    settings, judging = summary.settings, judging or Judging()
    told: dict[str, Any] = {"bench": bench} if bench else dict(settings.get("set") or {})
    if not told:
        if summary.bench == "custom":
            raise VlsbenchError(
                f"{folder} does not tell how its pairs are opened: give --bench, or in Python "
                "judge_again(run, bench=pairs, …)"
            )
        told = {"bench": summary.bench}
    # Another version may have written settings that are no more.
    sample = convert(settings.get("sample", {}), Sample, str(folder), foreign=True)
    before = settings.get("judging", {})
    pairs = load(**told, skip_bad=sample.skip_bad or bool(summary.left_out))
    changed = VlsbenchError(
        f"{pairs.name} is not as it was when {folder} was made: its files changed, or it is "
        "another set; give the set of then as --bench"
    )
    if Selection(pairs, sample).fingerprint != summary.identity["data"]:
        raise changed
    found = plan(
        pairs,
        judge=judge,
        view=summary.view,
        system=summary.identity.get("system", ""),
        samples=summary.samples,
        replies=Replies(files=(Path(folder),), partial=True),
        sample=sample,
        judging=replace(judging, partial=judging.partial or before.get("partial", False)),
        images=convert(settings.get("images", {}), Images, str(folder), foreign=True),
        **others,
    )
    # Where the set lies is part of its content, so one that moved is believed to be the same.
    content = found.identity["content"]
    if not bench and summary.identity.get("content", content) != content:
        raise changed
    return found


def judge_again(
    run: str | os.PathLike[str] | Evaluation, *, judge: Judges, **settings: Any
) -> Evaluation:
    """Judge the replies of a run again, by another judge or rubric; the target is not asked.

    Args:
        run: The run, finished or not: what it has no reply to stays unscored (`reply_missing`).
        judge: As for `evaluate`.
        settings: `judging`, `budget`, `connection` and `output` as for `evaluate`; `bench`, the
            run's pairs, where it does not say how they are opened.

    Returns:
        A run of its own, whose identity names the one that it was judged from.

    Raises:
        VlsbenchError: It is no run, or its pairs cannot be opened or are no longer the same.
    """
    return execute(plan_again(run, judge=judge, **settings))
