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


class _PluggedStage:
    """A registered stage under its registered name; its options are a part of its version."""

    def __init__(self, name: str, stage: Stage, options: Mapping[str, Any]) -> None:
        self.name = name
        self.version = version_of(stage.version, dict(options))
        self._stage = stage

    async def run(self, record: Record, ctx: Context) -> Result:
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
