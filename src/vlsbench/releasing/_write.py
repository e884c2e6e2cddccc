"""`vlsbench.release`: a set read, checked, written beside its place and moved there whole."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from vlsbench import __version__
from vlsbench.config import resolve
from vlsbench.errors import VlsbenchError
from vlsbench.files import file_sha256, whole_folder
from vlsbench.pairs import PairSet, read_drop
from vlsbench.registry import is_simulated
from vlsbench.releasing._about import (
    CARD,
    CHECKSUMS,
    CROISSANT,
    PROVENANCE,
    RELEASE_JSON,
    SCHEMA,
    Release,
)
from vlsbench.releasing._card import card, context_of, croissant
from vlsbench.releasing._facts import (
    agreement,
    copy_provenance,
    leakage,
    statistics,
)
from vlsbench.releasing._pairs import choose, content_of, gather
from vlsbench.releasing._records import write_records
from vlsbench.releasing._settings import ReleaseConfig, checked
from vlsbench.reviewing import DROP, UNDECIDED


def release(
    dataset: str | os.PathLike[str] | PairSet,
    *,
    out: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Release:
    """Write a set out as a release: Parquet, dataset card, Croissant, checksums.

    Args:
        dataset: What `load` opens, or an opened set.
        out: Folder of the release; must be empty or not be there.
        config: A `release.toml`.
        settings: Fields of `releasing.ReleaseConfig` (`name`, `version`, `licence`, `content`,
            `licences`, `review`, `card`, …); they override `config`.

    Returns:
        What `release.json` says.

    Raises:
        VlsbenchError: Something is missing or does not fit together (`BadRows`: images cannot be
            read; lists every one). Nothing was written.
    """
    named = dataset.name if isinstance(dataset, PairSet) else os.fspath(dataset)
    given = {**settings, "dataset": named, "out": os.fspath(out)}
    found = checked(resolve(ReleaseConfig, given, file=Path(config) if config else None))
    pairs = dataset if isinstance(dataset, PairSet) else found.load()
    if found.out.exists() and (not found.out.is_dir() or any(found.out.iterdir())):
        raise VlsbenchError(f"{found.out} is not an empty folder: choose another --out")
    excluded = _excluded(pairs, found.review, found.leave_out)
    leaks = leakage(found.card, pairs.name) if found.card else None
    agreed = agreement(found.agreement, pairs.name) if found.agreement else None
    chosen = choose(pairs, found, excluded)
    content = content_of(pairs, found, chosen)
    try:
        with whole_folder(found.out) as folder:
            entries, unusable = gather(pairs, chosen, skip_bad=found.skip_bad)
            ids = {entry.pair.id for entry in entries}
            told, to = found.provenance, folder / PROVENANCE
            made = copy_provenance(told, to, ids, excluded) if told else None
            shares = cast("dict[str, float]", found.split)
            columns, splits = write_records(folder, entries, shares)
            harmful = sum(entry.pair.harmful for entry in entries)
            sources = {pairs.name, *(entry.pair.source for entry in entries)}
            simulated = any(map(is_simulated, [*sources, *(made.models if made else ())]))
            released = Release(
                schema=SCHEMA,
                vlsbench=__version__,
                name=found.name,
                version=found.version,
                title=found.title or found.name,
                date=found.date,
                licence=found.licence,
                dataset=pairs.name,
                pairs=len(entries),
                harmful=harmful,
                images=sum(split.images for split in splits),
                gated=bool(harmful),
                simulated=simulated,
                synthetic=True if simulated or (made and made.models) else found.synthetic,
                content=content,
                splits=splits,
                columns=columns,
                statistics=statistics(entries),
                left_out=dict(sorted((Counter(excluded.values()) + unusable).items())),
                leakage=leaks,
                agreement=agreed,
                made=made,
            )
            _describe(folder, released, found)
    except OSError as error:
        raise VlsbenchError(f"{found.out} cannot be written: {error}") from None
    return released


def _excluded(pairs: PairSet, keep: Path | None, leave_out: Path | None) -> dict[str, str]:
    """Return id → why it is not released."""
    found: dict[str, str] = {}
    if keep:
        kept, ids = read_drop(keep, pairs.name), {pair.id for pair in pairs}
        if unknown := sorted(kept - ids):
            raise VlsbenchError(f"{keep} keeps {unknown[0]}, which is not a pair of {pairs.name}")
        found = dict.fromkeys(ids - kept, "not kept by review")
        if (undecided := keep.with_name(UNDECIDED)).is_file():
            reviewed = kept | read_drop(keep.with_name(DROP), pairs.name)
            reviewed |= read_drop(undecided, pairs.name)
            found |= dict.fromkeys(ids - reviewed, "not in the review")
    if leave_out:
        left = read_drop(leave_out, pairs.name)
        found |= dict.fromkeys(left, "on the list of pairs to leave out")
    return found


def _describe(folder: Path, released: Release, settings: ReleaseConfig) -> None:
    """Write everything except the records, checksums last."""
    context = context_of(released, settings)
    shards = {
        name: ((folder / name).stat().st_size, file_sha256(folder / name))
        for split in released.splits
        for name in split.files
    }
    texts = {
        CROISSANT: croissant(released, shards, context),
        RELEASE_JSON: json.dumps(asdict(released), indent=1, ensure_ascii=False) + "\n",
        CARD: card(released, settings, context),
    }
    for name, text in texts.items():
        # Only what provenance tells may hold half surrogates; in JSON they stay escapes.
        (folder / name).write_text(text, "utf-8", "backslashreplace", "\n")
    listed = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{file_sha256(folder / name)}  {name}\n" for name in listed]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")
