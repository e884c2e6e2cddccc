"""`vlsbench.build` from Python, as on the command line: a recipe in, a set of pairs out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vlsbench.building._drawing import KeptDrawings
from vlsbench.building._estimate import BuildEstimate, estimate_build
from vlsbench.building._files import PAIRS, PROVENANCE, BuildSummary, write_files
from vlsbench.building._filters import Scorer
from vlsbench.building._recipe import Recipe, read_recipe
from vlsbench.building._run import BuildPlan, execute, is_complete
from vlsbench.config import Connection, Limits, option, settings
from vlsbench.engine import CostBudget, Ledger, StopSignal, write_or_stop
from vlsbench.errors import MissingExtra
from vlsbench.judge import harm_form
from vlsbench.models import Connections, HttpChat, open_images
from vlsbench.pairs import load
from vlsbench.schemas import SchemaError

BUILDS = Path("builds")
"""Where builds go unless told otherwise."""


@settings(panel="Recipe")
class BuildConfig:
    """The settings of `vlsbench build`, and the keys of its configuration file."""

    recipe: str = option(
        "A TOML file, or a recipe that ships: lab, vlsbench, custom.",
        metavar="RECIPE",
        argument=True,
    )
    overrides: tuple[str, ...] = option(
        "Override a value of the recipe; may be repeated.",
        default=(),
        flags=("--set",),
        metavar="SECTION.KEY=VALUE",
        whole=True,
    )
    limit: int | None = option(
        "Begin this many drafts on each path at most, for a trial; may be raised later.",
        default=None,
        least=1,
        metavar="N",
    )
    retry_quarantined: bool = option(
        "Ask again about records of which no answer could be read.", default=False
    )
    out: Path | None = option(
        "The build's folder.",
        default=None,
        flags=("--out", "-o"),
        unset="builds/ and a name made of its recipe",
        metavar="DIR",
    )
    budget: Limits = field(default_factory=Limits)
    connection: Connection = field(default_factory=Connection)


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


def _check(read: Recipe, models: Collection[str]) -> None:
    """Raise where a role of the recipe names no model, or an extra is missing."""
    mine = {f"models.{role}" for role in models}
    if waiting := [key for key in read.placeholders() if key not in mine]:
        raise SchemaError(
            f"{read.file}: {waiting[0]}: is still a placeholder: name a model, here or with --set"
        )
    if read.needs_index and not find_spec("usearch"):
        raise MissingExtra(
            "near-duplicates by meaning and the contamination barrier (left out by "
            "--set near_duplicates=false --set contamination.against=[])",
            "build",
        )


def build(
    recipe: str | os.PathLike[str] | Recipe,
    *,
    models: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    limit: int | None = None,
    retry_quarantined: bool = False,
    out: str | os.PathLike[str] | None = None,
    budget: Limits | CostBudget | None = None,
    connection: Connection | None = None,
    progress: bool = True,
    before: Callable[[BuildPlan, BuildEstimate], None] = lambda plan, estimate: None,
) -> Build:
    """Make a benchmark by a recipe.

    The same arguments resume where the build stopped; a changed recipe asks anew only what the
    change concerns. The arguments are the settings of `BuildConfig`; besides:

    Args:
        recipe: May be one that was read.
        models: Role → a `ChatModel`, or of `painter` an `ImageModel`, in place of the recipe's.
        budget: May be one that is being spent.
        progress: Show a progress bar on standard error.
        before: Called with the plan and its estimate before anything is asked.

    Returns:
        The folder, the summary, and why the build stopped early if it did.

    Raises:
        SchemaError: The recipe cannot be used; names file and key.
        FatalCall: A model cannot work (key, name, address).
        LedgerError: The disk cannot be written.
        VlsbenchError: Anything else that the caller can mend.
    """
    read = recipe if isinstance(recipe, Recipe) else read_recipe(Path(recipe), overrides)
    given: dict[str, Any] = {**read.specs(), **(models or {})}
    _check(read, models or {})
    connection, spending = connection or Connection(), CostBudget.of(budget)
    spending.need_prices(read.known_prices(), "state it in the recipe under [prices]")
    connections = Connections(connection)
    folder = Path(out) if out else BUILDS / f"{read.name}-{read.digest[:8]}"
    painter = None
    if draw := read.draw:
        drawing = open_images(given["painter"], connections, filtered=draw.safety == "filtered")
        painter = KeptDrawings(drawing, draw.size, folder / "run")
    forms = {"guard": harm_form(read.models.guard).chat} if read.models.guard else {}
    with ExitStack() as stack:
        plan = BuildPlan(
            recipe=read,
            models={
                role: connections.open(given[role], forms.get(role, HttpChat))
                for role in read.specs()
                if role != "painter"
            },
            painter=painter,
            others=tuple(load(name) for name in read.contamination.against),
            scorer=stack.enter_context(closing(Scorer())) if read.needs_embeddings else None,
            folder=folder,
            budget=spending,
            limit=limit,
            connection=connection,
            retry_quarantined=retry_quarantined,
            progress=progress,
        )
        ledger = stack.enter_context(Ledger.write(plan.run))
        signal = StopSignal()
        if retry_quarantined or not is_complete(plan, ledger):
            before(plan, estimate_build(read, limit, batch=connection.batch))
            signal = execute(plan, ledger)
        files = partial(write_files, ledger, plan.folder, read, overrides)
        summary = write_or_stop(files, plan.folder, signal)
        return Build(plan.folder, summary, signal.reason)
