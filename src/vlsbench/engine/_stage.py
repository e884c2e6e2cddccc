"""Stages: the steps that a record takes, and what each can decide about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vlsbench.engine._context import Context


@dataclass(frozen=True, slots=True)
class Record:
    """What travels through stages: an id that is stable across runs, and whatever it carries."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class Keep:
    """Continue to the next stage with `value`; from the last stage, plain JSON for the ledger."""

    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """The record ends here, by decision."""

    reason: str
    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The record ends here because something is wrong with it; a later run may try again."""

    reason: str
    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Children:
    """Other records continue in this one's place. Their ids must not depend on scheduling."""

    records: Sequence[Record]
    dropped: Sequence[tuple[str, Drop]] = ()
    """Those that do not: id and reason. Each ends in a separate outcome at this stage."""


Result = Keep | Drop | Quarantine | Children


class Stage(Protocol):
    """One step. Holds no state about records: what it must remember lies in the ledger."""

    @property
    def name(self) -> str:
        """Unique in its run."""

    @property
    def version(self) -> str:
        """Covers prompt, model and parameters: a change makes old outcomes stale."""

    async def run(self, record: Record, ctx: Context) -> Result:
        """Decide about one record. Every model call goes through `ctx.call`."""
