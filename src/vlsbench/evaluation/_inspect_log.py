"""Logs of the Inspect task `vlsbench/safety`, read back as runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlsbench.config import Data, Sample, values_of
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._evaluate import execute, plan
from vlsbench.evaluation._replies import open_replies
from vlsbench.evaluation._reply_files import METADATA, log_header
from vlsbench.evaluation._settings import Output, Presentation, Replies, Selection
from vlsbench.files import file_sha256
from vlsbench.judge import OURS, FunctionJudge, Label, Question, Rubric, Unscored, Verdict
from vlsbench.pairs import PairSet, View, load
from vlsbench.schemas import convert


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
