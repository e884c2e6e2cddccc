"""What a run is: everything that decides which calls it makes."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.judge import Judge, JudgeContext
from vlsbench.models import ChatModel, Params
from vlsbench.pairs import Pair, PairSet, Shrink, Swapper, View, image_faults, show


@dataclass(frozen=True, slots=True)
class Settings:
    """How pairs are shown and asked."""

    view: View = View.FULL
    limit: int | None = None
    """Pairs asked: a random sample, in the order of the files; None asks all."""
    seed: int = 0
    """Of the sample and of the swap view."""
    params: Params = field(default_factory=Params)
    system: str = ""
    shrink: Shrink = field(default_factory=Shrink)


class Selection:
    """The pairs of a run, walked from disk each time."""

    def __init__(self, pairs: PairSet, settings: Settings) -> None:
        """Choose the sample and take the data's fingerprint, in one walk."""
        self.pairs = pairs
        self._chosen: set[int] | None = None
        if settings.limit is not None and settings.limit < len(pairs):
            if settings.limit < 1:
                raise VlsbenchError("--limit must be at least 1")
            self._chosen = set(
                random.Random(settings.seed).sample(range(len(pairs)), settings.limit)
            )
        self.left_out: dict[str, BadRow] = {}
        digest = hashlib.sha256()
        for pair in self:
            row = (pair.id, pair.query, pair.harmful, [image.ref for image in pair.images])
            digest.update(json.dumps(row).encode())
        self.fingerprint = digest.hexdigest()[:16]

    def __iter__(self) -> Iterator[Pair]:
        for number, pair in enumerate(self.pairs):
            chosen = self._chosen is None or number in self._chosen
            if chosen and pair.id not in self.left_out:
                yield pair

    def __len__(self) -> int:
        chosen = len(self.pairs) if self._chosen is None else len(self._chosen)
        return chosen - len(self.left_out)

    def leave_out(self, rows: Iterable[BadRow]) -> None:
        """Leave out what an earlier check found."""
        self.left_out = {row.row: row for row in rows if row not in self.pairs.bad}

    def check(self, settings: Settings, judge: Judge | None, *, skip_bad: bool) -> Swapper | None:
        """Look at every image and text that the view needs, before anything is spent.

        Returns:
            What the swap view needs, where it is the view.

        Raises:
            BadRows: All pairs that cannot be shown; with `skip_bad` they are left out instead.
        """
        swapper = Swapper(self.pairs, settings.seed) if settings.view is View.SWAP else None
        bad: dict[str, BadRow] = {}

        def to_be_shown() -> Iterator[Pair]:
            for pair in self:
                try:
                    shown = show(pair, settings.view, swapper)
                    if judge:
                        judge.check(pair)
                except VlsbenchError as error:
                    bad[pair.id] = BadRow(self.pairs.name, pair.id, str(error))
                    continue
                # A grey image is made from the pair's own, so that one is looked at.
                blank = settings.view is View.BLANK
                yield pair if blank else replace(pair, images=shown.images)

        for fault in image_faults(to_be_shown()):
            bad[fault.row] = BadRow(self.pairs.name, fault.row, fault.reason)
        if bad and not skip_bad:
            raise BadRows(self.pairs.name, list(bad.values()))
        self.left_out = bad
        if not len(self):
            raise BadRows(self.pairs.name, list(bad.values()))
        return swapper


def default_context(view: View) -> JudgeContext:
    """The judge sees what the target saw; where that is no picture, it reads about it."""
    shows_picture = view in (View.FULL, View.SWAP, View.IMAGE)
    return JudgeContext.IMAGE if shows_picture else JudgeContext.BOTH


def identity_of(
    selection: Selection,
    settings: Settings,
    target: ChatModel,
    judge: Judge,
) -> Mapping[str, Any]:
    """Gather everything that decides which calls are made; plain JSON, no secrets."""
    return {
        "bench": selection.pairs.name,
        "data": selection.fingerprint,
        "view": str(settings.view),
        "limit": settings.limit,
        "seed": settings.seed,
        "target": dict(target.identity),
        "params": asdict(settings.params),
        "system": settings.system,
        "shrink": asdict(settings.shrink),
        "judge": dict(judge.identity),
    }


def run_id(identity: Mapping[str, Any], target: str, judge: str) -> str:
    """Name a run so that a person knows it and equal runs meet: words, then a digest."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    words = (str(identity["bench"]), str(identity["view"]), _short(target), _short(judge))
    slug = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_.") for word in words)
    return f"{slug[:120]}-{digest}"


def _short(spec: str) -> str:
    return spec.partition("@")[0].rpartition("/")[2] or spec
