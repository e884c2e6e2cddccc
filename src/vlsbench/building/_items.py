"""What travels through the stages: a pair in the making, with the trail of what made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from vlsbench.building._content import forbidden_text
from vlsbench.engine import Drop, Keep, Quarantine, Result
from vlsbench.judge import Part, Question
from vlsbench.pairs import ImageData, Pair
from vlsbench.text import slug as text_slug

FORBIDDEN = "forbidden"
"""Drop reason of every stage that generates text: see `_content`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of one record's way: which version of it, the calls it made, what it noted."""

    stage: str
    version: str
    calls: tuple[str, ...] = ()
    """Keys in the ledger."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A pair in the making. Plain JSON all through."""

    path: str
    """`A` from a sub-category, `B` from an image."""
    category: str = ""
    subcategory: str = ""
    parents: tuple[str, ...] = ()
    """Ids of the records that it was made from, the first one first."""
    number: int = 0
    """Which of its parent's drafts it is."""
    element: str = ""
    query: str = ""
    description: str = ""
    """What the image shows, or is to show."""
    candidates: tuple[str, ...] = ()
    """Wordings of the query that the leak filter chooses from."""
    image: str = ""
    """SHA-256 of the image, a blob of the run."""
    image_prompt: str = ""
    """What drew the image that was kept."""
    image_licence: str = ""
    source: str = ""
    reason: str = ""
    """Why the pair is harmful; of a twin, why it is not."""
    pattern: str = ""
    """Safe (S) or unsafe (U) by text, by image, as a pair."""
    twin_of: str = ""
    steps: tuple[Step, ...] = ()

    def then(self, step: Step, **changes: Any) -> Item:
        """Return the item after a stage."""
        return replace(self, steps=(*self.steps, step), **changes)

    def outcome(self) -> dict[str, Any]:
        """Return what the ledger keeps; `judge_calls` and `blobs` are what `runs verify` checks."""
        blobs = {self.image} if self.image else set[str]()
        for step in self.steps:
            blobs.update(step.facts.get("images", ()))
        calls = dict.fromkeys(key for step in self.steps for key in step.calls)
        item = msgspec.to_builtins(self)
        return {"item": item, "judge_calls": list(calls), "blobs": sorted(blobs)}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Item:
        """Read what `outcome` wrote."""
        return msgspec.convert(value["item"], cls)

    def question(self, part: Part, query: str, images: tuple[ImageData, ...] = ()) -> Question:
        """Return what a judge is asked about a part of the pair that this becomes."""
        id = self.parents[0] if self.parents else self.path
        pair = Pair(
            id,
            query,
            category=self.category,
            subcategory=self.subcategory,
            description=self.description,
        )
        text = "" if part is Part.IMAGE else query
        return Question(pair, text, () if part is Part.TEXT else images, part=part)

    def forbids(self, *texts: str) -> bool:
        """Tell whether a text that was generated for this item must not be used."""
        return any(forbidden_text(text, self.category, self.subcategory) for text in texts)


def keep(item: Item, *, last: bool = False) -> Result:
    """Go on with an item; from the last stage, as the ledger keeps it."""
    return Keep(item.outcome() if last else item)


def drop(item: Item, reason: str) -> Drop:
    """End an item by decision."""
    return Drop(reason, item.outcome())


def quarantine(item: Item, reason: str) -> Quarantine:
    """End an item because a model gave no answer that could be read; a later run asks again."""
    return Quarantine(reason, item.outcome())


def decide(item: Item, unread: str, dropped: str, *, last: bool = False) -> Result:
    """Quarantine an item that nothing could be read about, else drop it, else keep it."""
    if unread:
        return quarantine(item, unread)
    return drop(item, dropped) if dropped else keep(item, last=last)


def version_of(version: str, *known: Any) -> str:
    """Return a stage's version with a digest of what else could change it: prompts, settings."""
    text = json.dumps(known, sort_keys=True)
    return f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def slug(text: str) -> str:
    """Return a text as a part of an id."""
    return text_slug(text.casefold(), "a-z0-9", "-")[:60] or "x"
