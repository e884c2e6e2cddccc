"""Publish a dataset: `vlsbench release DATASET` is short for `release write`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlsbench.cli._config import AsJson, command, default_command
from vlsbench.cli._print import print_json, prose, say
from vlsbench.config import values_of
from vlsbench.errors import EXIT_ERROR
from vlsbench.releasing import ReleaseConfig
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.releasing import Release

app = typer.Typer(cls=default_command("write"), no_args_is_help=True)


@app.command("write")
@command(
    ReleaseConfig,
    config_help="Read settings from a release.toml (docs/release.md); options override it.",
)
def write_release(config: ReleaseConfig, *, as_json: bool, quiet: bool) -> None:
    """Write a dataset as a release that `datasets.load_dataset` and `vlsbench eval` open.

    Nothing is written unless everything is there: a licence for every source of images, an answer
    to each question about the content of harmful pairs, and images that can be read.
    `vlsbench release verify DIR` checks a release.

    **Examples**

    - `vlsbench release lab/leakless --out toasters --name toasters --version 1.0.0
      --licence apache-2.0`

    - `vlsbench release build/pairs --out kitchen --config release.toml --review keep.csv
      --card audits/pairs/card.json --provenance build/provenance.jsonl`

    - `vlsbench release build/pairs --out kitchen --config release.toml
      --split train=0.1,test=0.9`
    """
    from vlsbench.releasing import release

    made = release(**values_of(config))
    if as_json:
        print_json(made)
    elif not quiet:
        _print_release(made, config.out)


@app.command("verify")
def verify_release(
    folder: Annotated[Path, typer.Argument(help="Folder of a release.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Check a release: that its files are there and as they were written, and its Croissant.

    **Examples**

    - `vlsbench release verify toasters`

    Exit codes: 0 sound, 1 something is wrong, 2 wrong usage.
    """
    from vlsbench.releasing import verify

    found = verify(folder)
    if as_json:
        print_json({**asdict(found), "sound": found.sound})
    else:
        console = prose(stderr=False)
        say(*(f"wrong: {fault}" for fault in found.faults), style="red", console=console)
        say(*found.notes, style="yellow", console=console)
        state = "sound" if found.sound else counted(len(found.faults), "fault")
        size = f"{counted(found.pairs, 'pair')}, {counted(found.images, 'image')}"
        say(f"{found.name} {found.version}: {size}; {state}", console=console)
    if not found.sound:
        raise typer.Exit(EXIT_ERROR)


def _print_release(made: Release, out: Path) -> None:
    console = prose(stderr=False)
    size = f"{counted(made.pairs, 'pair')}, {counted(made.images, 'image')}"
    say(f"{made.name} {made.version}: {size}", console=console)
    for split in made.splits:
        harmful = f"{split.harmful:,} harmful"
        images = counted(split.images, "image")
        say(f"{split.name}: {counted(split.pairs, 'pair')} ({harmful}), {images}", console=console)
    for reason, count in made.left_out.items():
        say(f"left out: {count:,} {reason}", console=console)
    cautions = {
        "no leakage card: the dataset card says so": made.leakage is None,
        "no agreement: the dataset card says so": made.agreement is None,
        "Croissant lacks a field that dataset tracks require: give --synthetic or "
        "--no-synthetic": made.synthetic is None,
        "Simulated pairs: the card says so.": made.simulated,
        "Switch gated access on at the Hub before the set is public.": made.gated,
    }
    said = (caution for caution, holds in cautions.items() if holds)
    say(*said, style="yellow", console=console)
    say(f"Next: vlsbench release verify {out}", style="dim", console=console)
