"""What a run is: everything that decides which calls it makes."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from vlsbench.config import Budget, Connection, Data, Images, Sample, option, settings
from vlsbench.engine import Record
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import file_digests
from vlsbench.judge import Judge, JudgeContext, Judging, members
from vlsbench.models import ChatModel, Params
from vlsbench.pairs import (
    Image,
    Pair,
    PairSet,
    Shrink,
    Swapper,
    View,
    image_faults,
    show,
)
from vlsbench.text import slug


@settings(panel="Output")
class Output:
    """Where a run goes, and what it starts from."""

    out: Path | None = option(
        "The run's folder.",
        default=None,
        unset="runs/ and a name made of its settings",
        metavar="DIR",
    )
    reuse: tuple[Path, ...] = option(
        "Reuse the answers of another run; runs beside --out are always reused.", default=()
    )
    retry: Literal["unscored"] | None = option(
        "Ask again for the pairs that ended unscored.", default=None
    )
    gallery: int = option("Pairs in the report's gallery.", default=60, least=0)
    progress: bool = True
    """Show a progress bar on standard error."""


@settings(panel="Replies")
class Replies:
    """Replies made elsewhere, which are judged in place of a model's that is asked."""

    files: tuple[Path, ...] = option(
        "Judge replies that exist already, in place of --model: JSONL, CSV, Parquet, results "
        "of VLMEvalKit, lmms-eval, DeepSafe or the authors, an Inspect log, a run "
        "(docs/replies.md).",
        default=(),
        flags=("--replies",),
        metavar="FILE",
    )
    columns: str = option(
        "Columns of the replies: FIELD=COLUMN,… (id, reply, model, asked, sample, …).",
        default="",
        flags=("--reply-columns",),
    )
    model_name: str = option(
        "Name of the model that gave the replies, or which model's are taken.", default=""
    )
    partial: bool = option(
        "Go on where pairs have no reply in the file; they are unscored (reply_missing).",
        default=False,
        flags=("--partial-replies",),
    )


@settings()
class EvalConfig:
    """The settings of `vlsbench eval`, and the keys of its configuration file."""

    bench: str = option(
        "Benchmark: a name (`vlsbench bench list`), `lab/leaky`, or the path of a custom dataset.",
        metavar="BENCH",
        argument=True,
    )
    model: str = option(
        "Target: openai/NAME, NAME@http://host:port/v1, inspect/PROVIDER/NAME, hf/PATH, "
        "vllm/NAME, lab/NAME, or a plug-in; or give --replies.",
        default="",
    )
    judge: str | tuple[str, ...] = option(
        "Judge: the same forms, `offline` (English, by wording), or `lab`; several vote (--vote).",
        whole=True,
    )
    view: View = option("Which parts of each pair the model sees.", default=View.FULL)
    system: str = option("System prompt of the target.", default="")
    samples: int = option(
        "Answers to each pair, drawn independently: set --temperature above 0.",
        default=1,
        least=1,
        metavar="K",
    )
    controls: tuple[str, ...] = option(
        "Sets whose benign pairs are asked too, for the net rate: safe on harmful pairs less "
        "declined on benign ones. --limit and --transform apply to each set; --data, --columns "
        "and --leave-out to BENCH alone.",
        default=(),
        metavar="BENCH[,BENCH]",
    )
    data: Data = field(default_factory=Data)
    replies: Replies = field(default_factory=Replies)
    sample: Sample = field(default_factory=Sample)
    params: Params = field(default_factory=Params)
    judging: Judging = field(default_factory=Judging)
    images: Images = field(default_factory=Images)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, slots=True)
class Presentation:
    """How pairs are put to the target."""

    view: View = View.FULL
    system: str = ""
    params: Params = field(default_factory=Params)
    shrink: Shrink = field(default_factory=Shrink)
    samples: int = 1
    """Answers to each pair."""

    @property
    def what(self) -> str:
        """What a run has as many of as it asks questions."""
        return "answers" if self.samples > 1 else "pairs"

    def record(self, pair: str, sample: int) -> str:
        """Name the record of an answer: the pair's id, and which answer where there are several."""
        return f"{pair}#{sample}" if self.samples > 1 else pair

    def records(self, pairs: Iterable[Pair]) -> Iterator[Record]:
        """Yield one record an answer; those to one pair follow each other."""
        for pair in pairs:
            for sample in range(self.samples):
                yield Record(self.record(pair.id, sample), (pair, sample))


class Selection:
    """The pairs of a run, walked from disk each time."""

    def __init__(self, pairs: PairSet, sample: Sample | None = None) -> None:
        """Choose the sample and take the data's fingerprint, in one walk."""
        self.pairs = pairs
        self.sample = sample or Sample()
        self._chosen: set[int] | None = None
        limit = self.sample.limit
        if limit is not None and limit < max(pairs.parts):
            if limit < 1:
                raise VlsbenchError("--limit must be at least 1")
            draws, ends = random.Random(self.sample.seed), accumulate(pairs.parts)
            self._chosen = {
                place
                for size, end in zip(pairs.parts, ends, strict=True)
                for place in draws.sample(range(end - size, end), min(limit, size))
            }
        self.left_out: dict[str, BadRow] = {}
        self.notes: tuple[str, ...] = ()
        """What a check found that a user must know although the run goes on."""
        digest = hashlib.sha256()
        for pair in self:
            row = (pair.id, pair.query, pair.harmful, [image.ref for image in pair.images])
            digest.update(json.dumps(row).encode())
        self.fingerprint = digest.hexdigest()[:16]

    def content(self, view: View = View.FULL) -> tuple[str, dict[str, str], dict[str, str]]:
        """Return a digest of all that `fingerprint` leaves out, file → digest, and image → file.

        Covers where the set lies, what else its rows say, and what is in the image files that the
        view reads.
        """
        root = self.pairs.root
        digest = hashlib.sha256(str(root.resolve() if root else "").encode())
        paths: dict[str, str] = {}

        def note(images: Iterable[Image]) -> None:
            for image in images if view.reads_images else ():
                if place := getattr(image, "place", None):
                    paths[image.ref] = os.path.abspath(place)

        for pair in self:
            told = (pair.category, pair.subcategory, pair.description, pair.reason, pair.source)
            digest.update(json.dumps((*told, dict(pair.meta)), default=str).encode())
            note(pair.images)
        for pair in self.pairs if view is View.SWAP else ():
            note(pair.images)
        files = file_digests(paths.values())
        for ref, path in sorted(paths.items()):
            digest.update(f"{ref} {files[path]}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()[:16], files, paths

    def __iter__(self) -> Iterator[Pair]:
        for number, pair in enumerate(self.pairs):
            chosen = self._chosen is None or number in self._chosen
            if chosen and pair.id not in self.left_out:
                yield pair

    def __len__(self) -> int:
        chosen = len(self.pairs) if self._chosen is None else len(self._chosen)
        return chosen - len(self.left_out)

    def assumptions(self, view: View) -> Iterator[str]:
        """Say what was assumed of the set's columns, and of pairs without an image."""
        yield from (*self.pairs.columns.said(), *self.notes)
        lacking = sum(not pair.images for pair in self) if view is View.FULL else 0
        if lacking == len(self):
            yield "no pair has an image: view full sends the text alone"
        elif lacking:
            yield f"{lacking:,} of {len(self):,} pairs have no image and are asked as text alone"

    @property
    def all_left_out(self) -> tuple[BadRow, ...]:
        """Every row that the run does without: unreadable ones, and pairs that cannot be shown."""
        return (*self.pairs.bad, *self.left_out.values())

    def check(self, view: View, judge: Judge | None = None) -> Swapper | None:
        """Look at every image and text that the view needs, before anything is spent.

        Returns:
            What the swap view needs, where it is the view.

        Raises:
            BadRows: All pairs that cannot be shown; with `Sample.skip_bad` they are left out
                instead.
        """
        swapper = Swapper(self.pairs, self.sample.seed) if view is View.SWAP else None
        contexts = [getattr(one, "context", None) for one in members(judge)] if judge else []
        bad: dict[str, BadRow] = {}

        def to_be_shown() -> Iterator[Pair]:
            for pair in self:
                try:
                    shown = show(pair, view, swapper)
                    if JudgeContext.DESCRIPTION in contexts and not pair.description:
                        raise VlsbenchError(
                            "no description for --judge-context description; use image"
                        )
                except VlsbenchError as error:
                    bad[pair.id] = BadRow(self.pairs.name, pair.id, str(error))
                    continue
                # A grey image is made from the pair's own, so that one is looked at.
                yield pair if view is View.BLANK else replace(pair, images=shown.images)

        faults = image_faults(to_be_shown())
        for fault in faults:
            bad[fault.row] = BadRow(self.pairs.name, fault.row, fault.reason)
        left = len(self) - len(bad)
        if 2 * len(faults) > len(self):
            root = self.pairs.root and self.pairs.root.resolve()
            place = root.parent if root and root.is_file() else root or "their folder"
            self.notes = (
                f"most images are missing: {len(faults):,} of {len(self):,} pairs lack theirs. Put "
                f"them into {place}, or ask without them (eval --view text)",
            )
        if bad and not (self.sample.skip_bad and left):
            hints = [*self.pairs.columns.hints, *self.notes]
            raise BadRows(self.pairs.name, list(bad.values()), rest=left > 0, hints=hints)
        self.left_out = bad
        return swapper


def default_context(view: View) -> JudgeContext:
    """What a judge is told is the same in every view, so that views differ in their replies alone.

    A swapped image is not the one that the description tells of.
    """
    return JudgeContext.IMAGE if view is View.SWAP else JudgeContext.BOTH


def identity_of(
    selection: Selection,
    content: str,
    shown: Presentation,
    target: ChatModel,
    judge: Judge,
    judging: Judging,
) -> Mapping[str, Any]:
    """Gather everything that decides which calls are made; plain JSON, no secrets."""
    return {
        "bench": selection.pairs.name,
        "data": selection.fingerprint,
        "content": content,
        "view": str(shown.view),
        "limit": selection.sample.limit,
        "seed": selection.sample.seed,
        "target": dict(target.identity),
        "params": shown.params.as_json(),
        "system": shown.system,
        "shrink": asdict(shown.shrink),
        "judge": dict(judge.identity),
        **({"samples": shown.samples} if shown.samples > 1 else {}),
        **({"judge_partial": True} if judging.partial else {}),
    }


def run_id(identity: Mapping[str, Any], target: str, judge: str) -> str:
    """Name a run so that a person knows it and equal runs meet: words, then a digest."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    words = (str(identity["bench"]), str(identity["view"]), _short(target), _short(judge))
    return f"{'-'.join(map(slug, words))[:120]}-{digest}"


def _short(spec: str) -> str:
    parts = spec.split(" + ")
    return "-".join(part.partition("@")[0].rpartition("/")[2] or part for part in parts)
