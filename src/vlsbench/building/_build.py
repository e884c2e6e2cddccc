"""`vlsbench.build` from Python, as on the command line: a recipe in, a set of pairs out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vlsbench.building._estimate import BuildEstimate, estimate_build
from vlsbench.building._files import PAIRS, write_pairs
from vlsbench.building._perceive import Found
from vlsbench.building._provenance import FILE as PROVENANCE
from vlsbench.building._provenance import write_provenance
from vlsbench.building._read import RecipeError, placeholders, read_recipe
from vlsbench.building._recipe import ROLES, Recipe
from vlsbench.building._run import BuildPlan, execute, stages_of
from vlsbench.building._scorer import Scorer
from vlsbench.building._sources import find_images
from vlsbench.building._summary import SUMMARY, BuildSummary, summarise
from vlsbench.engine import Ledger, Tally, in_a_loop, progress_bar
from vlsbench.errors import MissingExtra, Stopped, VlsbenchError
from vlsbench.evaluation import LAB, Declined
from vlsbench.files import write_json
from vlsbench.models import (
    ChatModel,
    Connections,
    HttpChat,
    HttpImages,
    ImageGenerations,
    ImageModel,
    Patience,
    Price,
    Server,
    open_images,
    price_of,
)
from vlsbench.pairs import load

BUILDS = Path("builds")
"""Where builds go unless told otherwise."""
IN_PROCESS = "in-process"
RECIPE_COPY = "recipe.toml"


@dataclass(frozen=True)
class Build:
    """A build that went as far as it could."""

    folder: Path
    summary: BuildSummary
    stopped: str | None = None
    """Why it ended early; None where it is complete."""

    @property
    def pairs(self) -> Path:
        """The set: a folder that any command opens."""
        return self.folder / PAIRS

    @property
    def provenance(self) -> Path:
        """One line for every record that ever was."""
        return self.folder / PROVENANCE


def build(
    recipe: str | os.PathLike[str] | Recipe,
    *,
    out: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    lab: str | None = None,
    limit: int | None = None,
    concurrency: int = 32,
    max_calls: int | None = None,
    max_cost: float | None = None,
    timeout_s: float = 300.0,
    retries: int = 6,
    retry_quarantined: bool = False,
    progress: bool = True,
    before: Callable[[BuildPlan, BuildEstimate], bool] = lambda plan, estimate: True,
) -> Build:
    """Make a benchmark by a recipe.

    The same arguments go on where the build stopped; what is recorded is never asked again. A
    changed recipe asks anew only what the change concerns.

    Args:
        recipe: A path, the name of a recipe that ships (`lab`, `vlsbench`, `custom`), or one read.
        out: The build's folder; by default `builds/` and a name made of what it is.
        overrides: `section.key=VALUE`, in TOML, each in place of what the recipe says.
        lab: Where the recipe's `lab/` models are: None serves them over HTTP from a thread, a base
            URL finds them on a server, `in-process` asks them without HTTP.
        limit: Drafts begun on each path at most; may be raised later.
        concurrency: Requests in flight at one server.
        max_calls: New calls of this invocation at most.
        max_cost: US dollars that this invocation spends at most.
        timeout_s: For one request.
        retries: After faults of a request.
        retry_quarantined: Ask again about records of which no answer could be read.
        progress: Show a bar on standard error.
        before: Is told what will be done and spent; the build goes on if it returns True.

    Returns:
        The folder, the summary, and why the build stopped early if it did.

    Raises:
        RecipeError: The recipe cannot be used; names file and key.
        FatalCall: A model cannot work (key, name, address).
        LedgerError: The disk cannot be written.
        VlsbenchError: Anything else that the caller can mend.
    """
    read = recipe if isinstance(recipe, Recipe) else read_recipe(Path(recipe), overrides)
    if waiting := placeholders(read):
        raise RecipeError(
            read.file,
            waiting[0],
            "is still a placeholder: name a model, here or with --set"
            + (f" (also {', '.join(waiting[1:])})" if waiting[1:] else ""),
        )
    if read.needs_index and not find_spec("usearch"):
        raise MissingExtra(
            "the near-duplicate and contamination barriers (left out by --set "
            "near_duplicates=false --set contamination.against=[])",
            "build",
        )
    connections = Connections(concurrency, Patience(timeout_s=timeout_s, retries=retries))
    prices = prices_of(read)
    if max_cost is not None and (unknown := [spec for spec, p in prices.items() if p is None]):
        raise VlsbenchError(
            f"--max-cost needs a price, and that of {', '.join(unknown)} is unknown: state it in "
            "the recipe under [prices], or use --max-calls"
        )
    with ExitStack() as stack:
        served = _serve(read, lab, stack)
        scorer = Scorer() if read.needs_embeddings else None
        if scorer:
            stack.callback(scorer.close)
        plan = BuildPlan(
            recipe=read,
            models={
                role: _open(spec, connections, served)
                for role, spec in read.specs().items()
                if role != "painter"
            },
            painter=_open_painter(read, connections, served),
            images=partial(_images, read),
            others=tuple(load(name) for name in read.contamination.against),
            scorer=scorer,
            folder=Path(out) if out else BUILDS / f"{read.name}-{read.digest[:8]}",
            prices=prices,
            limit=limit,
            concurrency=concurrency,
            max_calls=max_calls,
            max_cost=max_cost,
            retry_quarantined=retry_quarantined,
        )
        return _run(plan, overrides, progress, before)


def plan_build(
    recipe: str | os.PathLike[str], *, overrides: Sequence[str] = (), limit: int | None = None
) -> tuple[Recipe, BuildEstimate]:
    """Say what a recipe would ask and cost; opens no model and spends nothing.

    Raises:
        RecipeError: The recipe cannot be used; placeholders for models are let pass.
        VlsbenchError: Its images or other benchmarks cannot be opened.
    """
    read = read_recipe(Path(recipe), overrides)
    images = sum(1 for _ in _images(read))
    return read, estimate_build(read, prices_of(read), images, limit)


def prices_of(recipe: Recipe) -> dict[str, Price | None]:
    """Return model spec → price: the recipe's own, else the shipped table's."""
    return {
        spec: recipe.prices[spec].price() if spec in recipe.prices else price_of(spec)
        for spec in recipe.specs().values()
    }


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What is known of a recipe's model before anything is asked of it."""

    role: str
    model: str
    state: str
    wrong: bool


def check_models(recipe: Recipe, *, lab: str | None = None) -> list[ModelCheck]:
    """Ask the servers whether they have the recipe's models; costs nothing.

    Args:
        recipe: Read; its models may still be placeholders, which are reported.
        lab: See `build`.
    """

    async def check(role: str, spec: str, connections: Connections, served: str) -> ModelCheck:
        if "<" in spec:
            return ModelCheck(role, spec, f"models.{role} is still a placeholder", True)
        model: ChatModel | ImageModel | None = None
        try:
            model = (
                _open_painter(recipe, connections, served)
                if role == "painter"
                else _open(spec, connections, served)
            )
            if not isinstance(model, (HttpChat, HttpImages)):
                return ModelCheck(role, spec, "in this process", False)
            there = await model.listed()
        except VlsbenchError as error:
            return ModelCheck(role, spec, str(error), True)
        finally:
            if model:
                await model.close()
        known = {True: "there", False: "not on its server's list", None: "server has no list"}
        return ModelCheck(role, spec, known[there], there is False)

    async def check_all(served: str) -> list[ModelCheck]:
        found = []
        for role, spec in recipe.specs().items():
            found.append(await check(role, spec, Connections(1), served))
        return found

    with ExitStack() as stack:
        return in_a_loop(partial(check_all, _serve(recipe, lab, stack)))


class _LabChat(HttpChat):
    """A lab model on a server: known by its name, so that any port is the same model."""

    def __init__(self, spec: str, name: str, server: Server, *, file_images: bool = False) -> None:
        super().__init__(spec, name, server, file_images=file_images)
        self.spec = f"{LAB}{name}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and world; see `HttpChat.identity`."""
        from vlsbench.lab import WORLD_VERSION

        return {"model": self.spec, "world": WORLD_VERSION}

    async def listed(self) -> bool | None:
        """Find out that somebody is there; the lab lists its models without their options."""
        from vlsbench.lab import MODELS, PAINTER

        await super().listed()
        return self.name.partition("?")[0] in (*MODELS, PAINTER)


class _LabImages(_LabChat, ImageGenerations):
    """The painter of a lab server."""


def _serve(recipe: Recipe, lab: str | None, stack: ExitStack) -> str:
    """Return where the recipe's lab models are, starting a server if need be."""
    if lab is not None or not any(spec.startswith(LAB) for spec in recipe.specs().values()):
        return lab or IN_PROCESS
    from vlsbench.lab import running

    return stack.enter_context(running())


def _open(spec: str, connections: Connections, served: str) -> ChatModel:
    if not spec.startswith(LAB) or "@" in spec:
        return connections.open(spec)
    if served == IN_PROCESS:
        from vlsbench.lab import open_model

        return open_model(spec)
    return connections.open(f"{spec.removeprefix(LAB)}@{served}", _LabChat)


def _open_painter(recipe: Recipe, connections: Connections, served: str) -> ImageModel | None:
    spec = recipe.spec("painter")
    if not spec or recipe.draw is None:
        return None
    if not spec.startswith(LAB) or "@" in spec:
        return open_images(spec, connections, filtered=recipe.draw.safety == "filtered")
    if served == IN_PROCESS:
        from vlsbench.lab import LabPainter

        return LabPainter(spec)
    model = connections.open(f"{spec.removeprefix(LAB)}@{served}", _LabImages)
    assert isinstance(model, HttpChat)
    return HttpImages(model)


def _images(recipe: Recipe) -> Iterator[tuple[str, Found]]:
    return find_images(recipe.perceive, load) if recipe.perceive else iter(())


def _run(
    plan: BuildPlan,
    overrides: Sequence[str],
    progress: bool,
    before: Callable[[BuildPlan, BuildEstimate], bool],
) -> Build:
    from rich.console import Console

    def watch(tally: Tally) -> AbstractContextManager[None]:
        return progress_bar(tally, Console(stderr=True)) if progress else nullcontext()

    recipe = plan.recipe
    with Ledger.write(plan.run) as ledger:
        if _is_done(plan, ledger):
            return Build(plan.folder, _files(plan, ledger, overrides))
        images = sum(1 for _ in plan.images()) if recipe.perceive else 0
        if not before(plan, estimate_build(recipe, plan.prices, images, plan.limit)):
            raise Declined
        signal = in_a_loop(partial(execute, plan, ledger, watch))
        try:
            summary = _files(plan, ledger, overrides)
        except OSError as error:
            raise signal.error or Stopped(
                f"cannot write into {plan.folder}: {error.strerror}; all answers are on record: "
                "free some disk space and run the same command again"
            ) from None
        if signal.error:
            raise signal.error
        return Build(plan.folder, summary, signal.reason)


def _is_done(plan: BuildPlan, ledger: Ledger) -> bool:
    same = ledger.meta("versions") == json.dumps(dict(stages_of(plan).versions))
    recipe = json.loads(ledger.meta("identity") or "{}").get("recipe")
    limit = ledger.meta("limit") == str(plan.limit or "")
    complete = ledger.meta("complete") is not None
    return (
        complete
        and same
        and limit
        and recipe == plan.recipe.digest
        and not (plan.retry_quarantined)
    )


def _files(plan: BuildPlan, ledger: Ledger, overrides: Sequence[str]) -> BuildSummary:
    """Write the set, its provenance, its summary and a copy of the recipe."""
    recipe = plan.recipe
    write_pairs(ledger, plan.folder)
    write_provenance(ledger, plan.folder)
    given = "".join(f"# --set {override}\n" for override in overrides)
    (plan.folder / RECIPE_COPY).write_text(recipe.text + given, "utf-8")
    summary = summarise(ledger, recipe)
    write_json(summary, plan.folder / SUMMARY)
    return summary


__all__ = ["ROLES", "Build", "Declined", "build", "plan_build", "prices_of"]
