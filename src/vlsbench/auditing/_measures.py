"""The measures of an audit, each run in its own folder and within what is left of the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.auditing._head import Expense
from vlsbench.auditing._plan import AuditPlan
from vlsbench.auditing._settings import Overlap, name_of
from vlsbench.auditing.behaviour import Arm, plan_behaviour
from vlsbench.auditing.card import Measure
from vlsbench.auditing.judged import JudgedPlan, open_set
from vlsbench.auditing.overlap import (
    Calibration,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    content_of,
    overlap,
)
from vlsbench.auditing.overlap.read import (
    CAPTION,
    TEXT,
    CaptionStage,
    TextStage,
    look_up,
    records_of,
    require_tesseract,
)
from vlsbench.embed import CLIP, open_embedder
from vlsbench.engine import FILE, Flow, Job, Ledger, Stage
from vlsbench.evaluation import Output, Selection
from vlsbench.evaluation import plan as evaluation_plan
from vlsbench.judge import PROMPT_VERSION, JudgeContext, Judging, open_harm_judge, read_rubric
from vlsbench.models import ChatModel, Connections, Params, Price, Usage, price_of
from vlsbench.pairs import Pair, PairSet
from vlsbench.schemas import read_json

Say = Callable[[str], None]
CAPTION_TOKENS = (1_000, 60)
"""Into and out of a caption, roughly: an image and two sentences."""
OCR_WIDTH = 2
"""Images read at a time; every one keeps a core busy."""


def run_overlap(
    plan: AuditPlan, each: Callable[[OverlapPair], None], say: Say
) -> tuple[OverlapSummary, str, tuple[str, ...]]:
    """Run measure A; return it, why reading the images stopped early, and what it lacks."""
    from rich.console import Console
    from rich.progress import Progress

    whole, how = plan.selection.pairs, plan.settings.overlap
    pairs = whole.derive(whole.name, lambda: plan.selection)
    fitted = read_json(how.calibration, Calibration) if how.calibration else None
    console = Console(stderr=True)
    quiet = not (plan.settings.output.progress and console.is_terminal)
    stopped, notes, looks = "", tuple[str, ...](), dict[str, Callable[[Pair], str]]()
    with ExitStack() as stack:
        if how.ocr or how.captioner:
            content, *_ = Selection(whole).content()
            place = plan.folder_of("pictures", how.captioner, how.ocr, whole.root, content)
            ledger = stack.enter_context(Ledger.write(place))
            stopped = _read_images(pairs, ledger, plan, say)
            notes = (*_unread(ledger), *ledger.notes())
            wanted = {CAPTION: how.captioner, TEXT: how.ocr}
            looks = {kind: look_up(ledger, kind) for kind, given in wanted.items() if given}
        if (name := name_of(how.embedder)).startswith(CLIP):
            say(f"{name} looks at the images; those it has seen are remembered")
        bar = stack.enter_context(Progress(console=console, disable=quiet))
        task = bar.add_task("overlap", total=len(pairs))

        def count(pair: OverlapPair) -> None:
            bar.advance(task)
            each(pair)

        found = overlap(
            pairs,
            embedder=open_embedder(how.embedder, plan.settings.connection),
            calibration=fitted,
            caption=looks.get(CAPTION),
            text=looks.get(TEXT),
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
    how, connection = plan.settings.overlap, plan.settings.connection

    def read(
        said: str, stage: Stage, source: Callable[[], Iterable[Pair]], *models: ChatModel
    ) -> str:
        say(said)
        stop = Job(
            identity=None,
            facts={},
            steps=(Flow((stage,), lambda: records_of(stage.name, source())),),
            models=models,
            prices=prices,
            budget=plan.budget,
            connection=connection,
            width=None if models else OCR_WIDTH,
            total=len({pair.cluster for pair in source() if pair.images}),
            counts=lambda outcome: outcome.stage == stage.name,
            reuse=(),
            progress=plan.settings.output.progress,
            probes=[stage.probe] if isinstance(stage, CaptionStage) else (),
        ).run(ledger)
        if stop.error:
            raise stop.error
        return stop.reason or ""

    if how.ocr:
        require_tesseract()
    prices: dict[str, Price | None] = {}
    if how.captioner:
        model = Connections(connection).open(how.captioner)
        prices[model.spec] = _caption_price(how, model.spec)
        plan.budget.need_prices(
            prices, "give --captioner-price INPUT,OUTPUT in dollars per million tokens"
        )
        said = f"{how.captioner} is asked for captions of images without a description"
        if stopped := read(said, CaptionStage(model), lambda: _undescribed(pairs), model):
            return stopped
    if how.ocr:
        return read("Tesseract reads the text in the images", TextStage(), lambda: pairs)
    return ""


def _sampled(plan: AuditPlan) -> list[Any]:
    """Return what names the sample; earlier versions limited the controls too."""
    sample = plan.settings.sample
    return [sample.limit, sample.seed, *([] if sample.limit is None else ["all controls"])]


def ask_judge(plan: AuditPlan) -> JudgedPlan:
    """Say what measure B asks."""
    given = plan.settings
    assert given.judge is not None, "the settings were checked"
    names = [[c.name for c in group] for group in (plan.controls, plan.positive_controls)]
    folder = plan.folder_of("judged", name_of(given.judge), names, *_sampled(plan))
    judge = open_harm_judge(given.judge, Connections(given.connection))
    sets = [("bench", plan.selection.pairs), *(("benign", one) for one in plan.controls)]
    sets += [("positive", one) for one in plan.positive_controls]
    return JudgedPlan(
        measure="judged",
        sets=[
            open_set(f"{number}-{kind}", kind, pairs, given.sample, sees=judge.sees)
            for number, (kind, pairs) in enumerate(sets)
        ],
        judge=judge,
        sample=given.sample,
        budget=plan.budget,
        connection=given.connection,
        output=_output(plan, folder),
    )


def _output(plan: AuditPlan, folder: Path, reuse: Iterable[Path] = ()) -> Output:
    given = plan.settings.output
    return Output(out=folder, reuse=tuple(reuse), retry=given.retry, progress=given.progress)


def ask_model(plan: AuditPlan) -> tuple[Arm, ...]:
    """Say what measure C asks."""
    given = plan.settings
    assert given.model is not None, "the settings were checked"
    assert given.judge is not None, "the settings were checked"
    names = [control.name for control in plan.controls]
    decisive = [name_of(given.model), name_of(given.judge), names, *_sampled(plan)]
    decisive += [] if given.params == Params() else [given.params.as_json()]
    decisive += [*read_rubric(given.rubric).identity.values()]
    # Judges that are told something else make other runs, which take over the replies of these.
    folder = plan.folder_of("behaviour", *decisive, PROMPT_VERSION, str(JudgeContext.BOTH))
    earlier = sorted(place.parent for place in plan.folder.glob(f"behaviour-*/*/{FILE}"))
    return plan_behaviour(
        plan.selection.pairs,
        plan.controls,
        given.views,
        given.sample,
        _output(plan, folder, (run for run in earlier if run.parent != folder)),
        partial(
            evaluation_plan,
            model=given.model,
            judge=given.judge,
            judging=Judging(rubric=given.rubric),
            params=given.params,
            budget=plan.budget,
            connection=given.connection,
        ),
    )


def expenses(plan: AuditPlan) -> Iterator[tuple[Measure, Expense]]:
    """Walk what the measures will ask of models; asks nothing and writes nothing."""
    how = plan.settings.overlap
    if Measure.OVERLAP in plan.measures and how.captioner:
        images = len({pair.cluster for pair in _undescribed(plan.selection) if pair.images})
        price = _caption_price(how, how.captioner)
        usage = Usage(*(images * tokens for tokens in CAPTION_TOKENS))
        cost = price.cost(usage) if price else None if images else 0.0
        name = plan.selection.pairs.name
        yield Measure.OVERLAP, Expense(set=name, part="captions", calls=images, cost=cost)
    if Measure.JUDGED in plan.measures:
        yield from ((Measure.JUDGED, one) for one in ask_judge(plan).expenses())
    if Measure.BEHAVIOUR in plan.measures:
        yield from ((Measure.BEHAVIOUR, arm) for arm in ask_model(plan))
