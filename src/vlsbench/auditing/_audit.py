"""`vlsbench.audit` and `vlsbench.leaderboard`: leakage cards from Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.auditing._measures import (
    Expense,
    Say,
    expenses,
    run_behaviour,
    run_judged,
    run_overlap,
)
from vlsbench.auditing._settings import AuditOutput, AuditPlan, Overlap, bench_name, measures_of
from vlsbench.auditing.behaviour import VIEWS, Behaviour
from vlsbench.auditing.card import (
    CARD_JSON,
    DROP,
    LEADERBOARD_JSON,
    Card,
    DropList,
    Leaderboard,
    Measure,
    leaderboard_markdown,
    leak_score,
    make_card,
    make_leaderboard,
    write_card,
    write_leaderboard,
)
from vlsbench.auditing.card._pairs import PAIRS, CardRow, card_row
from vlsbench.auditing.judged import Judged, JudgedPair
from vlsbench.auditing.overlap import OverlapPair, OverlapSummary
from vlsbench.config import Budget, Connection, Sample
from vlsbench.engine import CostBudget
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection
from vlsbench.files import whole_file, write_json, write_text
from vlsbench.judge import Brought
from vlsbench.models import ChatModel, Params
from vlsbench.pages import counted, framed
from vlsbench.pairs import Bench, PairSet, list_sources, load
from vlsbench.registry import is_simulated
from vlsbench.tables import RowWriter
from vlsbench.text import file_name

AUDITS = Path("audits")
"""Where audits go unless told otherwise."""
CARD_HTML = "card.html"
LEADERBOARD_HTML = "leaderboard.html"
LEADERBOARD_MD = "leaderboard.md"
POSITIVE = ("xstest", "vlguard:safe_unsafes")
"""Positive controls where none are named; of XSTest, the unsafe prompts count."""


@dataclass(frozen=True)
class Audit:
    """An audit that went as far as it could."""

    folder: Path
    card: Card

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


def audit(
    bench: Bench,
    *,
    measures: Sequence[str] = (Measure.OVERLAP,),
    overlap: Overlap | None = None,
    judge: str | Brought | None = None,
    controls: Sequence[Bench] = (),
    positive_controls: Sequence[Bench] | None = None,
    model: str | ChatModel | None = None,
    views: Sequence[str] = VIEWS,
    sample: Sample | None = None,
    params: Params | None = None,
    data_root: str | os.PathLike[str] | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: AuditOutput | None = None,
    say: Say = lambda line: None,
) -> Audit:
    """Measure how much of the images' risk the texts of a benchmark tell, on a leakage card.

    The same arguments resume where an earlier audit stopped; no call is paid for twice.

    Args:
        bench: A name, `lab/NAME`, a path, an opened set, or any pairs.
        measures: `overlap` (A, offline), `judged` (B) and `behaviour` (C).
        overlap: How measure A is taken.
        judge: Says what is harmful (B) and labels replies (C).
        controls: Benign sets like the benchmark (B, C).
        positive_controls: Sets of texts that are harmful on their own (B); by default `xstest`,
            or `vlguard:safe_unsafes`, where its files are at hand, and none for a simulated judge.
        model: Whose behaviour is measured (C).
        views: What is asked beside the full view (C).
        sample: Which pairs of the benchmark are used; of controls, all are.
        params: Sampling parameters of the model (C).
        data_root: Folder of sets in their official layouts, where positive controls may lie.
        budget: What may be spent, over all measures.
        connection: How servers are asked.
        output: Where the card goes, and what is written beside it.
        say: Is told what is about to be asked of whom.

    Returns:
        The folder, with card.html, card.json and pairs.parquet, and the card.

    Raises:
        BadRows: Some pairs cannot be used; lists every one.
        FatalCall: A model cannot work (key, name, address).
        VlsbenchError: Anything else that the caller can mend.
    """
    plan = _plan(
        measures=measures,
        overlap=overlap,
        judge=judge,
        controls=controls,
        positive_controls=positive_controls,
        model=model,
        views=views,
        sample=sample,
        params=params,
        data_root=data_root,
        budget=budget,
        connection=connection,
        output=output,
    )
    pairs = load(bench, skip_bad=plan.sample.skip_bad)
    return _audit(pairs, plan.output.out or AUDITS / file_name(pairs.name, "bench"), plan, say)


def audit_expenses(bench: Bench, **options: Any) -> tuple[Expense, ...]:
    """Say what an audit will ask of models and roughly cost; asks nothing and writes nothing.

    Args:
        bench: As for `audit`.
        options: The other arguments of `audit`.
    """
    plan = _plan(**{name: value for name, value in options.items() if name != "say"})
    pairs = load(bench, skip_bad=plan.sample.skip_bad)
    plan.check(pairs)
    folder = plan.output.out or AUDITS / file_name(pairs.name, "bench")
    return tuple(expenses(Selection(pairs, plan.sample), folder, plan))


def _plan(
    *,
    measures: Sequence[str] = (Measure.OVERLAP,),
    overlap: Overlap | None = None,
    judge: str | Brought | None = None,
    controls: Sequence[Bench] = (),
    positive_controls: Sequence[Bench] | None = None,
    model: str | ChatModel | None = None,
    views: Sequence[str] = VIEWS,
    sample: Sample | None = None,
    params: Params | None = None,
    data_root: str | os.PathLike[str] | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: AuditOutput | None = None,
) -> AuditPlan:
    wanted = measures_of(tuple(measures))
    by_default = positive_controls is None and Measure.JUDGED in wanted
    if by_default:
        positive_controls = _positive_at_hand(judge, data_root)
    return AuditPlan(
        measures=wanted,
        overlap=overlap or Overlap(),
        judge=judge,
        controls=tuple(controls),
        positive_controls=tuple(positive_controls or ()),
        positive_by_default=by_default and bool(positive_controls),
        model=model,
        views=tuple(views),
        sample=sample or Sample(),
        params=params or Params(),
        budget=CostBudget.of(budget),
        connection=connection or Connection(),
        output=output or AuditOutput(),
    )


def _positive_at_hand(
    judge: str | Brought | None, data_root: str | os.PathLike[str] | None
) -> list[PairSet]:
    """Open the first set of texts harmful on their own whose files are there.

    A simulated judge knows nothing outside of its world, so it is asked about none.
    """
    if judge is None or (isinstance(judge, str) and is_simulated(judge)):
        return []
    for name in POSITIVE:
        with suppress(VlsbenchError):
            return [open_from(name, data_root, skip_bad=True)]
    return []


def leaderboard(
    benches: Iterable[Bench],
    *,
    data_root: str | os.PathLike[str] | None = None,
    output: AuditOutput | None = None,
    sample: Sample | None = None,
    budget: Budget | CostBudget | None = None,
    controls: Sequence[Bench] = (),
    positive_controls: Sequence[Bench] | None = None,
    say: Say = lambda line: None,
    **options: Any,
) -> tuple[Leaderboard, Sequence[Audit]]:
    """Audit several benchmarks and set them side by side, the most leaking first.

    Args:
        benches: Names, paths, or opened sets; all are opened before anything is asked.
        data_root: Folder of sets in their official layouts, each under its name (with - or _).
        output: `out` holds the leaderboard's files and a folder for each audit; by default
            `audits/`.
        sample: Which pairs of each are used.
        budget: What may be spent over all of them.
        controls: As for `audit`; may lie in `data_root` too.
        positive_controls: The same.
        say: Is told what is about to be asked of whom.
        options: Further arguments of `audit`.

    Returns:
        The table, which leaderboard.html, .md and .json in the folder hold too, and the audits in
        the order given. One that stops early ends the leaderboard before its time.

    Raises:
        VlsbenchError: As for `audit`.
    """
    output, sample, spending = output or AuditOutput(), sample or Sample(), CostBudget.of(budget)
    folder = output.out or AUDITS
    names: dict[str, PairSet] = {}
    for bench in benches:
        pairs = open_from(bench, data_root, sample.skip_bad)
        slug = file_name(pairs.name, "bench")
        if slug in names:
            raise VlsbenchError(
                f"{pairs.name} is there twice (or shares its folder {slug} with "
                f"{names[slug].name}): a leaderboard holds every benchmark once"
            )
        names[slug] = pairs
    options["controls"] = [open_from(c, data_root, sample.skip_bad) for c in controls]
    if positive_controls is not None:
        positive_controls = [open_from(c, data_root, sample.skip_bad) for c in positive_controls]
    options["positive_controls"] = positive_controls
    options["data_root"] = data_root
    audits: list[Audit] = []
    for slug, pairs in names.items():
        say(f"{pairs.name}: {counted(len(pairs), 'pair')}")
        audits.append(
            audit(
                pairs,
                sample=sample,
                budget=spending,
                output=replace(output, out=folder / slug),
                say=say,
                **options,
            )
        )
        if audits[-1].stopped:
            break
    found = make_leaderboard(
        [(one.card, one.folder.name) for one in audits], audits[0].card.settings
    )
    write_json(found, folder / LEADERBOARD_JSON)
    write_leaderboard(found, folder / LEADERBOARD_HTML)
    write_text(leaderboard_markdown(found), folder / LEADERBOARD_MD)
    return found, audits


def open_from(bench: Bench, data_root: str | os.PathLike[str] | None, skip_bad: bool) -> PairSet:
    """Open a benchmark whose files may lie in a folder of sets.

    Raises:
        VlsbenchError: It is neither there nor fetched.
    """
    if data_root is not None and isinstance(bench, str | os.PathLike):
        name = os.fspath(bench).partition(":")[0]
        for folder in (Path(data_root) / name, Path(data_root) / name.replace("-", "_")):
            if name in list_sources() and folder.is_dir():
                return load(bench, data=folder, skip_bad=skip_bad)
    return load(bench, skip_bad=skip_bad)


def _audit(pairs: PairSet, folder: Path, plan: AuditPlan, say: Say) -> Audit:
    plan.check(pairs)
    selection = Selection(pairs, plan.sample)
    folder.mkdir(parents=True, exist_ok=True)
    overlap_found: OverlapSummary | None = None
    judged_found: Judged | None = None
    behaviour_found: Behaviour | None = None
    judged_pairs: Mapping[str, JudgedPair] = {}
    dropped = None
    stopped = ""
    notes: tuple[str, ...] = ()
    droplist = (
        DropList(folder / DROP, pairs.name, plan.output.drop_leaking)
        if plan.output.drop_leaking is not None
        else None
    )
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(folder / PAIRS))
        file = stack.enter_context(RowWriter(CardRow, part))

        def add(overlap: OverlapPair | None, judged: JudgedPair | None) -> None:
            score = leak_score(overlap, judged)
            file.add(card_row(overlap, judged, score))
            if droplist and (pair := overlap or judged):
                droplist.see(pair.id, score)

        kept: list[OverlapPair] = []
        if Measure.OVERLAP in plan.measures:
            # Only where a judge's labels are to stand beside them must pairs wait in memory.
            waits = Measure.JUDGED in plan.measures
            each = kept.append if waits else partial(add, judged=None)
            overlap_found, stopped, notes = run_overlap(selection, folder, plan, each, say)
        if plan.positive_by_default:
            names = ", ".join(bench_name(control) for control in plan.positive_controls)
            notes = (*notes, f"positive controls by default: the harmful texts of {names}")
        if Measure.JUDGED in plan.measures and not stopped:
            judged_found, judged_pairs = run_judged(selection, folder, plan, say)
            stopped = judged_found.stopped
        for pair in kept:
            add(pair, judged_pairs.get(pair.id))
        if not overlap_found:
            for one in judged_pairs.values():
                add(None, one)
        if Measure.BEHAVIOUR in plan.measures and not stopped:
            behaviour_found = run_behaviour(selection, folder, plan, say)
            stopped = behaviour_found.stopped
    if droplist:
        dropped = droplist.close()
    card = make_card(
        selection,
        seed=plan.sample.seed,
        limit=plan.sample.limit,
        settings=plan.shown(),
        overlap=overlap_found,
        judged=judged_found,
        behaviour=behaviour_found,
        judged_pairs=judged_pairs,
        dropped=dropped,
        stopped=stopped,
        notes=notes,
    )
    write_json(card, folder / CARD_JSON)
    write_card(card, folder / CARD_HTML)
    return Audit(folder, card)
