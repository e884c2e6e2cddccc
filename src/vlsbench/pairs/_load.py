"""From the name that a user gives to an opened benchmark."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._fetch import PIN, home_folder
from vlsbench.pairs._generic import FORMS, open_generic
from vlsbench.pairs._rows import MissingFile
from vlsbench.pairs._source import PairSet, Source
from vlsbench.pairs.sources import SOURCES


def find_source(bench: str) -> tuple[Source, str]:
    """Look up `name` or `name:variant`.

    Returns:
        The source and its variant (the default one if none is named).

    Raises:
        VlsbenchError: There is no such benchmark or variant; names the closest ones.
    """
    name, _, variant = bench.partition(":")
    source = SOURCES.get(name)
    if source is None:
        close = difflib.get_close_matches(name.lower().replace("_", "-"), SOURCES, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise VlsbenchError(
            f"no benchmark {name!r}: {hint}`vlsbench bench list` shows all; "
            "a set of your own is given by its path"
        )
    if variant and variant not in source.variants:
        forms = ", ".join(source.variants) or "only one form"
        raise VlsbenchError(f"{name} has no variant {variant!r}; it has {forms}")
    return source, variant or source.default


def _own_set(bench: str) -> Path | None:
    """Return the path of a user's own set, or None if `bench` is meant to be a name."""
    path = Path(bench).expanduser()
    if bench.partition(":")[0] in SOURCES:
        return None
    looks = "/" in bench or os.sep in bench or path.suffix.lower() in FORMS
    return path if looks or path.exists() else None


def load(
    bench: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    columns: Mapping[str, str] | None = None,
) -> PairSet:
    """Open a benchmark.

    Args:
        bench: `name` or `name:variant` (`figstep:tiny`), or the path of a set in the generic form
            (JSONL, CSV, Parquet, or a folder with `metadata.jsonl` / `.csv` / `.parquet`).
        data: Folder with the benchmark's official layout; by default what `vlsbench bench fetch`
            brought.
        skip_bad: Leave unusable rows out (they are listed in `PairSet.bad`) rather than raise.
        columns: For the generic form: field of a pair → column of the set
            (`{"query": "prompt"}`).

    Raises:
        BadRows: Some rows are unusable; lists every one.
        VlsbenchError: No such benchmark, or its files are not there.
    """
    own = _own_set(os.fspath(bench))
    if own is not None:
        if data is not None:
            raise VlsbenchError(f"{bench} is a path: --data goes with the name of a benchmark")
        return open_generic(own, columns=columns, skip_bad=skip_bad)
    source, variant = find_source(os.fspath(bench))
    if columns:
        raise VlsbenchError(f"{source.name} has its own layout: columns are for sets of your own")
    root = Path(data).expanduser() if data is not None else home_folder(source.name)
    name = f"{source.name}:{variant}" if variant != source.default else source.name
    remedy = f"run `vlsbench bench fetch {source.name}` or point --data at a copy"
    if data is None and not (root / PIN).exists():
        raise VlsbenchError(
            f"{source.name}: {'only partly' if root.exists() else 'not'} fetched; {remedy}"
        )
    if not root.is_dir():
        raise VlsbenchError(f"{source.name}: no folder {root}; {remedy}")
    try:
        return PairSet(
            name,
            lambda: source.read(root, variant),
            skip_bad=skip_bad,
            source=source,
            variant=variant,
            root=root,
        )
    except MissingFile as error:
        raise VlsbenchError(
            f"{name}: {error}; expected layout: {source.layout}; {remedy}"
        ) from None
