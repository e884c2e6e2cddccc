"""Runs whose target is not asked: replies judged once more, and logs of `vlsbench/safety`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlsbench.config import (
    Budget,
    Connection,
    Data,
    Images,
    Sample,
    option,
    settings,
    values_of,
)
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._evaluate import Evaluation, execute, plan
from vlsbench.evaluation._replies import METADATA, log_header, open_replies
from vlsbench.evaluation._run import EvaluationPlan
from vlsbench.evaluation._settings import Output, Presentation, Replies, Selection
from vlsbench.evaluation._summary import read_run
from vlsbench.files import file_sha256
from vlsbench.judge import (
    OURS,
    FunctionJudge,
    Judges,
    Judging,
    Label,
    Question,
    Rubric,
    Unscored,
    Verdict,
)
from vlsbench.pairs import Bench, PairSet, View, load
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
    # Where the set lies is part of its content, so of one that moved its images must be the same.
    content, images = found.identity["content"], _images(found.files, found.places)
    with Ledger.read(folder) as ledger:
        then = _images(*(json.loads(ledger.meta(name) or "{}") for name in ("files", "places")))
    moved = any(then.get(ref, digest) != digest for ref, digest in images.items())
    if moved or (not bench and summary.identity.get("content", content) != content):
        raise changed
    return found


def _images(files: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """Return image → SHA-256 of its file."""
    return {ref: files[path] for ref, path in places.items() if path in files}


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


@dataclass(frozen=True, kw_only=True)
class InspectRun:
    """What a log of `vlsbench/safety` says of its task: all that its reader must know."""

    bench: str
    data: Data = field(default_factory=Data)
    controls: tuple[str, ...] = ()
    sample: Sample = field(default_factory=Sample)
    view: View = View.FULL
    system: str = ""
    judge: str
    judge_identity: Mapping[str, Any]
    rubric: Rubric = OURS
    """Whose labels the verdicts are."""

    def open(self) -> PairSet:
        """Open the benchmark."""
        given = {**values_of(self.data), "skip_bad": self.sample.skip_bad}
        return load(self.bench, **given, controls=self.controls)


def logged_verdict(question: Question) -> Verdict:
    """Return the verdict that a log holds beside a reply."""
    told = question.need_reply().extra.get(METADATA)
    if not told:
        said = "the log holds no verdict of it"
        return Verdict(Label.UNSCORED, said, Unscored.JUDGE_MISSING, tries=0)
    return convert(dict(told), Verdict, "the verdict in the log")


def unfinished(log: Path) -> str:
    """Say that a log of Inspect's is unfinished, and what finishes it; empty where it is not."""
    status = log_header(log).status
    way = f"`inspect eval-retry {log}` finishes it"
    return "" if status == "success" else f"{log} is unfinished ({status}): {way}"


def run_of_log(log: Path) -> Path:
    """Return the folder of the run that a log of `vlsbench/safety` holds, made beside the log.

    The benchmark is opened again, and ids and texts are held against it. No model is asked.

    Raises:
        VlsbenchError: The log is unfinished, is another task's, or its benchmark is not here.
        MissingExtra: inspect_ai is not installed.
    """
    header, digest = log_header(log), file_sha256(log)
    about = header.eval.metadata or {}
    if METADATA not in about:
        raise VlsbenchError(
            f"{log} is a log of {header.eval.task}, which has no verdicts of vlsbench: "
            f"`vlsbench eval BENCH --replies {log} --judge …` judges its replies"
        )
    if said := unfinished(log):
        raise VlsbenchError(said)
    told = convert(about[METADATA], InspectRun, str(log))
    pairs = told.open()
    asked = {str(id) for id in header.eval.dataset.sample_ids or ()}
    if asked < {pair.id for pair in Selection(pairs, told.sample)}:  # by Inspect's --limit
        few = f"{pairs.name} ({len(asked):,} of its pairs)"
        pairs = pairs.derive(few, lambda: (pair for pair in told.open() if pair.id in asked))
    samples = header.eval.config.epochs or 1
    shown = Presentation(view=told.view, system=told.system, samples=samples)
    selection = Selection(pairs, told.sample)
    made = plan(
        pairs,
        model=open_replies(Replies(files=(log,)), selection, shown),
        judge=FunctionJudge(
            told.judge, logged_verdict, told.judge_identity, sees=False, rubric=told.rubric
        ),
        view=told.view,
        system=told.system,
        samples=samples,
        sample=told.sample,
        output=Output(out=log.with_name(f"{log.stem}-{digest[:8]}"), progress=False),
    )
    return execute(made).folder
