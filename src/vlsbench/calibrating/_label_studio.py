"""Annotations as Label Studio exports them (its format JSON): who chose and wrote what.

Formats: https://labelstud.io/guide/task_format, https://labelstud.io/tags/choices
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from vlsbench.text import storable


@dataclass(frozen=True, slots=True)
class _Value:
    choices: tuple[str, ...] | str = ()
    text: tuple[str, ...] | str = ()


@dataclass(frozen=True, slots=True)
class _Result:
    value: _Value
    from_name: str = ""


@dataclass(frozen=True, slots=True)
class _Account:
    id: int


@dataclass(frozen=True, slots=True)
class LabelStudioAnnotation:
    """One person's annotation of one task; the parts that are read."""

    result: list[_Result]
    completed_by: int | _Account
    was_cancelled: bool = False
    updated_at: datetime | None = None
    created_at: datetime | None = None

    @property
    def number(self) -> int:
        """The annotator's: names and addresses of accounts are nobody's business here."""
        by = self.completed_by
        return by.id if isinstance(by, _Account) else by

    @property
    def person(self) -> str:
        """What the annotator is called here."""
        return f"label-studio-{self.number}"

    def said(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each control's name with what was chosen or written there."""
        for item in self.result:
            told = item.value.choices or item.value.text
            texts = [told] if isinstance(told, str) else told
            yield item.from_name, [storable(text) for text in texts]
