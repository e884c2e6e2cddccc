"""`vlsbench.release`: a set written out for others, from Python as on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsbench.pairs import PairSet, load
from vlsbench.releasing._config import read_config, settings_of
from vlsbench.releasing._gather import Watch
from vlsbench.releasing._types import Release
from vlsbench.releasing._write import Beside, write_release

File = str | os.PathLike[str] | None


def release(
    dataset: str | os.PathLike[str] | PairSet,
    *,
    out: str | os.PathLike[str],
    config: File = None,
    review: File = None,
    leave_out: File = None,
    card: File = None,
    provenance: File = None,
    agreement: File = None,
    previous: File = None,
    data: File = None,
    columns: Mapping[str, str] | None = None,
    force: bool = False,
    skip_bad: bool = False,
    watch: Watch = lambda what, done, total: None,
    **options: Any,
) -> Release:
    """Write a set out as a release: Parquet, imagefolder, dataset card, Croissant, checksums.

    Args:
        dataset: What `load` opens, or an opened set.
        out: Folder of the release; must be empty or not be there.
        config: A `release.toml`.
        review: `keep.csv` of a review: no other pair is released.
        leave_out: List of pairs to leave out, of a review or of `vlsbench audit --drop-leaking`.
        card: `card.json` of an audit.
        provenance: `provenance.jsonl` of a build.
        agreement: Agreement of reviewers, as a review exports it.
        previous: Folder of the release before, for the changelog.
        data: Folder with a benchmark's official files.
        columns: Column map of a set of your own.
        force: Replace a release of the same name in `out`.
        skip_bad: Leave pairs with unusable images out, and count them.
        watch: Is told what is done, how much of it, and how much there is.
        options: Fields of `releasing.Settings`: `name`, `version`, `licence`, `content`, …; they
            go before `config`.

    Returns:
        What `release.json` says.

    Raises:
        BadRows: Images cannot be read; lists every one.
        VlsbenchError: A licence or an answer about the content is missing, or something does not
            fit together. Nothing was written.
    """
    settings = settings_of(_laid(read_config(Path(config)) if config else {}, options))
    pairs = (
        dataset
        if isinstance(dataset, PairSet)
        else load(dataset, data=data, skip_bad=skip_bad, columns=columns)
    )
    beside = Beside(
        keep=_path(review),
        leave_out=_path(leave_out),
        card=_path(card),
        provenance=_path(provenance),
        agreement=_path(agreement),
        previous=_path(previous),
    )
    return write_release(
        pairs, Path(out), settings, beside, force=force, skip_bad=skip_bad, watch=watch
    )


def _laid(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over a file's settings; of a table, only the entries that are given."""
    found = dict(config)
    for name, value in options.items():
        below = found.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and name != "split":
            found[name] = {**below, **value}
        else:
            found[name] = value
    return found


def _path(file: File) -> Path | None:
    return None if file is None else Path(file)
