"""`vlsbench.audit` and `vlsbench.leaderboard`: leakage cards from Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from vlsbench.auditing._measures import Say, ask_judge, ask_model, run_overlap
from vlsbench.auditing._plan import AUDITS, PLACE, AuditPlan, place_of, plan_audits
from vlsbench.auditing._settings import AuditSettings, name_of
from vlsbench.auditing.against import Graded, graded, hold
from vlsbench.auditing.behaviour import Behaviour, compare_views
from vlsbench.auditing.card import (
    CARD_JSON,
    DROP,
    LEADERBOARD_JSON,
    PAIRS,
    Card,
    CardRow,
    Leaderboard,
    Measure,
    Seen,
    leaderboard_markdown,
    make_card,
    make_leaderboard,
    read_card,
    write_card,
    write_drop_list,
    write_leaderboard,
)
from vlsbench.auditing.judged import Judged, JudgedPair, judged
from vlsbench.auditing.overlap import OverlapPair, OverlapSummary
from vlsbench.files import output_folder, whole_file, write_json, write_text
from vlsbench.pages import counted, framed
from vlsbench.pairs import Bench
from vlsbench.schemas import SchemaError
from vlsbench.tables import RowWriter

P = ParamSpec("P")
B = TypeVar("B")
R = TypeVar("R")
CARD_HTML = "card.html"
LEADERBOARD_HTML = "leaderboard.html"
LEADERBOARD_MD = "leaderboard.md"


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
    return run_audit(plan, _teller(settings))


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
        The table, which leaderboard.html, .md and .json in the folder hold too, and the audits in
        the order given. One that stops early ends the leaderboard before its time.
    """
    return run_leaderboard(benches, settings, _teller(settings))


def _teller(settings: AuditSettings) -> Say:
    """Tell what is about to be asked of whom as the command does, where progress is shown."""
    return partial(print, file=sys.stderr) if settings.output.progress else lambda line: None


def run_leaderboard(
    benches: Iterable[Bench],
    settings: AuditSettings,
    say: Say = lambda line: None,
    skipped: Mapping[str, str] | None = None,
) -> tuple[Leaderboard, Sequence[Audit]]:
    """Do what `leaderboard` does, and tell `say` what is about to be asked of whom.

    `skipped` names benchmarks that were left out, and says why.
    """
    folder = settings.output.out or AUDITS
    audits: list[Audit] = []
    for plan in plan_audits(benches, settings, nested=True):
        say(f"{plan.selection.pairs.name}: {counted(len(plan.selection.pairs), 'pair')}")
        audits.append(run_audit(plan, say))
        if audits[-1].stopped:
            break
    output_folder(folder)
    cards = [(one.card, os.path.relpath(one.folder, folder)) for one in audits]
    rows = [row for one in audits for row in one.graded]
    found = make_leaderboard(cards, audits[0].card.settings, hold(rows) if rows else None, skipped)
    write_json(found, folder / LEADERBOARD_JSON)
    write_leaderboard(found, folder / LEADERBOARD_HTML)
    write_text(leaderboard_markdown(found), folder / LEADERBOARD_MD)
    return found, audits


def run_audit(plan: AuditPlan, say: Say = lambda line: None) -> Audit:
    """Carry a plan out, and tell `say` what is about to be asked of whom."""
    # What cannot be asked is an error before anything is.
    questions = ask_judge(plan) if Measure.JUDGED in plan.measures else None
    arms = ask_model(plan) if Measure.BEHAVIOUR in plan.measures else ()
    output_folder(plan.folder)
    (plan.folder / PLACE).write_text(place_of(plan.selection.pairs), "utf-8")
    overlap: OverlapSummary | None = None
    harm: Judged | None = None
    behaviour: Behaviour | None = None
    measured: list[OverlapPair] = []
    labels: Mapping[str, JudgedPair] = {}
    stopped, notes, model = "", plan.notes, f"model {name_of(plan.settings.model)}"
    if Measure.OVERLAP in plan.measures:
        overlap, stopped, lacking = run_overlap(plan, measured.append, say)
        notes = (*lacking, *notes)
    if questions and not stopped:
        harm, labels = judged(questions, say)
        stopped = harm.stopped
    if arms and not stopped:
        behaviour = compare_views(arms, lambda of, view: say(f"{model} on {of}, view {view}"))
        stopped = behaviour.stopped
    _set_aside(plan, say)
    seen = {one.id: Seen(one, labels.get(one.id)) for one in measured}
    seen = seen or {one.id: Seen(None, one) for one in labels.values()}
    rows = [one.row() for one in seen.values()]
    with whole_file(plan.folder / PAIRS) as part, RowWriter(CardRow, part) as file:
        for row in rows:
            file.add(row)
    name, output = plan.selection.pairs.name, plan.settings.output
    held = [
        found
        for pair in (plan.selection if plan.settings.against else ())
        if (found := graded(pair, name, *seen.get(pair.id, Seen(None))))
    ]
    card = make_card(
        plan.selection,
        settings=plan.shown(),
        overlap=overlap,
        judged=harm,
        behaviour=behaviour,
        judged_pairs=labels,
        dropped=write_drop_list(plan.folder / DROP, name, output.drop_leaking, rows)
        if output.drop_leaking is not None
        else None,
        stopped=stopped,
        notes=notes,
        against=hold(held, overlap, harm) if held else None,
    )
    write_json(card, plan.folder / CARD_JSON)
    write_card(card, plan.folder / CARD_HTML)
    return Audit(plan.folder, card, tuple(held))


def _set_aside(plan: AuditPlan, say: Say) -> None:
    """Keep an earlier card of measures that this one lacks, in a folder of their names."""
    card = plan.folder / CARD_JSON
    measured: tuple[str, ...] = ()
    try:
        measured = read_card(card).measures if card.is_file() else ()
    except SchemaError:  # of another version
        measured = ("unreadable",)
    if {*measured} <= {*plan.measures}:
        return
    aside = plan.folder / "-".join(measured)
    aside.mkdir(exist_ok=True)
    for name in (CARD_JSON, CARD_HTML, PAIRS, DROP):
        with suppress(FileNotFoundError):
            (plan.folder / name).replace(aside / name)
    say(f"the earlier card ({', '.join(measured)}) is kept in {aside}/")
