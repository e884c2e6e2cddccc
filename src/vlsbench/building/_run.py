"""One build from plan to files: stages, barriers, twins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vlsbench import __version__
from vlsbench.building._detoxify import DetoxifyStage
from vlsbench.building._draft import DraftStage
from vlsbench.building._draw import DrawStage
from vlsbench.building._elements import ElementsStage
from vlsbench.building._final_filter import FinalFilterStage, TwinFilterStage
from vlsbench.building._items import Item, slug
from vlsbench.building._kept import KeptDrawings
from vlsbench.building._leak_filter import LeakFilterStage
from vlsbench.building._perceive import Found, PerceiveStage
from vlsbench.building._recipe import Recipe
from vlsbench.building._roles import CREATIVE, Role, harm_judge
from vlsbench.building._scorer import Scorer
from vlsbench.building._select import PREFIX, Decision, decide, record
from vlsbench.building._twins import TwinStage, twin_of
from vlsbench.engine import (
    Budget,
    Context,
    Ledger,
    Outcome,
    Record,
    Stage,
    Statement,
    StopSignal,
    Tally,
    heed_ctrl_c,
    run_local,
)
from vlsbench.errors import VlsbenchError
from vlsbench.models import ChatModel, ImageModel, Price
from vlsbench.pairs import PairSet

UNDER_WAY = 2
"""Records under way for each connection: some wait for a question that another one asks too, some
for the disk, and their connections would idle."""
VIEW = "build"
"""What `meta` calls a run of this kind."""

Watch = Callable[[Tally], AbstractContextManager[None]]


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
    limit: int | None = None
    """Drafts begun on each path at most."""
    concurrency: int = 32
    max_calls: int | None = None
    max_cost: float | None = None
    retry_quarantined: bool = False

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
    last = FinalFilterStage(match, harm, recipe.final_filter, run)
    writer = Role("writer", models["writer"], CREATIVE) if recipe.uses("writer") else None
    path_a: list[Stage] = []
    if recipe.elements and writer:
        begin = ElementsStage(writer, recipe.elements, drafts_of(recipe, plan.limit))
        path_a = [begin, DraftStage(writer), *filters, *draw, last]
    path_b: list[Stage] = []
    if recipe.perceive:
        eyes = Role("eyes", models["eyes"])
        path_b = [PerceiveStage(eyes, recipe.perceive, recipe.taxonomy, run), *filters, last]
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
        delete = "DELETE FROM outcomes WHERE record = ?"
        await ledger.commit(
            Statement("DELETE FROM meta WHERE key = 'complete'"),
            *(Statement(delete, (name,)) for name in stale),
        )


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
    await ledger.event("started", version=__version__, recipe=plan.recipe.digest)


async def execute(plan: BuildPlan, ledger: Ledger, watch: Watch) -> StopSignal:
    """Make every pair that is not made yet.

    Args:
        plan: The build.
        ledger: Its record, open for writing.
        watch: Shows the running counts.

    Returns:
        The signal; it has a reason where the build stopped early.

    Raises:
        VlsbenchError: The folder holds a run of another kind.
    """
    stages = stages_of(plan)
    if ledger.meta("started") and ledger.meta("view") != VIEW:
        raise VlsbenchError(f"{ledger.folder} holds a run of another kind; choose another --out")
    stop = StopSignal()
    await _reopen(plan, ledger, stages.versions)
    await _describe(plan, ledger, stages.versions)
    tally = Tally(total=_expected(plan))
    for outcome in ledger.outcomes():
        if not outcome.record.startswith(PREFIX):
            tally.done += 1
            tally.outcomes[tag_of(outcome)] += 1
    budget = Budget(stop, plan.max_calls, plan.max_cost, plan.prices)
    open_models: list[ChatModel | ImageModel] = [*plan.models.values()]
    if plan.painter:
        open_models.append(plan.painter)
    servers = len({model.endpoint for model in open_models})
    width = UNDER_WAY * plan.concurrency * servers
    context = Context(ledger, (), budget, stop, tally)
    with ExitStack() as stack:
        stack.enter_context(heed_ctrl_c(stop, tally))
        stack.enter_context(watch(tally))
        try:
            if plan.scorer:
                plan.scorer.load()
            await _both_paths(plan, stages, context, width)
            if not stop:
                pairs = await _barriers(plan, ledger, twins=False)
                if stages.twins:
                    begun = _begin_twins(plan, ledger, pairs)
                    tally.total = tally.done + len(pairs) * plan.recipe.twins.per_pair
                    await run_local(stages.twins, begun, context, width=width, tag=tag_of)
            if not stop:
                await _barriers(plan, ledger, twins=True, among=pairs)
        finally:
            for model in open_models:
                await model.close()
    if not stop:
        ended = len(ledger.ended())
        await ledger.set_meta(complete=_now(), pairs=str(ended), limit=str(plan.limit or ""))
    await ledger.event("stopped" if stop else "finished", reason=stop.reason or "")
    return stop


async def _both_paths(plan: BuildPlan, stages: Stages, ctx: Context, width: int) -> None:
    """Take both paths at once; an error on one stops the other too."""
    jobs = []
    if stages.path_a:
        begun = _begin_a(plan.recipe, plan.limit)
        jobs.append(run_local(stages.path_a, begun, ctx, width=width, tag=tag_of))
    if stages.path_b:
        jobs.append(run_local(stages.path_b, _begin_b(plan), ctx, width=width, tag=tag_of))
    ended = await asyncio.gather(*jobs, return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error


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
