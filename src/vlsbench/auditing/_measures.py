"""The measures of an audit, each run in its own folder and within what is left of the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from vlsbench.auditing._plan import AuditPlan
from vlsbench.auditing._settings import Overlap, name_of
from vlsbench.auditing.behaviour import Arm, Behaviour, behaviour, plan_behaviour
from vlsbench.auditing.card import Measure
from vlsbench.auditing.judged import (
    JUDGED_PAIRS,
    Judged,
    JudgedPair,
    JudgedPlan,
    judged,
    plan_judged,
    read_judged_pairs,
)
from vlsbench.auditing.overlap import (
    CAPTION,
    TEXT,
    CaptionStage,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    TextStage,
    content_of,
    load_calibration,
    look_up,
    overlap,
    records_of,
    require_tesseract,
)
from vlsbench.embed import CLIP
from vlsbench.engine import FILE, Flow, Job, Ledger, Stage
from vlsbench.evaluation import Output, Selection
from vlsbench.judge import PROMPT_VERSION, JudgeContext, read_rubric
from vlsbench.models import ChatModel, Connections, Params, Price, Usage, price_of
from vlsbench.pairs import Pair, PairSet
from vlsbench.text import counted

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
    fitted = load_calibration(how.calibration) if how.calibration else None
    console = Console(stderr=True)
    quiet = not (plan.settings.output.progress and console.is_terminal)
    stopped, notes, looks = "", tuple[str, ...](), dict[str, Callable[[Pair], str]]()
    with ExitStack() as stack:
        if how.ocr or how.captioner:
            content, _ = Selection(whole).content()
            place = plan.folder_of("pictures", how.captioner, how.ocr, whole.root, content)
            ledger = stack.enter_context(Ledger.write(place))
            stopped = _read_images(pairs, ledger, plan, say)
            notes = tuple(_unread(ledger))
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
            embedder=how.embedder,
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
        ).run(ledger)
        if stop.error:
            raise stop.error
        return stop.reason or ""

    if how.ocr:
        require_tesseract()
    prices: dict[str, Price | None] = {}
    if how.captioner:
        model = Connections.of(connection).open(how.captioner)
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


def _plan_judged(plan: AuditPlan) -> JudgedPlan:
    given = plan.settings
    assert given.judge is not None, "the settings were checked"
    names = [[c.name for c in group] for group in (plan.controls, plan.positive_controls)]
    folder = plan.folder_of("judged", name_of(given.judge), names, *_sampled(plan))
    return plan_judged(
        plan.selection.pairs,
        judge=given.judge,
        controls=plan.controls,
        positive_controls=plan.positive_controls,
        sample=given.sample,
        budget=plan.budget,
        connection=given.connection,
        output=Output(out=folder, progress=given.output.progress),
    )


def run_judged(plan: AuditPlan, say: Say) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Run measure B; return it and the benchmark's pairs by id."""
    asked = _plan_judged(plan)
    if left := asked.questions - asked.ended:
        say(
            f"judge {asked.judge.name}: {left:,} of {counted(asked.questions, 'question')} to ask, "
            f"controls included, {asked.connection.concurrency} in flight; into {asked.folder}"
        )
    else:
        say(f"nothing was asked of the judge: {asked.folder} is complete")
    found = judged(asked)
    return found, read_judged_pairs(asked.folder / JUDGED_PAIRS, plan.selection.pairs.name)


def _plan_behaviour(plan: AuditPlan) -> tuple[Arm, ...]:
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
        model=given.model,
        judge=given.judge,
        rubric=given.rubric,
        controls=plan.controls,
        views=given.views,
        sample=given.sample,
        params=given.params,
        budget=plan.budget,
        connection=given.connection,
        output=Output(
            out=folder,
            reuse=tuple(run for run in earlier if run.parent != folder),
            progress=given.output.progress,
        ),
    )


def run_behaviour(plan: AuditPlan, say: Say) -> Behaviour:
    """Run measure C."""
    model = name_of(plan.settings.model)
    return behaviour(
        _plan_behaviour(plan), lambda name, view: say(f"model {model} on {name}, view {view}")
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


def expenses(plan: AuditPlan) -> Iterator[Expense]:
    """Walk what the measures will ask of models; asks nothing and writes nothing."""
    name, how = plan.selection.pairs.name, plan.settings.overlap
    if Measure.OVERLAP in plan.measures and how.captioner:
        images = len({pair.cluster for pair in _undescribed(plan.selection) if pair.images})
        price = _caption_price(how, how.captioner)
        usage = Usage(*(images * tokens for tokens in CAPTION_TOKENS))
        cost = price.cost(usage) if price else None if images else 0.0
        yield Expense(Measure.OVERLAP, name, "captions", images, cost)
    if Measure.JUDGED in plan.measures:
        asked = _plan_judged(plan)
        calls = asked.questions - asked.ended if asked.judge.model else 0
        yield Expense(Measure.JUDGED, name, "text, image, pair; controls", calls, asked.cost())
    if Measure.BEHAVIOUR in plan.measures:
        for arm in _plan_behaviour(plan):
            part = f"view {arm.view}"
            yield Expense(Measure.BEHAVIOUR, arm.set, part, arm.calls, arm.cost, arm.missing)
