"""`vlsbench.audit` and `vlsbench.leaderboard`: leakage cards from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from vlsbench.auditing._plan import (
    AUDITS,
    PLACE,
    AuditPlan,
    ask_judge,
    ask_model,
    place_of,
    plan_audits,
)
from vlsbench.auditing._settings import AuditSettings, name_of
from vlsbench.auditing.against import Graded, graded, hold
from vlsbench.auditing.behaviour.figures import Behaviour
from vlsbench.auditing.behaviour.run import compare_views
from vlsbench.auditing.card.card import (
    CARD_JSON,
    Card,
    Leaderboard,
    Measure,
    make_card,
    make_leaderboard,
)
from vlsbench.auditing.card.page import leaderboard_markdown, write_card
from vlsbench.auditing.card.pairs import DROP, PAIRS, CardRow, Seen, write_drop_list
from vlsbench.auditing.judged.figures import Judged, JudgedPair
from vlsbench.auditing.judged.run import judged
from vlsbench.auditing.overlap.calibration import Calibration
from vlsbench.auditing.overlap.contents import CAPTION, TEXT, read_images
from vlsbench.auditing.overlap.figures import OverlapPair, OverlapSummary
from vlsbench.auditing.overlap.run import overlap
from vlsbench.embed import open_embedder
from vlsbench.engine import Ledger
from vlsbench.evaluation import Selection
from vlsbench.files import output_folder, whole_file, write_json, write_text
from vlsbench.pages import counted, framed
from vlsbench.pairs import Bench, Pair
from vlsbench.schemas import read_json
from vlsbench.tables import RowWriter

P = ParamSpec("P")
B = TypeVar("B")
R = TypeVar("R")
CARD_HTML = "card.html"


@dataclass(frozen=True)
class Audit:
    """An audit that went as far as it could."""

    folder: Path
    card: Card
    graded: tuple[Graded, ...] = field(default=(), repr=False)
    """Pairs with grades, where these were asked for."""

    @property
    def stopped(self) -> str:
        """Why it ended early; empty where it is complete."""
        return self.card.stopped

    @property
    def page(self) -> Path:
        """The card as HTML."""
        return self.folder / CARD_HTML

    @property
    def pairs(self) -> Path:
        """`pairs.parquet`: one row a pair, with its scores."""
        return self.folder / PAIRS

    def _repr_html_(self) -> str:
        return framed(self.page)


def _set_by(
    settings: Callable[P, AuditSettings],
) -> Callable[[Callable[[B, AuditSettings], R]], Callable[Concatenate[B, P], R]]:
    """Let a job take the fields of its settings as keywords, as they are declared there."""

    def decorate(job: Callable[[B, AuditSettings], R]) -> Callable[Concatenate[B, P], R]:
        made: Callable[..., AuditSettings] = settings
        first, *_ = signature(job).parameters.values()
        shown = signature(job).replace(parameters=[first, *signature(settings).parameters.values()])

        @wraps(job)
        def called(*given: Any, **options: Any) -> R:
            found = shown.bind(*given, **options).arguments
            return job(found.pop(first.name), made(**found))

        vars(called)["__signature__"] = shown
        return cast(Callable[Concatenate[B, P], R], called)

    return decorate


@_set_by(AuditSettings)
def audit(bench: Bench, settings: AuditSettings) -> Audit:
    """Measure how much of the images' risk the texts of a benchmark tell, on a leakage card.

    The same settings resume where an earlier audit stopped; no call is paid for twice.

    Args:
        bench: A name, `lab/NAME`, a path, an opened set, or any pairs.
        settings: What is measured and how, the fields of `AuditSettings` as keywords: `measures`,
            `judge`, `controls`, …; by default, measure A with MiniLM.

    Returns:
        The folder, with card.html, card.json and pairs.parquet, and the card.

    Raises:
        BadRows: Some pairs cannot be used; lists every one.
        FatalCall: A model cannot work (key, name, address).
        VlsbenchError: Anything else that the caller can mend.
    """
    (plan,) = plan_audits([bench], settings)
    return run_audit(plan)


@_set_by(AuditSettings)
def leaderboard(
    benches: Iterable[Bench], settings: AuditSettings
) -> tuple[Leaderboard, Sequence[Audit]]:
    """Audit several benchmarks and set them side by side, the most leaking first.

    Args:
        benches: As for `audit`; all are opened before anything is asked.
        settings: As keywords, the same for all, budget included. `output.out` (by default
            `audits/`) holds the leaderboard's files and a folder for each audit.

    Returns:
        The table, which leaderboard.md and .json in the folder hold too, and the audits in the
        order given. One that stops early ends the leaderboard before its time.
    """
    return run_leaderboard(benches, settings)


def run_leaderboard(
    benches: Iterable[Bench], settings: AuditSettings
) -> tuple[Leaderboard, Sequence[Audit]]:
    """Do what `leaderboard` does."""
    folder = settings.output.out or AUDITS
    audits: list[Audit] = []
    for plan in plan_audits(benches, settings, nested=True):
        plan.say(f"{plan.selection.pairs.name}: {counted(len(plan.selection.pairs), 'pair')}")
        audits.append(run_audit(plan))
        if audits[-1].stopped:
            break
    output_folder(folder)
    cards = [(one.card, os.path.relpath(one.folder, folder)) for one in audits]
    rows = [row for one in audits for row in one.graded]
    found = make_leaderboard(cards, audits[0].card.settings, hold(rows) if rows else None)
    write_json(found, folder / "leaderboard.json")
    write_text(leaderboard_markdown(found), folder / "leaderboard.md")
    return found, audits


def run_audit(plan: AuditPlan) -> Audit:
    """Carry a plan out."""
    # What cannot be asked is an error before anything is.
    questions = ask_judge(plan) if Measure.JUDGED in plan.measures else None
    arms = ask_model(plan) if Measure.BEHAVIOUR in plan.measures else ()
    output_folder(plan.folder)
    (plan.folder / PLACE).write_text(place_of(plan.selection.pairs), "utf-8")
    told: OverlapSummary | None = None
    harm: Judged | None = None
    behaviour: Behaviour | None = None
    measured: list[OverlapPair] = []
    labels: Mapping[str, JudgedPair] = {}
    stopped, notes, model = "", plan.notes, f"model {name_of(plan.settings.model)}"
    if Measure.OVERLAP in plan.measures:
        told, stopped, lacking = _overlap(plan, measured)
        notes = (*lacking, *notes)
    if questions and not stopped:
        harm, labels = judged(questions, plan.say)
        stopped = harm.stopped
    if arms and not stopped:
        behaviour = compare_views(arms, lambda of, view: plan.say(f"{model} on {of}, view {view}"))
        stopped = behaviour.stopped
    seen = {one.id: Seen(one, labels.get(one.id)) for one in measured}
    seen = seen or {one.id: Seen(None, one) for one in labels.values()}
    rows = [one.row() for one in seen.values()]
    with whole_file(plan.folder / PAIRS) as part, RowWriter(CardRow, part) as file:
        for row in rows:
            file.add(row)
    name, threshold = plan.selection.pairs.name, plan.settings.output.drop_leaking
    held = [
        found
        for pair in (plan.selection if plan.settings.against else ())
        if (found := graded(pair, name, *seen.get(pair.id, Seen(None))))
    ]
    if threshold is None:
        (plan.folder / DROP).unlink(missing_ok=True)  # an earlier card's
    card = make_card(
        plan.selection,
        settings=plan.shown(),
        overlap=told,
        judged=harm,
        behaviour=behaviour,
        judged_pairs=labels,
        dropped=None
        if threshold is None
        else write_drop_list(plan.folder / DROP, name, threshold, rows),
        stopped=stopped,
        notes=notes,
        against=hold(held) if held else None,
    )
    write_json(card, plan.folder / CARD_JSON)
    write_card(card, plan.folder / CARD_HTML)
    return Audit(plan.folder, card, tuple(held))


def _overlap(
    plan: AuditPlan, measured: list[OverlapPair]
) -> tuple[OverlapSummary, str, tuple[str, ...]]:
    """Run measure A; return it, why reading the images stopped early, and notes."""
    from rich.console import Console
    from rich.progress import Progress

    whole, given, how = plan.selection.pairs, plan.settings, plan.settings.overlap
    pairs = whole.derive(whole.name, lambda: plan.selection)
    stopped, notes, looks = "", tuple[str, ...](), dict[str, Callable[[Pair], str]]()
    console = Console(stderr=True)
    with ExitStack() as stack:
        if how.ocr or how.captioner:
            content, *_ = Selection(whole).content()
            place = plan.folder_of("pictures", how.captioner, how.ocr, whole.root, content)
            ledger = stack.enter_context(Ledger.write(place))
            stopped, looks = read_images(
                pairs,
                ledger,
                captioner=how.captioner,
                ocr=how.ocr,
                budget=plan.budget,
                connection=given.connection,
                progress=given.output.progress,
                say=plan.say,
            )
            notes = tuple(ledger.notes())
        quiet = not (given.output.progress and console.is_terminal)
        bar = stack.enter_context(Progress(console=console, disable=quiet))
        task = bar.add_task("overlap", total=len(pairs))

        def each(pair: OverlapPair) -> None:
            bar.advance(task)
            measured.append(pair)

        found = overlap(
            pairs,
            embedder=open_embedder(how.embedder, given.connection),
            calibration=read_json(how.calibration, Calibration) if how.calibration else None,
            each=each,
            caption=looks.get(CAPTION),
            text=looks.get(TEXT),
        )
    return found, stopped, notes
