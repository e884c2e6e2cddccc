"""The measures of an audit, each run in its own folder and within what is left of the budget."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlsbench.auditing._settings import AuditSettings, bench_name
from vlsbench.auditing.behaviour._behaviour import behaviour
from vlsbench.auditing.behaviour._types import Behaviour
from vlsbench.auditing.card._card import read_judged_pairs
from vlsbench.auditing.judged._judged import JUDGED_PAIRS, judged
from vlsbench.auditing.judged._run import JudgedPlan
from vlsbench.auditing.judged._types import Judged, JudgedPair
from vlsbench.auditing.overlap._calibration import load_calibration
from vlsbench.auditing.overlap._captions import CAPTION, caption, captions
from vlsbench.auditing.overlap._contents import content_of
from vlsbench.auditing.overlap._ocr import TEXT, read_texts, require_tesseract, texts
from vlsbench.auditing.overlap._overlap import overlap
from vlsbench.auditing.overlap._types import ContentKind, OverlapPair, OverlapSummary
from vlsbench.embed._text import CLIP
from vlsbench.engine import (
    FILE,
    Budget,
    Context,
    Ledger,
    StopSignal,
    Tally,
    heed_ctrl_c,
    in_a_loop,
    progress_bar,
)
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection, spend_by_role
from vlsbench.evaluation._evaluate import open_model
from vlsbench.models import ChatModel, Connections, Patience, Price, price_of
from vlsbench.pairs import Pair, PairSet

Say = Callable[[str], None]


class Purse:
    """What is left of a budget while measures and benchmarks spend it one after the other."""

    def __init__(self, folder: Path, max_calls: int | None, max_cost: float | None) -> None:
        self._folder, self._max_calls, self._max_cost = folder, max_calls, max_cost
        self._before = self._paid()

    def _paid(self) -> tuple[int, float]:
        calls, cost = 0, 0.0
        if self._max_calls is None and self._max_cost is None:
            return calls, cost
        for path in self._folder.rglob(FILE):
            with Ledger.read(path.parent) as ledger:
                spend, _ = spend_by_role(ledger)
            calls += sum(row.calls for row in spend)
            cost += sum(row.cost or 0.0 for row in spend)
        return calls, cost

    def left(self, settings: AuditSettings) -> AuditSettings:
        """Return the settings with what is left."""
        calls, cost = (now - then for now, then in zip(self._paid(), self._before, strict=True))
        return replace(
            settings,
            max_calls=None if self._max_calls is None else max(0, self._max_calls - int(calls)),
            max_cost=None if self._max_cost is None else max(0.0, self._max_cost - cost),
        )


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
    settings: AuditSettings,
    each: Callable[[OverlapPair], None],
    say: Say,
) -> tuple[OverlapSummary, str, tuple[str, ...]]:
    """Run measure A; return it, why reading the pictures stopped early, and what it lacks."""
    pairs = _sample(selection)
    fitted = load_calibration(Path(settings.calibration)) if settings.calibration else None
    with ExitStack() as stack:
        captioned = written = None
        stopped = ""
        notes: tuple[str, ...] = ()
        if settings.ocr or settings.captioner:
            place = _folder_of(folder, "pictures", settings.captioner, settings.ocr, pairs.root)
            ledger = stack.enter_context(Ledger.write(place))
            stopped = _read_pictures(pairs, ledger, settings, say)
            notes = tuple(_unread(ledger))
            captioned = captions(ledger) if settings.captioner else None
            written = texts(ledger) if settings.ocr else None
        if settings.embedder.startswith(CLIP):
            say(f"{settings.embedder} looks at the pictures; those it has seen are remembered")
        seen = stack.enter_context(_counting(len(pairs), settings.progress))

        def count(pair: OverlapPair) -> None:
            seen()
            each(pair)

        found = overlap(
            pairs,
            embedder=settings.embedder,
            calibration=fitted,
            caption=captioned,
            text=written,
            each=count,
        )
    return found, stopped, notes


def _unread(ledger: Ledger) -> Iterator[str]:
    """Say how many pictures gave no words."""
    lost = Counter(o.stage for o in ledger.outcomes() if o.kind == "quarantine")
    if lost[TEXT]:
        yield f"{lost[TEXT]:,} pictures could not be read by OCR"
    if lost[CAPTION]:
        yield f"{lost[CAPTION]:,} pictures got no caption"


def _read_pictures(pairs: PairSet, ledger: Ledger, settings: AuditSettings, say: Say) -> str:
    """Have captions written and texts read where they are wanted; return why it stopped early."""
    if settings.ocr:
        require_tesseract()

    def undescribed() -> Iterator[Pair]:
        own = (ContentKind.DESCRIPTION, ContentKind.KEY_PHRASE)
        for pair in pairs:
            content = content_of(pair)
            if content is None or content.kind not in own:
                yield pair

    captioner: ChatModel | None = None
    price: Price | None = None
    if settings.captioner:
        connections = Connections(
            settings.concurrency,
            Patience(timeout_s=settings.timeout_s, retries=settings.retries),
        )
        captioner = open_model(settings.captioner, connections)
        price = (
            Price.parse(settings.captioner_price)
            if settings.captioner_price
            else price_of(settings.captioner)
        )
        if settings.max_cost is not None and price is None:
            raise VlsbenchError(
                f"--max-cost needs a price, and that of {settings.captioner} is unknown: give "
                "--captioner-price INPUT,OUTPUT in dollars per million tokens, or use --max-calls"
            )
        say(f"{settings.captioner} is asked for captions of pictures without a description")

    async def go() -> StopSignal:
        stop = StopSignal()
        spec = settings.captioner or ""
        budget = Budget(stop, settings.max_calls, settings.max_cost, {spec: price})
        with heed_ctrl_c(stop):
            if captioner:
                tally = _tally(undescribed(), ledger, CAPTION)
                try:
                    with _watch(tally, settings.progress):
                        ctx = Context(ledger, (), budget, stop, tally)
                        await caption(undescribed(), captioner, ctx, width=settings.concurrency)
                finally:
                    await captioner.close()
            if settings.ocr and not stop:
                say("Tesseract reads the text in the pictures")
                tally = _tally(pairs, ledger, TEXT)
                with _watch(tally, settings.progress):
                    await read_texts(pairs, Context(ledger, (), budget, stop, tally))
        return stop

    stop = in_a_loop(go)
    if stop.error:
        raise stop.error
    return stop.reason or ""


def _tally(pairs: Iterable[Pair], ledger: Ledger, stage: str) -> Tally:
    return Tally(
        total=len({pair.cluster for pair in pairs if pair.images}),
        done=sum(outcome.stage == stage for outcome in ledger.outcomes()),
    )


def _watch(tally: Tally, progress: bool) -> AbstractContextManager[None]:
    from rich.console import Console

    return progress_bar(tally, Console(stderr=True)) if progress else nullcontext()


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


def run_judged(
    selection: Selection, folder: Path, settings: AuditSettings, say: Say
) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Run measure B; return it and the benchmark's pairs by id."""
    judge = settings.judge or ""
    names = [
        [bench_name(c) for c in group] for group in (settings.controls, settings.positive_controls)
    ]
    place = _folder_of(folder, "judged", judge, names, settings.limit, settings.seed)

    def before(plan: JudgedPlan) -> bool:
        say(
            f"judge {judge}: {plan.questions - plan.ended:,} of {plan.questions:,} questions to "
            f"ask, controls included, {settings.concurrency} in flight; into {place}"
        )
        return True

    found = judged(
        selection.pairs,
        judge=judge,
        controls=settings.controls,
        positive_controls=settings.positive_controls,
        skip_bad=settings.skip_bad,
        limit=settings.limit,
        seed=settings.seed,
        out=place,
        concurrency=settings.concurrency,
        max_calls=settings.max_calls,
        max_cost=settings.max_cost,
        price=settings.judge_price,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        progress=settings.progress,
        before=before,
    )
    return found, read_judged_pairs(place / JUDGED_PAIRS, selection.pairs.name)


def run_behaviour(
    selection: Selection, folder: Path, settings: AuditSettings, say: Say
) -> Behaviour:
    """Run measure C."""
    model, judge = settings.model or "", settings.judge or ""
    names = [bench_name(control) for control in settings.controls]
    return behaviour(
        selection.pairs,
        model=model,
        judge=judge,
        controls=settings.controls,
        skip_bad=settings.skip_bad,
        seed=settings.seed,
        limit=settings.limit,
        out=_folder_of(folder, "behaviour", model, judge, names, settings.limit, settings.seed),
        concurrency=settings.concurrency,
        max_calls=settings.max_calls,
        max_cost=settings.max_cost,
        price=settings.price,
        judge_price=settings.judge_price,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        progress=settings.progress,
        on_run=lambda name, view: say(f"model {model} on {name}, view {view}"),
    )
