"""What an audit measures and how."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlsbench.auditing.behaviour.run import VIEWS
from vlsbench.auditing.card.card import Measure
from vlsbench.auditing.overlap.run import refuse_words
from vlsbench.config import Budget, Connection, Data, Sample, option, settings
from vlsbench.embed import CLIP
from vlsbench.errors import VlsbenchError
from vlsbench.models import Params
from vlsbench.pairs import PairSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlsbench.embed import Embedder
    from vlsbench.engine import CostBudget
    from vlsbench.judge import Brought
    from vlsbench.models import ChatModel
    from vlsbench.pairs import Bench

    Names = Sequence[str]
    Benches = Sequence[Bench]
    Embedding = str | Embedder
    JudgeSpec = str | Brought
    ModelSpec = str | ChatModel
    Spending = Budget | CostBudget
else:
    # Files and command lines can only name things; from Python objects are taken too.
    Names = Benches = tuple[str, ...]
    Embedding = JudgeSpec = ModelSpec = str
    Spending = Budget


@settings(panel="A. Overlap")
class Overlap:
    """How measure A is taken."""

    embedder: Embedding = option(
        "`minilm`, NAME@http://host:port/v1 of an embeddings server (paced as models are; its "
        "requests are no calls of --max-calls and --max-cost), clip/PATH or clip/ORG/NAME (a "
        "CLIP-like model that looks at the images themselves), or a plug-in.",
        default="minilm",
    )
    calibration: Path | None = option(
        "Fitted numbers of naming for that embedder, as scripts/fit_naming.py writes them.",
        default=None,
    )
    captioner: str | None = option(
        "Chat model that says what images show where the benchmark does not.", default=None
    )
    ocr: bool = option(
        "Read the text in the images: the typographic channel (needs tesseract).", default=False
    )


@settings(panel="Output")
class AuditOutput:
    """Where a card goes, and what is written beside it."""

    out: Path | None = option(
        "The card's folder.", default=None, unset="audits/ and the benchmark's name", metavar="DIR"
    )
    drop_leaking: float | None = option(
        "Write the list of pairs that leak with a score of P or more (drop.csv), for "
        "`vlsbench eval --leave-out`.",
        default=None,
        metavar="P",
    )
    retry: Literal["unscored"] | None = option(
        "Ask again where a judge's label, or a reply, ended unscored (judged, behaviour).",
        default=None,
    )
    progress: bool = True
    """Show progress bars on standard error."""


@settings(panel="What is measured")
class AuditSettings:
    """What an audit measures and how."""

    measures: Names = option(
        "overlap: does the text tell what is in the image? (offline); judged: is it harmful on "
        "its own? behaviour: does hiding the image change a model?",
        default=(Measure.OVERLAP.value,),
        unset="overlap",
    )
    judge: JudgeSpec | None = option(
        "Model that says what is harmful (judged) and labels replies (behaviour): a spec as "
        "for --model, or `lab`.",
        default=None,
    )
    controls: Benches = option(
        "Sets of benign pairs like the benchmark's: mossbench, xstest, vlguard:safe_safes, "
        "lab/benign.",
        default=(),
        metavar="BENCH[,BENCH]",
    )
    positive_controls: Benches | None = option(
        "Sets of texts that are harmful on their own: they measure the judge's misses; `none` "
        "for none, and one-sided bounds.",
        default=None,
        unset="xstest, or vlguard:safe_unsafes, where its files are at hand",
        metavar="BENCH[,BENCH]",
    )
    model: ModelSpec | None = option(
        "Whose behaviour is measured: openai/NAME, NAME@http://host:port/v1, "
        "inspect/PROVIDER/NAME, lab/NAME, or a plug-in.",
        default=None,
    )
    views: Names = option(
        "What is asked for behaviour beside the full view. Each view takes a reply and a "
        "verdict for every pair and control; `replicate` (the noise) and `comprehension` (does "
        "the model understand the image?) are of the harmful pairs alone. --dry-run says what "
        "each costs.",
        default=VIEWS,
        metavar="VIEW[,VIEW]",
    )
    against: Literal["grades"] | None = option(
        "Hold what is measured against the set's own labels: what its authors, or people, say "
        "of the harm of text, image and pair.",
        default=None,
    )
    data_root: Path | None = option(
        "Folder of several benchmarks, each under its name (with - or _).", default=None
    )
    overlap: Overlap = field(default_factory=Overlap)
    sample: Sample = field(default_factory=Sample)
    params: Params = field(default_factory=Params)
    budget: Spending = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: AuditOutput = field(default_factory=AuditOutput)

    def wanted(self) -> tuple[Measure, ...]:
        """Return the measures in their order. Raises `VlsbenchError` where a name is unknown."""
        if not self.measures or {*self.measures} - {*Measure}:
            said = ", ".join(map(repr, sorted({*self.measures} - {*Measure}))) or "''"
            raise VlsbenchError(f"unknown measure {said}: choose {', '.join(Measure)}")
        return tuple(measure for measure in Measure if measure in self.measures)

    def check(self, pairs: PairSet) -> None:
        """Raise `VlsbenchError` where a measure lacks something, or none takes what was given.

        Measure C takes the set's own benign pairs for controls, where there are some.
        """
        measures, overlap, threshold = self.wanted(), self.overlap, self.output.drop_leaking
        if threshold is not None and not 0 < threshold <= 1:
            raise VlsbenchError(f"--drop-leaking {threshold:g}: expected a probability, as 0.5")
        words = {name: getattr(overlap, name) for name in ("calibration", "captioner", "ocr")}
        if (name := name_of(overlap.embedder)).startswith(CLIP):
            refuse_words(name, **words)
        both = (Measure.JUDGED, Measure.BEHAVIOUR)
        for flag, given, used_by in (
            ("--captioner, --ocr or --calibration", any(words.values()), (Measure.OVERLAP,)),
            ("--against", self.against, (Measure.OVERLAP, Measure.JUDGED)),
            ("--judge", self.judge, both),
            ("--controls", self.controls, both),
            ("--positive-controls", self.positive_controls, both[:1]),
            ("--model", self.model, both[1:]),
            ("--views", tuple(self.views) != VIEWS, both[1:]),
            ("--temperature and --max-tokens", self.params != Params(), both[1:]),
            ("--retry", self.output.retry, both),
        ):
            if given and not {*used_by} & {*measures}:
                raise VlsbenchError(
                    f"{flag} is for the measure {' or '.join(used_by)}: add it to --measures"
                )
        if self.against and not any(pair.grades for pair in pairs):
            raise VlsbenchError(
                f"--against grades: nobody says how harmful the pairs of {pairs.name} are; custom "
                "datasets have columns text_grade, image_grade and pair_grade (docs/benchmarks.md)"
            )
        own = any(not pair.harmful for pair in pairs)
        for measure, needed in (
            (Measure.JUDGED, ("judge", "controls")),
            (Measure.BEHAVIOUR, ("model", "judge", *(() if own else ("controls",)))),
        ):
            missing = " and ".join(f"--{name}" for name in needed if not getattr(self, name))
            if measure in measures and missing:
                raise VlsbenchError(f"the measure {measure} needs {missing} (docs/audit.md)")


@settings()
class AuditConfig(AuditSettings):
    """The settings of `vlsbench audit`, and the keys of its configuration file."""

    bench: tuple[str, ...] = option(
        "Names (`vlsbench bench list`), `lab/leaky`, or paths; several make a leaderboard.",
        default=(),
        metavar="BENCH...",
        argument=True,
    )
    all: bool = option(
        "A leaderboard of every public benchmark whose files are there, and of those named; "
        "says which are left out and why.",
        default=False,
    )
    data: Data = field(default_factory=Data)


def name_of(brought: object) -> str:
    """Return what to call a model or judge: its spec, its name, or its class."""
    if isinstance(brought, str):
        return brought
    for attribute in ("spec", "name", "__name__"):
        if isinstance(found := getattr(brought, attribute, None), str):
            return found
    return type(brought).__name__
