"""What an audit measures and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlsbench.auditing.card._types import Measure
from vlsbench.auditing.overlap._embed_pictures import refuse_words
from vlsbench.embed._text import CLIP
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import PairSet

CONTROLS_HINT = "benign sets: mossbench, xstest, vlguard:safe_safes, lab/benign"

Bench = str | os.PathLike[str] | PairSet


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What is measured and how; the fields are the options of `vlsbench audit`."""

    measures: tuple[Measure, ...] = (Measure.OVERLAP,)
    embedder: str = "minilm"
    """`minilm`, `NAME@http://host:port/v1` of an embeddings server, or `clip/MODEL`."""
    calibration: str | os.PathLike[str] | None = None
    """File of fitted numbers of naming for another embedder; see `scripts/fit_naming.py`."""
    captioner: str | None = None
    """Spec of a chat model that says what pictures show where the benchmark does not."""
    ocr: bool = False
    """Read the text in the pictures."""
    judge: str | None = None
    controls: tuple[Bench, ...] = ()
    positive_controls: tuple[Bench, ...] = ()
    model: str | None = None
    limit: int | None = None
    seed: int = 0
    concurrency: int = 32
    max_calls: int | None = None
    max_cost: float | None = None
    price: str | None = None
    judge_price: str | None = None
    captioner_price: str | None = None
    timeout_s: float = 300.0
    retries: int = 6
    drop_leaking: float | None = None
    skip_bad: bool = False
    progress: bool = True

    def check(self) -> None:
        """Raise `VlsbenchError` where something that a measure needs was not given."""
        if not self.measures:
            raise VlsbenchError(f"no measure: choose among {', '.join(Measure)}")
        given = self.captioner or self.ocr or self.calibration
        if given and Measure.OVERLAP not in self.measures:
            raise VlsbenchError("--captioner, --ocr and --calibration are for the measure overlap")
        if self.embedder.startswith(CLIP):
            refuse_words(
                self.embedder,
                calibration=self.calibration,
                captioner=self.captioner,
                ocr=self.ocr,
            )
        for measure, needs in (
            (Measure.JUDGED, {"--judge": self.judge, "--controls": self.controls}),
            (
                Measure.BEHAVIOUR,
                {"--model": self.model, "--judge": self.judge, "--controls": self.controls},
            ),
        ):
            missing = [name for name, given in needs.items() if not given]
            if measure in self.measures and missing:
                hint = f" ({CONTROLS_HINT})" if "--controls" in missing else ""
                raise VlsbenchError(f"the measure {measure} needs {' and '.join(missing)}{hint}")

    def shown(self) -> Mapping[str, Any]:
        """Return what decides the figures, as plain JSON values."""
        found: dict[str, Any] = {"measures": [str(measure) for measure in self.measures]}
        if Measure.OVERLAP in self.measures:
            found |= {"embedder": self.embedder, "captioner": self.captioner, "ocr": self.ocr}
            if self.calibration:
                found["calibration"] = os.fspath(self.calibration)
        if Measure.JUDGED in self.measures or Measure.BEHAVIOUR in self.measures:
            found |= {"judge": self.judge, "controls": [bench_name(c) for c in self.controls]}
        if Measure.JUDGED in self.measures:
            found["positive_controls"] = [bench_name(c) for c in self.positive_controls]
        if Measure.BEHAVIOUR in self.measures:
            found["model"] = self.model
        return found | {"limit": self.limit, "seed": self.seed}


def bench_name(bench: Bench) -> str:
    """Return what the user calls a benchmark."""
    return bench.name if isinstance(bench, PairSet) else os.fspath(bench)


def settings_of(options: Mapping[str, Any]) -> AuditSettings:
    """Make settings of the keyword arguments of `audit`.

    Raises:
        VlsbenchError: An unknown measure, or a measure lacks what it needs.
    """
    given = dict(options)
    measures = given.pop("measures", (Measure.OVERLAP,))
    unknown = [name for name in measures if name not in tuple(Measure)]
    if unknown:
        raise VlsbenchError(
            f"no measure {', '.join(map(repr, unknown))}; there are {', '.join(Measure)}"
        )
    for name in ("controls", "positive_controls"):
        given[name] = tuple(given.get(name, ()))
    found = AuditSettings(measures=tuple(m for m in Measure if m in measures), **given)
    found.check()
    return found
