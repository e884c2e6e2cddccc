"""What an audit measures and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from vlsbench.auditing.behaviour import VIEWS
from vlsbench.auditing.card._card import Measure
from vlsbench.auditing.overlap._embed_pictures import refuse_words
from vlsbench.config import Budget, Connection, Data, Option, Sample
from vlsbench.embed import CLIP, Embedder
from vlsbench.engine import CostBudget
from vlsbench.errors import VlsbenchError
from vlsbench.judge import Brought
from vlsbench.models import ChatModel, Params
from vlsbench.pairs import Bench, PairSet

if TYPE_CHECKING:
    Embedding = str | Embedder
else:
    # Files and command lines can only name one; from Python an object is taken too.
    Embedding = str

CONTROLS_HINT = "benign sets: mossbench, xstest, vlguard:safe_safes, lab/benign"


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """How measure A is taken."""

    PANEL: ClassVar[str] = "A. Overlap"

    embedder: Annotated[
        Embedding,
        Option(
            "`minilm`, NAME@http://host:port/v1 of an embeddings server, clip/PATH or "
            "clip/ORG/NAME (a CLIP-like model that looks at the images themselves), or a plug-in."
        ),
    ] = "minilm"
    calibration: Annotated[
        Path | None,
        Option("Fitted numbers of naming for that embedder, as scripts/fit_naming.py writes them."),
    ] = None
    captioner: Annotated[
        str | None,
        Option("Chat model that says what images show where the benchmark does not."),
    ] = None
    captioner_price: Annotated[
        str | None,
        Option("Price of the captioner in US dollars per million tokens.", metavar="INPUT,OUTPUT"),
    ] = None
    ocr: Annotated[
        bool, Option("Read the text in the images: the typographic channel (needs tesseract).")
    ] = False


@dataclass(frozen=True, kw_only=True)
class AuditOutput:
    """Where a card goes, and what is written beside it."""

    PANEL: ClassVar[str] = "Output"

    out: Annotated[
        Path | None,
        Option("The card's folder.", unset="audits/ and the benchmark's name", metavar="DIR"),
    ] = None
    drop_leaking: Annotated[
        float | None,
        Option(
            "Write the list of pairs that leak with a score of P or more (drop.csv), for "
            "`vlsbench eval --leave-out`.",
            metavar="P",
        ),
    ] = None
    progress: bool = True
    """Show progress bars on standard error."""


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The settings of `vlsbench audit`, and the keys of its configuration file."""

    PANEL: ClassVar[str] = "What is measured"

    bench: Annotated[
        tuple[str, ...],
        Option(
            "Names (`vlsbench bench list`), `lab/leaky`, or paths; several make a leaderboard.",
            metavar="BENCH...",
            argument=True,
        ),
    ]
    measures: Annotated[
        tuple[str, ...],
        Option(
            "overlap: does the text tell what is in the image? (offline); judged: is it harmful on "
            "its own? behaviour: does hiding the image change a model?",
            unset="overlap",
        ),
    ] = (str(Measure.OVERLAP),)
    judge: Annotated[
        str | None,
        Option(
            "Model that says what is harmful (judged) and labels replies (behaviour): a spec as "
            "for --model, or `lab`."
        ),
    ] = None
    controls: Annotated[
        tuple[str, ...],
        Option(
            "Sets of benign pairs like the benchmark's: mossbench, xstest, vlguard:safe_safes, "
            "lab/benign.",
            metavar="BENCH[,BENCH]",
        ),
    ] = ()
    positive_controls: Annotated[
        tuple[str, ...] | None,
        Option(
            "Sets of texts that are harmful on their own: they measure the judge's misses; `none` "
            "for none, and one-sided bounds.",
            unset="xstest, or vlguard:safe_unsafes, where its files are at hand",
            metavar="BENCH[,BENCH]",
        ),
    ] = None
    model: Annotated[
        str | None,
        Option(
            "Whose behaviour is measured: openai/NAME, NAME@http://host:port/v1, "
            "inspect/PROVIDER/NAME, lab/NAME, or a plug-in."
        ),
    ] = None
    views: Annotated[
        tuple[str, ...],
        Option(
            "What is asked for behaviour beside the full view. Each view takes a reply and a "
            "verdict for every pair and control; `replicate` (the noise) and `comprehension` (does "
            "the model understand the image?) are of the harmful pairs alone. --dry-run says what "
            "each costs.",
            metavar="VIEW[,VIEW]",
        ),
    ] = VIEWS
    data_root: Annotated[
        Path | None, Option("Folder of several benchmarks, each under its name (with - or _).")
    ] = None
    overlap: Overlap = field(default_factory=Overlap)
    data: Data = field(default_factory=Data)
    sample: Sample = field(default_factory=Sample)
    params: Params = field(default_factory=Params)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: AuditOutput = field(default_factory=AuditOutput)


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What is measured and how, with everything opened that has to be."""

    measures: tuple[Measure, ...]
    overlap: Overlap
    judge: str | Brought | None
    controls: tuple[Bench, ...]
    positive_controls: tuple[Bench, ...]
    positive_by_default: bool
    """The positive controls are those that were at hand, and nobody named them."""
    model: str | ChatModel | None
    views: tuple[str, ...]
    sample: Sample
    params: Params
    budget: CostBudget
    connection: Connection
    output: AuditOutput

    def __post_init__(self) -> None:
        """Raise `VlsbenchError` where something that a measure needs was not given."""
        if not self.measures:
            raise VlsbenchError(f"no measure: choose among {', '.join(Measure)}")
        overlap = self.overlap
        given = overlap.captioner or overlap.ocr or overlap.calibration
        if given and Measure.OVERLAP not in self.measures:
            raise VlsbenchError("--captioner, --ocr and --calibration are for the measure overlap")
        if (name := name_of(overlap.embedder)).startswith(CLIP):
            refuse_words(
                name,
                calibration=overlap.calibration,
                captioner=overlap.captioner,
                ocr=overlap.ocr,
            )
        both = (Measure.JUDGED, Measure.BEHAVIOUR)
        named = self.positive_controls and not self.positive_by_default
        for option, wanted, used_by in (
            ("--judge", bool(self.judge), both),
            ("--controls", bool(self.controls), both),
            ("--positive-controls", bool(named), both[:1]),
            ("--model", bool(self.model), both[1:]),
            ("--views", self.views != VIEWS, both[1:]),
            ("--temperature and --max-tokens", self.params != Params(), both[1:]),
        ):
            if wanted and not {*used_by} & {*self.measures}:
                raise VlsbenchError(
                    f"{option} is for the measure {' or '.join(used_by)}: add it to --measures"
                )

    def check(self, pairs: PairSet) -> None:
        """Raise `VlsbenchError` where something that a measure of this set needs was not given.

        Measure C takes the set's own benign pairs for controls, where there are some.
        """
        needs = {"--judge": self.judge, "--controls": self.controls}
        own = any(not pair.harmful for pair in pairs)
        for measure, needed in (
            (Measure.JUDGED, needs),
            (
                Measure.BEHAVIOUR,
                {"--model": self.model, **needs, "--controls": own or self.controls},
            ),
        ):
            missing = [name for name, value in needed.items() if not value]
            if measure in self.measures and missing:
                hint = f" ({CONTROLS_HINT})" if "--controls" in missing else ""
                raise VlsbenchError(f"the measure {measure} needs {' and '.join(missing)}{hint}")

    def shown(self) -> Mapping[str, Any]:
        """Return what decides the figures, as plain JSON values."""
        found: dict[str, Any] = {"measures": [str(measure) for measure in self.measures]}
        overlap = self.overlap
        if Measure.OVERLAP in self.measures:
            found |= {
                "embedder": name_of(overlap.embedder),
                "captioner": overlap.captioner,
                "ocr": overlap.ocr,
            }
            if overlap.calibration:
                found["calibration"] = os.fspath(overlap.calibration)
        if Measure.JUDGED in self.measures or Measure.BEHAVIOUR in self.measures:
            found |= {
                "judge": name_of(self.judge),
                "controls": [bench_name(control) for control in self.controls],
            }
        if Measure.JUDGED in self.measures:
            found["positive_controls"] = [bench_name(c) for c in self.positive_controls]
        if Measure.BEHAVIOUR in self.measures:
            found |= {"model": name_of(self.model), "views": list(self.views)}
            found["params"] = self.params.as_json()
        return found | {"limit": self.sample.limit, "seed": self.sample.seed}


def name_of(brought: object) -> str:
    """Return what to call a model or judge: its spec, its name, or its class."""
    if isinstance(brought, str):
        return brought
    for attribute in ("spec", "name", "__name__"):
        if isinstance(found := getattr(brought, attribute, None), str):
            return found
    return type(brought).__name__


def bench_name(bench: Bench) -> str:
    """Return what the user calls a benchmark."""
    if isinstance(bench, PairSet):
        return bench.name
    return os.fspath(bench) if isinstance(bench, str | os.PathLike) else "custom"


def measures_of(names: tuple[str, ...]) -> tuple[Measure, ...]:
    """Return measures in their order. Raises `VlsbenchError` where a name is unknown."""
    if unknown := [name for name in names if name not in tuple(Measure)]:
        raise VlsbenchError(
            f"unknown measure {', '.join(map(repr, unknown))}: choose {', '.join(Measure)}"
        )
    return tuple(measure for measure in Measure if measure in names)
