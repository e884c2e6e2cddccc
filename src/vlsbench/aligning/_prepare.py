"""Training from Python as on the command line: sets by name, licences, contamination."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlsbench.aligning._contamination import Contamination, check_against
from vlsbench.aligning._plan import Plan, plan
from vlsbench.aligning._rewards import open_reward
from vlsbench.aligning._rows import sort_rows
from vlsbench.aligning._run import align, first_process_first
from vlsbench.aligning._settings import (
    Method,
    Progress,
    Reward,
    Settings,
    Trained,
    make_settings,
    read_config,
)
from vlsbench.aligning.data import Data, open_data, unpack
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import home_folder, load

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """A training that could begin: all that was asked for is known and fits together."""

    method: Method
    model: str
    data: Data
    settings: Settings
    contamination: tuple[Contamination, ...]

    def plan(self) -> Plan:
        """Say what it would be. Opens no weights."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        return plan(
            self.method,
            model=self.model,
            rows=self.data.rows,
            settings=self.settings,
            name=self.data.name,
            processes=processes,
        )

    def about(self) -> dict[str, Any]:
        """Return what the training's record says of its data, as plain JSON."""
        return {
            "licences": dict(self.data.licences),
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

    def train(
        self,
        out: str | os.PathLike[str],
        *,
        reward: Reward | str = "rules",
        progress: Progress | None = None,
    ) -> Trained:
        """Train.

        Args:
            out: Folder for the model.
            reward: Of online methods: a function, or a name that `align.open_reward` knows.
            progress: Is told how far it is.
        """
        rows = unpack(self.data.rows, home_folder("pictures"))
        about = self.about()
        if self.method.online:
            about["reward"] = reward if isinstance(reward, str) else "function"
        rewarded = open_reward(reward) if isinstance(reward, str) else reward
        return align(
            self.method,
            model=self.model,
            rows=rows,
            out=Path(out),
            settings=self.settings,
            reward=rewarded if self.method.online else None,
            progress=progress,
            name=self.data.name,
            about=about,
        )


def prepare(
    method: Method | str,
    *,
    data: Sequence[str],
    model: str | os.PathLike[str] | None = None,
    config: str | None = None,
    accept_licence: bool = False,
    skip_bad: bool = False,
    limit: int | None = None,
    check: Sequence[str] = (),
    check_data: str | os.PathLike[str] | None = None,
    say: Say = lambda line: None,
    **settings: Any,
) -> Prepared:
    """Open data and settings of a training, and look whether it may be done.

    Args:
        method: `t-sft`, `mm-dpo`, …
        data: Sets: `NAME`, `NAME=FOLDER`, `hub:OWNER/NAME[@REVISION][:SPLIT]`, or the path of a
            JSONL or Parquet file or of a folder of them.
        model: Path or Hub id; by default the one that `config` names.
        config: Path of a TOML file, or the name of one that comes with vlsbench.
        accept_licence: Take sets whose licence restricts training.
        skip_bad: Leave unusable rows out.
        limit: Rows of each set.
        check: Benchmarks that the model will be evaluated on; what they share with the data is
            said.
        check_data: Folder with the official files of the benchmark, where only one is checked.
        say: Is told what deserves attention.
        settings: Fields of `align.Settings`; they go before those of `config`.

    Raises:
        BadRows: Some rows cannot be used; lists every one.
        VlsbenchError: Anything else that the caller can mend.
    """
    method = Method(method)
    given = read_config(config, method) if config else None
    values = {**(given.settings if given else {}), **settings}
    name = str(model or (given.model if given else ""))
    if not name:
        raise VlsbenchError("no model: give --model, or a --config that names one")
    made = make_settings(values)
    with first_process_first():
        opened = open_data(
            data, method, accept_licence=accept_licence, skip_bad=skip_bad, limit=limit
        )
    for accepted in opened.accepted:
        licence = dict(opened.licences)[accepted]
        say(f"{accepted}: taken under its licence ({licence}), which restricts what may be done")
    if skip_bad:
        good, bad = sort_rows(method, opened.rows, made, opened.name)
        opened = replace(opened, rows=good, bad=(*opened.bad, *bad))
    if opened.bad:
        say(f"{opened.name}: {len(opened.bad)} unusable rows left out")
    found = []
    for bench in check:
        pairs = load(bench, data=check_data, skip_bad=True)
        found.append(check_against(opened.rows, pairs.name, pairs))
        say(str(found[-1]))
    return Prepared(method, name, opened, made, tuple(found))
