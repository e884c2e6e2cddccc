"""One build from plan to files: stages, barriers, twins."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench import registry
from vlsbench.building._drawing import DrawStage, KeptDrawings
from vlsbench.building._filters import FinalFilterStage, LeakFilterStage, Scorer, TwinFilterStage
from vlsbench.building._items import Item, Step, keep, version_of
from vlsbench.building._recipe import Recipe
from vlsbench.building._writing import (
    DetoxifyStage,
    DraftStage,
    ElementsStage,
    PerceiveStage,
    TwinStage,
    find_images,
)
from vlsbench.building.barriers import PREFIX, TWIN, decide
from vlsbench.building.roles import CREATIVE, STRICT, Role, harm_judge
from vlsbench.config import Connection
from vlsbench.engine import (
    Children,
    Context,
    CostBudget,
    Flow,
    Job,
    Keep,
    Ledger,
    Probe,
    Record,
    Result,
    Stage,
    StopSignal,
    in_flight,
    run_async,
)
from vlsbench.errors import VlsbenchError
from vlsbench.models import ChatModel
from vlsbench.pairs import PairSet
from vlsbench.registry import Kind
from vlsbench.schemas import SchemaError

STAGES = (
    *(ElementsStage, DraftStage, PerceiveStage, DetoxifyStage, LeakFilterStage),
    *(DrawStage, FinalFilterStage, TwinStage, TwinFilterStage),
)
"""What ships, in order."""
UNDER_WAY = 2
"""Records under way for each connection: some wait for a question that another one asks too, some
for the disk, and their connections would idle."""
VIEW = "build"
"""What `meta` calls a run of this kind."""
TAGS = {"keep": "kept", "drop": "dropped", "quarantine": "unscored"}
"""Kind of an outcome → its name for whoever watches."""


@dataclass(frozen=True)
class BuildPlan:
    """Everything that a build needs, opened and checked."""

    recipe: Recipe
    models: Mapping[str, ChatModel]
    """Role → model, without the painter."""
    painter: KeptDrawings | None
    others: Sequence[PairSet]
    """Benchmarks that the result must share nothing with."""
    scorer: Scorer | None
    folder: Path
    budget: CostBudget
    limit: int | None = None
    """Drafts begun on each path at most."""
    connection: Connection = field(default_factory=Connection)
    retry_quarantined: bool = False
    progress: bool = True

    @property
    def run(self) -> Path:
        """The folder of the ledger."""
        return self.folder / "run"

    @property
    def all_models(self) -> list[ChatModel]:
        """The models of all roles."""
        return [*self.models.values(), *([self.painter] if self.painter else ())]


class _PluggedStage:
    """A registered stage under its registered name; its options are a part of its version."""

    def __init__(self, name: str, stage: Stage, options: Mapping[str, Any]) -> None:
        self.name = name
        self.version = version_of(stage.version, dict(options))
        self._stage = stage

    async def run(self, record: Record, ctx: Context) -> Result:
        result = await self._stage.run(record, ctx)
        item = result.value if isinstance(result, Keep) else record.value
        if isinstance(result, Children) or not isinstance(item, Item):
            raise VlsbenchError(f"stage {self.name}: a plug-in keeps or drops the record's Item")
        if not any(step.stage == self.name for step in item.steps):
            item = item.then(Step(self.name, self.version))
        return keep(item) if isinstance(result, Keep) else replace(result, value=item.outcome())


def _plugged(recipe: Recipe) -> list[Stage]:
    """Open the stages that a recipe names. Raises `SchemaError` naming file and key."""
    stages: list[Stage] = []
    for name, options in recipe.stages.items():
        try:
            entry = registry.get(Kind.STAGE, name)
            if entry.origin == registry.OWN:
                raise ValueError("ships with vlsbench; only plug-ins stand under [stages]")
            stages.append(_PluggedStage(name, entry.target(**options), options))
        except (TypeError, ValueError, VlsbenchError) as error:
            raise SchemaError(f"{recipe.file}: stages.{name}: {error}") from None
    return stages


@dataclass(frozen=True)
class Stages:
    """The stages of one build, in order."""

    paths: Sequence[Flow]
    """Path A, path B: those that the recipe has."""
    twins: Sequence[Stage]

    @property
    def versions(self) -> dict[str, str]:
        """Stage → version."""
        begun = [stage for path in self.paths for stage in path.stages]
        return {stage.name: stage.version for stage in (*begun, *self.twins)}


def stages_of(plan: BuildPlan) -> Stages:
    """Put the stages together as the recipe has them."""
    recipe, run, models = plan.recipe, plan.run, plan.models
    leak, final = recipe.leak_filter, recipe.final_filter
    judge, checker = models["judge"], models["checker"]
    filters: list[Stage] = []
    if recipe.detoxify.candidates:
        rewriter = Role("rewriter", models["rewriter"], CREATIVE)
        filters.append(DetoxifyStage(rewriter, recipe.detoxify))
    match = Role("judge", judge, votes=leak.votes)
    harm = harm_judge(models.get("guard", judge), leak.votes)
    overlap = plan.scorer.overlap if plan.scorer else None
    filters.append(LeakFilterStage(match, harm, overlap, leak))
    draw: list[Stage] = []
    if recipe.draw and plan.painter:
        draw = [DrawStage(plan.painter, Role("eyes", models["eyes"]), recipe.draw, run)]
    match = Role("checker", checker, votes=final.votes)
    harm = harm_judge(models.get("guard", checker), final.votes)
    last = [*_plugged(recipe), FinalFilterStage(match, harm, final, run)]
    writer = Role("writer", models["writer"], CREATIVE) if recipe.uses("writer") else None
    paths: list[Flow] = []
    if recipe.elements and writer:
        drafts = drafts_of(recipe, plan.limit)
        elements = ElementsStage(writer, recipe.elements, drafts)
        stages: list[Stage] = [elements, DraftStage(writer), *filters, *draw, *last]
        cells = [Record(cell.id, cell) for cell in recipe.taxonomy if drafts[cell.id]]
        paths.append(Flow(stages, lambda: cells))
    if recipe.perceive:
        eyes = Role("eyes", models["eyes"])
        perceive = PerceiveStage(eyes, recipe.perceive, recipe.taxonomy, run)
        paths.append(Flow([perceive, *filters, *last], partial(begin_b, recipe, plan.limit)))
    twins: list[Stage] = []
    if recipe.twins.per_pair and writer:
        twins = [TwinStage(writer), *draw, TwinFilterStage(match, harm, run)]
    return Stages(paths, twins)


def drafts_of(recipe: Recipe, limit: int | None) -> dict[str, int]:
    """Return how many drafts each sub-category begins at most: the limit, spread evenly."""
    if not recipe.elements:
        return {}
    cells = [cell.id for cell in recipe.taxonomy]
    all_of_them = recipe.elements.per_subcategory * recipe.elements.drafts
    share, more = divmod(all_of_them * len(cells) if limit is None else limit, len(cells))
    return {cell: min(all_of_them, share + (place < more)) for place, cell in enumerate(cells)}


def begin_b(recipe: Recipe, limit: int | None) -> Iterator[Record]:
    """Walk the images that path B begins with."""
    if settings := recipe.perceive:
        most = min((m for m in (limit, settings.most) if m), default=None)
        for image in islice(find_images(settings), most):
            yield Record(f"b/{image.ref}", image)


def _begin_twins(plan: BuildPlan, ledger: Ledger, pairs: set[str]) -> Iterator[Record]:
    # Looked up one by one: a walk over the ledger that is still going on would hide from
    # `ctx.call` what was recorded since it began.
    for name in sorted(pairs):
        outcome = ledger.outcome(name)
        assert outcome is not None, "what a barrier let pass has ended"
        item = Item.read(outcome.value)
        for number in range(plan.recipe.twins.per_pair):
            # The description is what it must differ from, until the stage writes its own.
            begun = Item(
                item.path,
                item.category,
                item.subcategory,
                parents=(name,),
                number=number,
                query=item.query,
                description=item.description,
                source="generated",
                twin_of=name,
            )
            yield Record(f"{name}/twin-{number}", begun)


async def _begin(plan: BuildPlan, ledger: Ledger, versions: Mapping[str, str]) -> None:
    """Open again what another version of a stage decided; keep with the run what it now is.

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
    known = json.loads(ledger.meta("identity") or "{}").get("models", {})
    models = {**known, **{model.spec: dict(model.identity) for model in plan.all_models}}
    await ledger.set_meta(
        view=VIEW,
        bench=plan.recipe.name,
        model=plan.recipe.spec("writer") or plan.recipe.spec("eyes"),
        judge=plan.recipe.spec("judge"),
        identity=json.dumps({"recipe": plan.recipe.digest, "models": models}),
        versions=json.dumps(versions),
        started=ledger.meta("started") or datetime.now(UTC).isoformat(timespec="seconds"),
    )


def is_complete(plan: BuildPlan, ledger: Ledger) -> bool:
    """Tell whether the ledger holds this very build to its end."""
    return (
        ledger.meta("complete") is not None
        and ledger.meta("versions") == json.dumps(stages_of(plan).versions)
        and json.loads(ledger.meta("identity") or "{}").get("recipe") == plan.recipe.digest
        and ledger.meta("limit") == str(plan.limit or "")
    )


def execute(plan: BuildPlan, ledger: Ledger) -> StopSignal:
    """Make every pair that is not made yet; the signal has a reason where that stopped early.

    Raises:
        VlsbenchError: The folder holds a run of another kind.
    """
    stages = stages_of(plan)
    if ledger.meta("started") and ledger.meta("view") != VIEW:
        raise VlsbenchError(f"{ledger.folder} holds a run of another kind; choose another --out")

    run_async(partial(_begin, plan, ledger, stages.versions))
    pairs: set[str] = set()

    async def select(among: set[str] | None) -> set[str]:
        embed = plan.scorer.embed if plan.scorer else None
        chosen = await asyncio.to_thread(
            decide, plan.recipe, ledger, plan.others, embed, among=among
        )
        # In place of what an earlier invocation decided.
        twins = among is not None
        old = [n for n in ledger.ended() if n.startswith(PREFIX) and (TWIN in n) is twins]
        await ledger.replace_outcomes(old, chosen.values())
        return {name for name, made in chosen.items() if not made.reason}

    async def choose(ctx: Context) -> None:
        pairs.update(await select(None))
        if stages.twins:
            ctx.tally.total = ctx.tally.done + len(pairs) * plan.recipe.twins.per_pair

    async def choose_twins(ctx: Context) -> None:
        await select(pairs)
        await ledger.set_meta(pairs=str(len(ledger.ended())), limit=str(plan.limit or ""))

    twins = Flow(stages.twins, partial(_begin_twins, plan, ledger, pairs))
    begun = sum(drafts_of(plan.recipe, plan.limit).values())
    return Job(
        identity=None,
        facts={},
        steps=(stages.paths, choose, *([twins] if stages.twins else ()), choose_twins),
        models=plan.all_models,
        prices=plan.recipe.known_prices(),
        budget=plan.budget,
        connection=plan.connection,
        width=UNDER_WAY * in_flight(plan.all_models, plan.connection.concurrency),
        total=begun + sum(1 for _ in begin_b(plan.recipe, plan.limit)),
        tag=lambda outcome: TAGS[outcome.kind],
        counts=lambda outcome: not outcome.record.startswith(PREFIX),
        progress=plan.progress,
        prepare=plan.scorer.load if plan.scorer else lambda: None,
        probes=[Probe.plain(model, STRICT) for model in plan.models.values()],
    ).run(ledger)
