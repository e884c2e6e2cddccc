"""Training on sets by name, with their licences and what they share with benchmarks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from vlsbench.aligning._contamination import Contamination, check_against
from vlsbench.aligning._rewards import open_reward
from vlsbench.aligning._run import first_process_first, need_reward, train
from vlsbench.aligning._settings import AlignConfig, Method, Progress, Reward, Row, Trained
from vlsbench.aligning.data import Data, open_data, unpack
from vlsbench.aligning.plan import TrainingPlan, plan_training
from vlsbench.aligning.rows import open_image, sort_rows
from vlsbench.config import resolve
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.models import no_folder
from vlsbench.pairs import home_folder, load
from vlsbench.text import counted

Say = Callable[[str], None]
"""Is told what deserves attention: licences, rows left out, contamination."""


@dataclass(frozen=True)
class Prepared:
    """A training that could begin: all that was asked for is known and fits together."""

    config: AlignConfig
    data: Data
    contamination: tuple[Contamination, ...]
    say: Say = lambda line: None

    def plan(self) -> TrainingPlan:
        """Say what it would be. Opens no weights."""
        need_reward(self.config.method, self.config.reward)
        return plan_training(
            self.config.method,
            model=self.config.model or "",
            rows=self.data.rows,
            settings=self.config,
            name=self.data.name,
            processes=int(os.environ.get("WORLD_SIZE", "1")),
        )

    def about(self) -> dict[str, Any]:
        """Return what the training's record says of its data, as plain JSON."""
        return {
            "licences": self.data.licences,
            "accepted": list(self.data.accepted),
            "fetched": {
                pin.name: {"repository": pin.repository, "revision": pin.revision}
                for pin in self.data.fetched
            },
            "left_out": len(self.data.bad),
            "contamination": [
                {**asdict(one), "matches": len(one.matches), "touched": one.touched}
                for one in self.contamination
            ],
        }

    def train(self, *, reward: Reward | None = None, progress: Progress | None = None) -> Trained:
        """Train.

        Args:
            reward: Of online methods, in place of the one that the configuration names.
            progress: Is told how far it is.
        """
        config = self.config
        if config.out is None:
            raise VlsbenchError("no folder for the model: give --out DIR (or --dry-run)")
        with first_process_first():
            rows = unpack(self.data.rows, home_folder("pictures"))
        data = _looked_at(replace(self.data, rows=rows), config.skip_bad, self.say)
        about = replace(self, data=data).about()
        if config.method.online:
            about["reward"] = "function" if reward else config.reward
            reward = reward or (open_reward(config.reward) if config.reward else None)
        return train(
            config.method,
            model=self.config.model or "",
            rows=data.rows,
            out=config.out,
            settings=config,
            reward=reward,
            progress=progress,
            name=self.data.name,
            about=about,
        )


def _looked_at(data: Data, skip_bad: bool, say: Say) -> Data:
    """Decode every image once: a bad one would end the training when its row comes up.

    Raises:
        BadRows: Some images cannot be decoded; lists every row that has one.
    """

    @cache
    def fault(image: object) -> str:
        try:
            open_image(image)
        except VlsbenchError as error:
            return str(error)
        return ""

    def first_fault(row: Row) -> str:
        return next(filter(None, map(fault, row.get("images") or ())), "")

    with ThreadPoolExecutor() as threads:
        faults = list(threads.map(first_fault, data.rows))
    bad = [BadRow(data.name, str(at), why) for at, why in enumerate(faults, 1) if why]
    if bad and (not skip_bad or len(bad) == len(faults)):
        raise BadRows(data.name, bad, rest=len(bad) < len(faults))
    if bad:
        say(f"{data.name}: {counted(len(bad), 'row')} left out, the first: {bad[0]}")
    good = [row for row, why in zip(data.rows, faults, strict=True) if not why]
    return replace(data, rows=good, bad=(*data.bad, *bad))


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
    method = config.method
    if not config.model:
        raise VlsbenchError("no model: give --model, or a --config that names one")
    if fault := no_folder(config.model):
        raise VlsbenchError(f"--model {config.model}: {fault}")
    with first_process_first():
        opened = open_data(
            config.data,
            method,
            accept_licence=config.accept_licence,
            skip_bad=config.skip_bad,
            limit=config.limit,
        )
    for accepted in opened.accepted:
        licence = opened.licences[accepted]
        say(f"{accepted}: taken under its licence ({licence}), which restricts what may be done")
    if config.skip_bad:
        good, bad = sort_rows(method, opened.rows, config, opened.name)
        opened = replace(opened, rows=good, bad=(*opened.bad, *bad))
    if opened.bad:
        say(f"{opened.name}: {counted(len(opened.bad), 'unusable row')} left out")
    benches = [load(one, data=config.check_data, skip_bad=True) for one in config.check_against]
    found = tuple(check_against(opened.rows, pairs.name, pairs) for pairs in benches)
    for one in found:
        say(str(one))
    return Prepared(config, opened, found, say)
