"""The measures of an audit, each run in its own folder and within what is left of the budget."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.auditing._settings import AuditPlan, Overlap, bench_name, name_of
from vlsbench.auditing.behaviour import Behaviour, plan_behaviour
from vlsbench.auditing.behaviour._behaviour import execute as execute_behaviour
from vlsbench.auditing.behaviour._plan import Arm
from vlsbench.auditing.card._card import Measure
from vlsbench.auditing.judged._figures import Judged, JudgedPair, read_judged_pairs
from vlsbench.auditing.judged._judged import JUDGED_PAIRS, plan_judged
from vlsbench.auditing.judged._judged import execute as execute_judged
from vlsbench.auditing.judged._run import JudgedPlan
from vlsbench.auditing.overlap._calibration import load_calibration
from vlsbench.auditing.overlap._captions import CAPTION, CaptionStage, captions, records_of
from vlsbench.auditing.overlap._contents import content_of
from vlsbench.auditing.overlap._figures import ContentKind, OverlapPair, OverlapSummary
from vlsbench.auditing.overlap._ocr import TEXT, WIDTH, TextStage, require_tesseract, texts
from vlsbench.auditing.overlap._overlap import overlap
from vlsbench.config import Sample
from vlsbench.embed import CLIP
from vlsbench.engine import Flow, Job, Ledger, Stage
from vlsbench.evaluation import Output, Selection
from vlsbench.models import ChatModel, Connections, Params, Price, Usage, price_of
from vlsbench.pairs import Pair, PairSet

Say = Callable[[str], None]
CAPTION_TOKENS = (1_000, 60)
"""Into and out of a caption, roughly: an image and two sentences."""


def _folder_of(folder: Path, kind: str, *decisive: Any) -> Path:
    """Name the folder of one measure's calls: other settings, another folder beside it."""
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode())
    return folder / f"{kind}-{digest.hexdigest()[:8]}"


def _sample(selection: Selection) -> PairSet:
    """Return the selected pairs as a set of the same name."""
    pairs = selection.pairs
    if len(selection) == len(pairs):
        return pairs
    return PairSet(
        pairs.name,
        lambda: iter(selection),
        source=pairs.source,
        variant=pairs.variant,
        root=pairs.root,
    )


def run_overlap(
    selection: Selection,
    folder: Path,
    plan: AuditPlan,
    each: Callable[[OverlapPair], None],
    say: Say,
) -> tuple[OverlapSummary, str, tuple[str, ...]]:
    """Run measure A; return it, why reading the images stopped early, and what it lacks."""
    pairs, how = _sample(selection), plan.overlap
    fitted = load_calibration(how.calibration) if how.calibration else None
    with ExitStack() as stack:
        captioned = written = None
        stopped = ""
        notes: tuple[str, ...] = ()
        if how.ocr or how.captioner:
            place = _folder_of(folder, "pictures", how.captioner, how.ocr, pairs.root)
            ledger = stack.enter_context(Ledger.write(place))
            stopped = _read_images(pairs, ledger, plan, say)
            notes = tuple(_unread(ledger))
            captioned = captions(ledger) if how.captioner else None
            written = texts(ledger) if how.ocr else None
        if (name := name_of(how.embedder)).startswith(CLIP):
            say(f"{name} looks at the images; those it has seen are remembered")
        seen = stack.enter_context(_counting(len(pairs), plan.output.progress))

        def count(pair: OverlapPair) -> None:
            seen()
            each(pair)

        found = overlap(
            pairs,
            embedder=how.embedder,
            calibration=fitted,
            caption=captioned,
            text=written,
            each=count,
        )
    return found, stopped, notes


def _unread(ledger: Ledger) -> Iterator[str]:
    """Say how many images gave no words."""
    lost = Counter(o.stage for o in ledger.outcomes() if o.kind == "quarantine")
    if lost[TEXT]:
        yield f"{lost[TEXT]:,} images could not be read by OCR"
    if lost[CAPTION]:
        yield f"{lost[CAPTION]:,} images got no caption"


def _undescribed(pairs: Iterable[Pair]) -> Iterator[Pair]:
    own = (ContentKind.DESCRIPTION, ContentKind.KEY_PHRASE)
    for pair in pairs:
        content = content_of(pair)
        if content is None or content.kind not in own:
            yield pair


def _caption_price(how: Overlap, spec: str) -> Price | None:
    return Price.parse(how.captioner_price) if how.captioner_price else price_of(spec)


def _read_images(pairs: PairSet, ledger: Ledger, plan: AuditPlan, say: Say) -> str:
    """Have captions written and texts read where they are wanted; return why it stopped early."""
    how = plan.overlap
    if how.ocr:
        require_tesseract()

    def job(
        stage: Stage, source: Callable[[], Iterable[Pair]], models: tuple[ChatModel, ...] = ()
    ) -> Job:
        return Job(
            identity=None,
            facts={},
            steps=(Flow((stage,), lambda: records_of(stage.name, source())),),
            models=models,
            prices=prices,
            budget=plan.budget,
            concurrency=plan.connection.concurrency,
            width=plan.connection.concurrency if models else WIDTH,
            total=len({pair.cluster for pair in source() if pair.images}),
            counts=lambda outcome: outcome.stage == stage.name,
            progress=plan.output.progress,
        )

    prices: dict[str, Price | None] = {}
    jobs: list[tuple[str, Job]] = []
    if how.captioner:
        model = Connections.of(plan.connection).open(how.captioner)
        prices[model.spec] = _caption_price(how, model.spec)
        plan.budget.need_prices(
            prices, "give --captioner-price INPUT,OUTPUT in dollars per million tokens"
        )
        said = f"{how.captioner} is asked for captions of images without a description"
        jobs.append((said, job(CaptionStage(model), lambda: _undescribed(pairs), (model,))))
    if how.ocr:
        jobs.append(("Tesseract reads the text in the images", job(TextStage(), lambda: pairs)))
    for said, one in jobs:
        say(said)
        stop = one.run(ledger)
        if stop.error:
            raise stop.error
        if stop.reason:
            return stop.reason
    return ""


@contextmanager
def _counting(total: int, progress: bool) -> Iterator[Callable[[], None]]:
    """Show how many pairs are measured; gives what is to be called for each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("overlap"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not (progress and console.is_terminal),
    )
    task = bar.add_task("overlap", total=total)
    with bar:
        yield lambda: bar.advance(task)


def _of_limit(sample: Sample) -> list[str]:
    """Tell limited audits from those of earlier versions, whose controls were limited too."""
    return [] if sample.limit is None else ["all controls"]


def _plan_judged(selection: Selection, folder: Path, plan: AuditPlan) -> JudgedPlan:
    assert plan.judge is not None, "the plan was checked"
    names = [[bench_name(c) for c in group] for group in (plan.controls, plan.positive_controls)]
    sample = plan.sample
    decisive = [name_of(plan.judge), names, sample.limit, sample.seed, *_of_limit(sample)]
    return plan_judged(
        selection.pairs,
        judge=plan.judge,
        controls=plan.controls,
        positive_controls=plan.positive_controls,
        sample=sample,
        budget=plan.budget,
        connection=plan.connection,
        output=Output(out=_folder_of(folder, "judged", *decisive), progress=plan.output.progress),
    )


def run_judged(
    selection: Selection, folder: Path, plan: AuditPlan, say: Say
) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Run measure B; return it and the benchmark's pairs by id."""
    asked = _plan_judged(selection, folder, plan)
    if left := asked.questions - asked.ended:
        say(
            f"judge {name_of(plan.judge)}: {left:,} of {asked.questions:,} questions to ask, "
            f"controls included, {asked.concurrency} in flight; into {asked.folder}"
        )
    found = execute_judged(asked)
    return found, read_judged_pairs(asked.folder / JUDGED_PAIRS, selection.pairs.name)


def _plan_behaviour(selection: Selection, folder: Path, plan: AuditPlan) -> tuple[Arm, ...]:
    assert plan.model is not None, "the plan was checked"
    assert plan.judge is not None, "the plan was checked"
    names = [bench_name(control) for control in plan.controls]
    sample, params = plan.sample, plan.params
    decisive: list[Any] = [name_of(plan.model), name_of(plan.judge), names]
    decisive += [sample.limit, sample.seed, *_of_limit(sample)]
    decisive += [] if params == Params() else [params.as_json()]
    return plan_behaviour(
        selection.pairs,
        model=plan.model,
        judge=plan.judge,
        controls=plan.controls,
        views=plan.views,
        sample=sample,
        params=params,
        budget=plan.budget,
        connection=plan.connection,
        output=Output(
            out=_folder_of(folder, "behaviour", *decisive), progress=plan.output.progress
        ),
    )


def run_behaviour(selection: Selection, folder: Path, plan: AuditPlan, say: Say) -> Behaviour:
    """Run measure C."""
    return execute_behaviour(
        _plan_behaviour(selection, folder, plan),
        lambda name, view: say(f"model {name_of(plan.model)} on {name}, view {view}"),
    )


@dataclass(frozen=True, slots=True)
class Expense:
    """What a part of an audit asks of models, at most."""

    measure: Measure
    set: str
    part: str
    calls: int
    cost: float | None
    """US dollars, roughly; None where a price is unknown."""
    missing: str = ""
    """Why it cannot be run; empty where it can."""


def expenses(selection: Selection, folder: Path, plan: AuditPlan) -> Iterator[Expense]:
    """Walk what the measures will ask of models; asks nothing and writes nothing."""
    name = selection.pairs.name
    if Measure.OVERLAP in plan.measures and plan.overlap.captioner:
        images = len({pair.cluster for pair in _undescribed(selection) if pair.images})
        price = _caption_price(plan.overlap, name_of(plan.overlap.captioner))
        usage = Usage(*(images * tokens for tokens in CAPTION_TOKENS))
        cost = price.cost(usage) if price else None if images else 0.0
        yield Expense(Measure.OVERLAP, name, "captions", images, cost)
    if Measure.JUDGED in plan.measures:
        asked = _plan_judged(selection, folder, plan)
        calls = asked.questions - asked.ended if asked.judge.model else 0
        yield Expense(Measure.JUDGED, name, "text, image, pair; controls", calls, asked.cost())
    if Measure.BEHAVIOUR in plan.measures:
        for arm in _plan_behaviour(selection, folder, plan):
            part = f"view {arm.view}"
            yield Expense(Measure.BEHAVIOUR, arm.set, part, arm.calls, arm.cost, arm.missing)
