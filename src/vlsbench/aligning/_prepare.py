"""Training on sets by name, with their licences and what they share with benchmarks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench.aligning._rewards import open_reward
from vlsbench.aligning._run import (
    TrainingPlan,
    first_process_first,
    need_reward,
    plan_training,
    train,
)
from vlsbench.aligning._settings import AlignConfig, Method, Progress, Reward, Row, Trained
from vlsbench.aligning.data import Data, open_data, unpack
from vlsbench.aligning.rows import image_bytes, open_image, query_of, row_fault
from vlsbench.config import resolve
from vlsbench.embed import TextIndex
from vlsbench.errors import VlsbenchError
from vlsbench.models import no_folder
from vlsbench.pairs import Pair, home_folder, load
from vlsbench.text import counted

Say = Callable[[str], None]
"""Is told what deserves attention: licences, rows left out, contamination."""
NEAR = 0.7
"""Jaccard similarity of word triples from which on two questions are near-duplicates."""


@dataclass(frozen=True)
class Prepared:
    """A training that could begin: all that was asked for is known and fits together."""

    config: AlignConfig
    data: Data
    contamination: tuple[Contamination, ...]
    say: Say

    def plan(self) -> TrainingPlan:
        """Say what it would be. Opens no weights."""
        need_reward(self.config.method, self.config.reward)
        return plan_training(
            self.config.method,
            model=self.config.model or "",
            rows=self.data.rows,
            settings=self.config,
            name=self.data.name,
        )

    def about(self) -> dict[str, Any]:
        """Return what the training's record says of its data, as plain JSON."""
        return {
            "licences": self.data.licences,
            "accepted": list(self.data.accepted),
            "fetched": self.data.fetched,
            "left_out": len(self.data.bad),
            "contamination": [
                {
                    **{"bench": one.bench, "rows": len(self.data.rows), "pairs": one.pairs},
                    **{"matches": len(one.matches), "touched": one.touched},
                }
                for one in self.contamination
            ],
        }

    def train(self, *, reward: Reward | None = None, progress: Progress | None = None) -> Trained:
        """Train.

        Args:
            reward: Of online methods, in place of the one that the configuration names.
            progress: Is told how far it is.
        """
        config, data = self.config, self.data
        if config.out is None:
            raise VlsbenchError("no folder for the model: give --out DIR (or --dry-run)")
        with first_process_first():
            data.rows = unpack(data.rows, home_folder("pictures"))
        before = len(data.bad)
        with ThreadPoolExecutor() as threads:
            data.keep(threads.map(_image_fault, data.rows), skip_bad=config.skip_bad)
        if bad := data.bad[before:]:
            self.say(f"{data.name}: {counted(len(bad), 'row')} left out, the first: {bad[0]}")
        about = self.about()
        if config.method.online:
            about["reward"] = "function" if reward else config.reward
            reward = reward or (open_reward(config.reward) if config.reward else None)
        return train(
            config.method,
            model=config.model or "",
            rows=data.rows,
            out=config.out,
            settings=config,
            reward=reward,
            progress=progress,
            name=data.name,
            about=about,
        )


def _image_fault(row: Row) -> str:
    """Decode the images of a row: a bad one would end the training when its row comes up."""
    try:
        for image in row.get("images") or ():
            open_image(image)
    except VlsbenchError as error:
        return str(error)
    return ""


def align(
    method: Method | str,
    *,
    data: Sequence[str],
    out: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    reward: Reward | str | None = None,
    progress: Progress | None = None,
    say: Say = lambda line: None,
    **settings: Any,
) -> Trained:
    """Train a vision-language model on sets named as the command names them, and save it.

    `aligning.train` does the same with rows of one's own.

    Args:
        method: `t-sft`, `mm-dpo`, …
        data: Sets: `NAME`, `NAME=FOLDER`, `hub:OWNER/NAME[@REVISION][:SPLIT]`, or the path of a
            JSONL or Parquet file or of a folder of them.
        out: Folder for the model.
        config: Path of a TOML file, or the name of one that comes with vlsbench.
        reward: Of online methods: a function, or a name that `aligning.open_reward` knows.
        progress: Is told how far it is.
        say: Is told what deserves attention.
        settings: Fields of `aligning.AlignConfig` (`model`, `epochs`, `lora`, …); they override
            those of `config`.

    Raises:
        BadRows: Some rows cannot be used; lists every one.
        VlsbenchError: Anything else that the caller can mend.
    """
    named = {"reward": reward} if isinstance(reward, str) else {}
    given = {"method": method, "data": data, "out": out, **named, **settings}
    found = resolve(AlignConfig, given, file=Path(config) if config else None)
    return open_training(found, say).train(
        reward=None if isinstance(reward, str) else reward, progress=progress
    )


def open_training(config: AlignConfig, say: Say = lambda line: None) -> Prepared:
    """Open data and settings of a training, and look whether it may be done.

    Raises:
        BadRows: Some rows cannot be used; lists every one.
        VlsbenchError: Anything else that the caller can mend.
    """
    method, skip_bad = config.method, config.skip_bad
    if not config.model:
        raise VlsbenchError("no model: give --model, or a --config that names one")
    if fault := no_folder(config.model):
        raise VlsbenchError(f"--model {config.model}: {fault}")
    with first_process_first():
        data = open_data(
            config.data, method, accept_licence=config.accept_licence, skip_bad=skip_bad
        )
    for name in data.accepted:
        say(f"{name}: its licence ({data.licences[name]}) restricts what may be done")
    data.keep((row_fault(method, row, config) for row in data.rows), skip_bad=skip_bad)
    if data.bad:
        say(f"{data.name}: {counted(len(data.bad), 'unusable row')} left out")
    benches = [load(one, data=config.check_data, skip_bad=True) for one in config.check_against]
    found = tuple(check_against(data.rows, pairs.name, pairs) for pairs in benches)
    for one in found:
        say(str(one))
    return Prepared(config, data, found, say)


class Match(NamedTuple):
    """A training row and a benchmark's pair that are too much alike."""

    row: int
    pair: str
    what: str
    """`text`, `near text` or `image`."""


@dataclass(frozen=True)
class Contamination:
    """What a benchmark shares with the training data."""

    bench: str
    pairs: int
    matches: tuple[Match, ...]

    @property
    def touched(self) -> int:
        """Pairs of the benchmark with a match."""
        return len({match.pair for match in self.matches})

    def __str__(self) -> str:
        if not self.matches:
            return f"{self.bench}: none of {counted(self.pairs, 'pair')} is in the training data"
        by = Counter(what for _, what in {(match.pair, match.what) for match in self.matches})
        return (
            f"{self.bench}: {self.touched:,} of {self.pairs:,} pairs are in the training data "
            f"({by['text']:,} by the same text, {by['near text']:,} by nearly the same, "
            f"{by['image']:,} by the same image): results on them say little"
        )


def check_against(rows: Sequence[Row], bench: str, pairs: Iterable[Pair]) -> Contamination:
    """Look for a benchmark's questions and images in training data.

    Questions are near-duplicates where they share most of their runs of three words. Images match
    where their files are the same to the byte; one that was saved anew does not.
    """
    questions, images = TextIndex(jaccard=NEAR), dict[str, int]()
    for place, row in enumerate(rows):
        questions.add([query_of(row)])
        for image in row.get("images") or ():
            with suppress(OSError, VlsbenchError):
                images.setdefault(sha256(image_bytes(image)).hexdigest(), place)
    matches: list[Match] = []
    asked = list(pairs)
    for pair in asked:
        if found := questions.find(pair.query):
            what = "text" if found.similarity == 1 else "near text"
            matches.append(Match(found.place, pair.id, what))
        for shown in pair.images if images else ():
            with suppress(OSError, VlsbenchError):
                if (digest := shown.read().sha256) in images:
                    matches.append(Match(images[digest], pair.id, "image"))
    return Contamination(bench, len(asked), tuple(matches))
