"""One build from plan to files: stages, barriers, twins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vlsbench.building._detoxify import DetoxifyStage
from vlsbench.building._draft import DraftStage
from vlsbench.building._draw import DrawStage
from vlsbench.building._elements import ElementsStage
from vlsbench.building._final_filter import FinalFilterStage, TwinFilterStage
from vlsbench.building._items import Item, slug
from vlsbench.building._kept import KeptDrawings
from vlsbench.building._leak_filter import LeakFilterStage
from vlsbench.building._perceive import Found, PerceiveStage
from vlsbench.building._plugged import plugged
from vlsbench.building._recipe import Recipe
from vlsbench.building._roles import CREATIVE, Role, harm_judge
from vlsbench.building._scorer import Scorer
from vlsbench.building._select import PREFIX, Decision, decide, record
from vlsbench.building._twins import TwinStage, twin_of
from vlsbench.engine import (
    Context,
    CostBudget,
    Flow,
    Job,
    Ledger,
    Outcome,
    Record,
    Stage,
    StopSignal,
    in_a_loop,
)
from vlsbench.errors import VlsbenchError
from vlsbench.models import ChatModel, ImageModel, Price
from vlsbench.pairs import PairSet

UNDER_WAY = 2
"""Records under way for each connection: some wait for a question that another one asks too, some
for the disk, and their connections would idle."""
VIEW = "build"
"""What `meta` calls a run of this kind."""


@dataclass(frozen=True)
class BuildPlan:
    """Everything that a build needs, opened and checked."""

    recipe: Recipe
    models: Mapping[str, ChatModel]
    """Role → model, without the painter."""
    painter: ImageModel | None
    images: Callable[[], Iterator[tuple[str, Found]]]
    """Path B: walks name and image."""
    others: Sequence[PairSet]
    """Benchmarks that the result must share nothing with."""
    scorer: Scorer | None
    folder: Path
    prices: Mapping[str, Price | None]
    budget: CostBudget
    limit: int | None = None
    """Drafts begun on each path at most."""
    concurrency: int = 32
    retry_quarantined: bool = False
    progress: bool = True

    @property
    def run(self) -> Path:
        """The folder of the ledger."""
        return self.folder / "run"


@dataclass(frozen=True)
class Stages:
    """The stages of one build, in order."""

    path_a: Sequence[Stage]
    path_b: Sequence[Stage]
    twins: Sequence[Stage]

    @property
    def versions(self) -> dict[str, str]:
        """Stage → version."""
        return {s.name: s.version for s in (*self.path_a, *self.path_b, *self.twins)}


def stages_of(plan: BuildPlan) -> Stages:
    """Put the stages together as the recipe has them."""
    recipe, run, models = plan.recipe, plan.run, plan.models
    votes = recipe.leak_filter.votes
    judge, checker = models["judge"], models["checker"]
    filters: list[Stage] = []
    if recipe.detoxify.candidates:
        rewriter = Role("rewriter", models["rewriter"], CREATIVE)
        filters.append(DetoxifyStage(rewriter, recipe.detoxify))
    filters.append(
        LeakFilterStage(
            Role("judge", judge, votes=votes),
            harm_judge(judge, votes),
            plan.scorer.overlap if plan.scorer else None,
            recipe.leak_filter,
        )
    )
    draw: list[Stage] = []
    if recipe.draw and plan.painter:
        painter = KeptDrawings(plan.painter, recipe.draw.size, run)
        draw = [DrawStage(painter, Role("eyes", models["eyes"]), recipe.draw, run)]
    votes = recipe.final_filter.votes
    match, harm = Role("checker", checker, votes=votes), harm_judge(checker, votes)
    last = [*plugged(recipe), FinalFilterStage(match, harm, recipe.final_filter, run)]
    writer = Role("writer", models["writer"], CREATIVE) if recipe.uses("writer") else None
    path_a: list[Stage] = []
    if recipe.elements and writer:
        begin = ElementsStage(writer, recipe.elements, drafts_of(recipe, plan.limit))
        path_a = [begin, DraftStage(writer), *filters, *draw, *last]
    path_b: list[Stage] = []
    if recipe.perceive:
        eyes = Role("eyes", models["eyes"])
        path_b = [PerceiveStage(eyes, recipe.perceive, recipe.taxonomy, run), *filters, *last]
    twins: list[Stage] = []
    if recipe.twins.per_pair and writer:
        twins = [TwinStage(writer), *draw, TwinFilterStage(match, harm, run)]
    return Stages(path_a, path_b, twins)


def cell_id(category: str, subcategory: str) -> str:
    """Return the id of a sub-category's record."""
    return f"a/{slug(category)}/{slug(subcategory)}"


def drafts_of(recipe: Recipe, limit: int | None) -> dict[str, int]:
    """Return how many drafts each sub-category begins at most: the limit, spread evenly."""
    assert recipe.elements is not None
    cells = [cell_id(cell.category, cell.name) for cell in recipe.taxonomy]
    all_of_them = recipe.elements.per_subcategory * recipe.elements.drafts
    share, more = divmod(all_of_them * len(cells) if limit is None else limit, len(cells))
    return {cell: min(all_of_them, share + (place < more)) for place, cell in enumerate(cells)}


def _begin_a(recipe: Recipe, limit: int | None) -> Iterator[Record]:
    wanted = drafts_of(recipe, limit) if recipe.elements else {}
    for cell in recipe.taxonomy:
        name = cell_id(cell.category, cell.name)
        if wanted.get(name):
            yield Record(name, cell)


def _begin_b(plan: BuildPlan) -> Iterator[Record]:
    most = [m for m in (plan.limit, plan.recipe.perceive and plan.recipe.perceive.most) if m]
    for place, (name, found) in enumerate(plan.images()):
        if most and place >= min(most):
            return
        yield Record(f"b/{name}", found)


def tag_of(outcome: Outcome) -> str:
    """Name an outcome for whoever watches."""
    return {"keep": "kept", "drop": "dropped", "quarantine": "unscored"}[outcome.kind]


async def _reopen(plan: BuildPlan, ledger: Ledger, versions: Mapping[str, str]) -> None:
    """Open again what another version of a stage decided, and what ended without an answer.

    What was asked before is on record, so only what really changed is asked anew.
    """
    before = json.loads(ledger.meta("versions") or "{}")
    added = versions.keys() - before.keys() if before else set()
    stale: list[str] = []
    again: list[tuple[str, str]] = []
    for outcome in ledger.outcomes():
        steps = outcome.value.get("item", {}).get("steps", ())
        if added or any(versions.get(step["stage"]) != step["version"] for step in steps):
            stale.append(outcome.record)
        elif plan.retry_quarantined and outcome.kind == "quarantine":
            again.append((outcome.record, outcome.stage))
    if again:
        await ledger.reopen(again)
    if stale:
        # Not `reopen`, which has every question asked anew: those that are the same are answered.
        await ledger.forget(stale)


async def _describe(plan: BuildPlan, ledger: Ledger, versions: Mapping[str, str]) -> None:
    """Keep with the run what it is."""
    known = json.loads(ledger.meta("identity") or "{}").get("models", {})
    models: dict[str, object] = {model.spec: dict(model.identity) for model in plan.models.values()}
    if plan.painter and plan.recipe.draw:
        kept = KeptDrawings(plan.painter, plan.recipe.draw.size, plan.run)
        models[kept.spec] = dict(kept.identity)
    identity = {"recipe": plan.recipe.digest, "models": {**known, **models}}
    await ledger.set_meta(
        view=VIEW,
        bench=plan.recipe.name,
        model=plan.recipe.spec("writer") or plan.recipe.spec("eyes"),
        judge=plan.recipe.spec("judge"),
        identity=json.dumps(identity),
        versions=json.dumps(dict(versions)),
        started=ledger.meta("started") or _now(),
    )


def execute(plan: BuildPlan, ledger: Ledger) -> StopSignal:
    """Make every pair that is not made yet.

    Args:
        plan: The build.
        ledger: Its record, open for writing.

    Returns:
        The signal; it has a reason where the build stopped early.

    Raises:
        VlsbenchError: The folder holds a run of another kind.
    """
    stages = stages_of(plan)
    if ledger.meta("started") and ledger.meta("view") != VIEW:
        raise VlsbenchError(f"{ledger.folder} holds a run of another kind; choose another --out")

    async def begin() -> None:
        await _reopen(plan, ledger, stages.versions)
        await _describe(plan, ledger, stages.versions)

    in_a_loop(begin)
    return _job(plan, ledger, stages).run(ledger)


def _job(plan: BuildPlan, ledger: Ledger, stages: Stages) -> Job:
    models: list[ChatModel | ImageModel] = [*plan.models.values()]
    if plan.painter:
        models.append(plan.painter)
    pairs: set[str] = set()
    twins_each = plan.recipe.twins.per_pair

    async def choose(ctx: Context) -> None:
        pairs.update(await _barriers(plan, ledger, twins=False))
        if stages.twins:
            ctx.tally.total = ctx.tally.done + len(pairs) * twins_each

    async def choose_twins(ctx: Context) -> None:
        await _barriers(plan, ledger, twins=True, among=pairs)
        await ledger.set_meta(pairs=str(len(ledger.ended())), limit=str(plan.limit or ""))

    both = []
    if stages.path_a:
        both.append(Flow(stages.path_a, partial(_begin_a, plan.recipe, plan.limit)))
    if stages.path_b:
        both.append(Flow(stages.path_b, partial(_begin_b, plan)))
    twins = (Flow(stages.twins, partial(_begin_twins, plan, ledger, pairs)),)
    return Job(
        identity=None,
        facts={},
        steps=(both, choose, *(twins if stages.twins else ()), choose_twins),
        models=models,
        prices=plan.prices,
        budget=plan.budget,
        concurrency=plan.concurrency,
        width=UNDER_WAY * plan.concurrency * len({model.endpoint for model in models}),
        total=_expected(plan),
        tag=tag_of,
        counts=lambda outcome: not outcome.record.startswith(PREFIX),
        progress=plan.progress,
        prepare=plan.scorer.load if plan.scorer else lambda: None,
    )


def _begin_twins(plan: BuildPlan, ledger: Ledger, pairs: set[str]) -> Iterator[Record]:
    # Looked up one by one: a walk over the ledger that is still going on would hide from
    # `ctx.call` what was recorded since it began.
    for name in sorted(pairs):
        outcome = ledger.outcome(name)
        assert outcome is not None, "what a barrier let pass has ended"
        item = Item.read(outcome.value)
        for number in range(plan.recipe.twins.per_pair):
            yield twin_of(name, item, number)


async def _barriers(
    plan: BuildPlan, ledger: Ledger, *, twins: bool, among: set[str] | None = None
) -> set[str]:
    embed = plan.scorer.embed if plan.scorer else None

    def work() -> dict[str, Decision]:
        return decide(plan.recipe, ledger, plan.others, embed, twins=twins, among=among)

    decisions = await asyncio.to_thread(work)
    await record(ledger, decisions, twins=twins)
    return {name for name, made in decisions.items() if not made.reason}


def _expected(plan: BuildPlan) -> int:
    """Return about how many records there will be before the twins."""
    recipe = plan.recipe
    begun = sum(drafts_of(recipe, plan.limit).values()) if recipe.elements else 0
    return begun + (sum(1 for _ in _begin_b(plan)) if recipe.perceive else 0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
