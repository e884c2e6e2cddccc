"""Stages from plug-ins, which a recipe names under `[stages]`; they stand before *final_filter*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vlsbench import registry
from vlsbench.building._items import Item, Step, keep, version_of
from vlsbench.building._recipe import Recipe
from vlsbench.engine import Children, Context, Keep, Record, Result, Stage
from vlsbench.errors import VlsbenchError
from vlsbench.registry import Kind
from vlsbench.schemas import SchemaError


class PluggedStage:
    """A registered stage under its registered name; its options are a part of its version."""

    def __init__(self, name: str, stage: Stage, options: Mapping[str, Any]) -> None:
        """Take the stage that was made of those options."""
        self.name = name
        self.version = version_of(stage.version, dict(options))
        self._stage = stage

    async def run(self, record: Record, ctx: Context) -> Result:
        """Let the stage decide, and write down that it did."""
        result = await self._stage.run(record, ctx)
        if isinstance(result, Children):
            raise VlsbenchError(f"stage {self.name}: a plug-in makes no further records")
        item = result.value if isinstance(result, Keep) else record.value
        if not isinstance(item, Item):
            raise VlsbenchError(f"stage {self.name} kept {item!r}: keep the record's Item")
        if not any(step.stage == self.name for step in item.steps):
            item = item.then(Step(self.name, self.version))
        return keep(item) if isinstance(result, Keep) else replace(result, value=item.outcome())


def plugged(recipe: Recipe) -> list[Stage]:
    """Open the stages that a recipe names.

    Raises:
        SchemaError: One is no plug-in's, or its options are wrong; names file and key.
    """
    stages: list[Stage] = []
    for name, options in recipe.stages.items():
        key = f"{recipe.file}: stages.{name}"
        try:
            entry = registry.get(Kind.STAGE, name)
        except VlsbenchError as error:
            raise SchemaError(f"{key}: {error}") from None
        if "section" in entry.declaration:
            raise SchemaError(f"{key}: ships with vlsbench; only plug-ins stand under [stages]")
        try:
            stages.append(PluggedStage(name, entry.target(**options), options))
        except (TypeError, ValueError) as error:
            raise SchemaError(f"{key}: {error}") from None
    return stages
