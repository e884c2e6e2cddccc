"""`vlsbench.release`: a set read, checked, written beside its place and moved there whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.config import resolve
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import PairSet, load, parse_columns, read_drop
from vlsbench.releasing._about import (
    CARD,
    CHANGELOG,
    CHECKSUMS,
    CROISSANT,
    PROVENANCE,
    RELEASE_JSON,
    SCHEMA,
    Release,
    read_release,
)
from vlsbench.releasing._card import card, changelog, context_of, croissant
from vlsbench.releasing._facts import (
    Provenance,
    agreement,
    changes,
    leakage,
    statistics,
    version_before,
)
from vlsbench.releasing._pairs import Pool, Watch, choose, gather
from vlsbench.releasing._records import write_records
from vlsbench.releasing._settings import ReleaseConfig, checked

SHARD_BYTES = 500_000_000
"""Of images in one file, as the Hub recommends."""


def release(
    dataset: str | os.PathLike[str] | PairSet,
    *,
    out: str | os.PathLike[str],
    config: str | os.PathLike[str] | None = None,
    shard_bytes: int = SHARD_BYTES,
    watch: Watch = lambda what, done, total: None,
    **settings: Any,
) -> Release:
    """Write a set out as a release: Parquet, imagefolder, dataset card, Croissant, checksums.

    Args:
        dataset: What `load` opens, or an opened set.
        out: Folder of the release; must be empty or not be there.
        config: A `release.toml`.
        shard_bytes: Bytes of images in one Parquet file, about.
        watch: Is told what is done, how much of it, and how much there is.
        settings: Fields of `releasing.ReleaseConfig` (`name`, `version`, `licence`, `content`,
            `licences`, `review`, `card`, …); they go before `config`.

    Returns:
        What `release.json` says.

    Raises:
        VlsbenchError: Something is missing or does not fit together (`BadRows`: images cannot be
            read; lists every one). Nothing was written.
    """
    named = dataset.name if isinstance(dataset, PairSet) else os.fspath(dataset)
    given = {**settings, "dataset": named, "out": os.fspath(out)}
    found = resolve(ReleaseConfig, given, file=Path(config) if config else None)
    opened = dataset if isinstance(dataset, PairSet) else None
    return write_release(found, pairs=opened, shard_bytes=shard_bytes, watch=watch)


def write_release(
    config: ReleaseConfig,
    *,
    pairs: PairSet | None = None,
    shard_bytes: int = SHARD_BYTES,
    watch: Watch = lambda what, done, total: None,
) -> Release:
    """Do what `release` does, from its configuration; `pairs` in place of its `dataset`."""
    settings, out, previous = checked(config), config.out, config.previous
    if pairs is None:
        columns = config.columns
        if isinstance(columns, str):
            columns = parse_columns(columns)
        pairs = load(
            config.dataset, data=config.data, skip_bad=config.skip_bad, columns=columns or None
        )
    _check_place(out, settings.name, config.force)
    excluded = _excluded(pairs, config.review, config.leave_out)
    by = Provenance(config.provenance) if config.provenance else None
    leaks = leakage(config.card, pairs.name) if config.card else None
    agreed = agreement(config.agreement, pairs.name) if config.agreement else None
    before = version_before(previous, settings) if previous else ""
    chosen, content, simulated = choose(pairs, settings, excluded)
    if by:
        by.check([entry.pair.id for entry in chosen])
    with _folder_for(out) as (folder, work):
        pool = Pool(work / "pool")
        entries, unusable = gather(pairs, chosen, pool, skip_bad=config.skip_bad, watch=watch)
        tables, splits = write_records(folder, pool, entries, settings.shares, shard_bytes, watch)
        ids = {entry.pair.id for entry in entries}
        harmful = sum(entry.pair.harmful for entry in entries)
        released = Release(
            schema=SCHEMA,
            vlsbench=__version__,
            name=settings.name,
            version=settings.version,
            title=settings.title or settings.name,
            date=settings.date,
            licence=settings.licence,
            dataset=pairs.name,
            pairs=len(entries),
            harmful=harmful,
            images=len({name for entry in entries for name in entry.images}),
            gated=bool(harmful),
            simulated=simulated or bool(by and by.simulated),
            content=content,
            splits=splits,
            columns=tables,
            statistics=statistics(entries, pool.decoded),
            left_out=dict(Counter(excluded.values()) + unusable),
            leakage=leaks,
            agreement=agreed,
            made=by.write(folder / PROVENANCE, ids, excluded) if by else None,
            changes=changes(previous, before, folder) if previous else None,
        )
        _describe(folder, released, settings, previous)
    return released


def _check_place(out: Path, name: str, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise VlsbenchError(f"{out} is not a folder: choose another --out")
    if any(out.iterdir()):
        if not force:
            raise VlsbenchError(
                f"{out} is not empty: name another folder, or replace it with --force"
            )
        if (found := read_release(out).name) != name:
            raise VlsbenchError(f"{out} holds the release {found}, not {name}: --force keeps it")


def _excluded(pairs: PairSet, keep: Path | None, leave_out: Path | None) -> dict[str, str]:
    """Return id → why it is not released."""
    found: dict[str, str] = {}
    if keep:
        kept, ids = read_drop(keep, pairs.name), {pair.id for pair in pairs}
        if unknown := sorted(kept - ids):
            raise VlsbenchError(f"{keep} keeps {unknown[0]}, which is not a pair of {pairs.name}")
        found = dict.fromkeys(ids - kept, "not kept by review")
    if leave_out:
        left = read_drop(leave_out, pairs.name)
        found |= dict.fromkeys(left, "on the list of pairs to leave out")
    return found


@contextmanager
def _folder_for(out: Path) -> Iterator[tuple[Path, Path]]:
    """Give a folder to fill and one to work in; the first takes the place of `out` at the end."""
    out = out.absolute()
    work = out.with_name(f".{out.name}.{os.getpid()}.part")
    folder, old = work / "release", work / "old"
    try:
        folder.mkdir(parents=True)
        yield folder, work
        # Renames, so that neither is ever there in part.
        if there := out.exists():
            out.rename(old)
        try:
            folder.rename(out)
        except OSError:
            if there:
                old.rename(out)
            raise
    except OSError as error:
        raise VlsbenchError(f"{out} cannot be written: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _describe(
    folder: Path, released: Release, settings: ReleaseConfig, previous: Path | None
) -> None:
    """Write everything except the records, checksums last."""
    context = context_of(released, settings)
    shards = {
        name: ((folder / name).stat().st_size, sha256(folder / name))
        for split in released.splits
        for name in split.files
    }
    texts = {
        CROISSANT: croissant(released, shards, context),
        RELEASE_JSON: json.dumps(asdict(released), indent=1, ensure_ascii=False) + "\n",
        CHANGELOG: changelog(released, previous / CHANGELOG if previous else None),
        CARD: card(released, settings, context),
    }
    for name, text in texts.items():
        # Only what provenance tells may hold half surrogates; in JSON they stay escapes.
        (folder / name).write_text(text, "utf-8", "backslashreplace", "\n")
    listed = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    lines = [f"{sha256(folder / name)}  {name}\n" for name in listed]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
