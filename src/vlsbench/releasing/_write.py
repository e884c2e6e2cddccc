"""`vlsbench.release`: a set read, checked, written beside its place and moved there whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from vlsbench import __version__

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import load
from vlsbench.pairs import PairSet, read_drop
from vlsbench.releasing._card import card as card_of
from vlsbench.releasing._card import changelog, context_of
from vlsbench.releasing._changes import Before, read_release_json
from vlsbench.releasing._columns import ABOUT, ROWS, cell, columns_of, write_parquet
from vlsbench.releasing._config import read_config, settings_of
from vlsbench.releasing._croissant import croissant
from vlsbench.releasing._findings import agreement as agreement_of
from vlsbench.releasing._findings import leakage
from vlsbench.releasing._pairs import Chosen, Entry, Pool, Watch, choose, gather, place, twin_of
from vlsbench.releasing._provenance import Provenance
from vlsbench.releasing._splits import assign_splits
from vlsbench.releasing._statistics import statistics
from vlsbench.releasing._types import (
    CARD,
    CHANGELOG,
    CHECKSUMS,
    CROISSANT,
    DATA,
    FOLDER,
    PROVENANCE,
    RELEASE_JSON,
    SCHEMA,
    Agreement,
    Column,
    Kind,
    Leakage,
    Release,
    Settings,
    Split,
)

SHARD_BYTES = 500_000_000
"""Of images in one file, as the Hub recommends."""
File = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What other files say of the set."""

    excluded: Mapping[str, str]
    """Id → why it is not released."""
    leakage: Leakage | None
    agreement: Agreement | None
    provenance: Provenance | None
    before: Before | None


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
    shard_bytes: int = SHARD_BYTES,
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
        columns: Column map of a custom dataset.
        force: Replace a release of the same name in `out`.
        skip_bad: Leave pairs with unusable images out, and count them.
        shard_bytes: Bytes of images in one Parquet file, about.
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
    pairs = dataset
    if not isinstance(pairs, PairSet):
        pairs = load(pairs, data=data, skip_bad=skip_bad, columns=columns)
    _check_place(Path(out), settings.name, force)
    known = _Known(
        excluded=_excluded(pairs, review, leave_out),
        leakage=leakage(Path(card), pairs.name) if card else None,
        agreement=agreement_of(Path(agreement), pairs.name) if agreement else None,
        provenance=Provenance(Path(provenance)) if provenance else None,
        before=Before(Path(previous), settings) if previous else None,
    )
    chosen = choose(pairs, settings, known.excluded)
    if known.provenance:
        known.provenance.check([pair.id for pair in chosen.pairs])
    with _folder_for(Path(out)) as (folder, work):
        pool = Pool(work / "pool")
        entries, unusable = gather(pairs, chosen, pool, skip_bad=skip_bad, watch=watch)
        writer = _Writer(folder, pool, entries, shard_bytes, known.before, watch)
        left_out = Counter(known.excluded.values()) + Counter({"unusable row": unusable})
        released = _released(pairs, settings, chosen, known, entries, left_out, writer)
        _describe(folder, released, settings, known.before.changelog if known.before else "")
    return released


def _laid(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over a file's settings; of a table, only the entries that are given."""
    found = dict(config)
    for name, value in options.items():
        below = found.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and name != "split":
            value = {**below, **value}
        found[name] = value
    return found


def _check_place(out: Path, name: str, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise VlsbenchError(f"{out} is no folder: name another with --out")
    if not any(out.iterdir()):
        return
    if not force:
        raise VlsbenchError(f"{out} is not empty: name another folder, or replace it with --force")
    found = read_release_json(out).get("name")
    if found != name:
        raise VlsbenchError(f"{out} holds the release {found}, not {name}: --force keeps it")


def _excluded(pairs: PairSet, keep: File, leave_out: File) -> dict[str, str]:
    """Return id → why it is not released."""
    found: dict[str, str] = {}
    if keep:
        kept, ids = read_drop(keep, pairs.name), {pair.id for pair in pairs}
        if unknown := sorted(kept - ids):
            raise VlsbenchError(
                f"{os.fspath(keep)} keeps {unknown[0]}, which is no pair of {pairs.name}"
            )
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


def _released(
    pairs: PairSet,
    settings: Settings,
    chosen: Chosen,
    known: _Known,
    entries: Sequence[Entry],
    left_out: Mapping[str, int],
    writer: _Writer,
) -> Release:
    """Write the records, and say what was written."""
    splits = tuple(writer.split(name, some) for name, some in _split(entries, settings.split))
    used = {name for entry in entries for name in entry.images}
    harmful = sum(entry.pair.harmful for entry in entries)
    by = known.provenance
    ids = {entry.pair.id for entry in entries}
    return Release(
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
        images=len(used),
        gated=bool(harmful),
        simulated=chosen.simulated or bool(by and by.simulated),
        content=chosen.content,
        splits=splits,
        columns=writer.columns,
        statistics=statistics(entries, writer.pictures),
        left_out=dict(left_out),
        leakage=known.leakage,
        agreement=known.agreement,
        made=by.write(writer.folder / PROVENANCE, ids, known.excluded) if by else None,
        changes=known.before.changes(writer.columns) if known.before else None,
    )


def _split(
    entries: Sequence[Entry], shares: Mapping[str, float]
) -> Iterator[tuple[str, list[Entry]]]:
    """Yield each split's pairs. Raises `VlsbenchError` where a split gets none."""
    assigned = assign_splits(
        {entry.pair.id: entry.images for entry in entries},
        {entry.pair.id: twin_of(entry.pair) for entry in entries},
        shares,
    )
    for split, share in shares.items():
        chosen = [entry for entry in entries if assigned[entry.pair.id] == split]
        if not chosen:
            raise VlsbenchError(
                f"split {split}={share:g} gets none of {len(entries):,} pairs: give it a larger "
                "share, or leave it out"
            )
        yield split, chosen


class _Writer:
    """Writes records, split by split, in both forms, in the order of their ids."""

    def __init__(
        self,
        folder: Path,
        pool: Pool,
        entries: Sequence[Entry],
        shard_bytes: int,
        before: Before | None,
        watch: Watch,
    ) -> None:
        self.folder, self.pictures = folder, pool.pictures
        self._pool, self._shard_bytes, self._before = pool.folder, shard_bytes, before
        self._watch, self._done, self._all = watch, 0, len(entries)
        several = any(len(entry.images) > 1 for entry in entries)
        self.columns = columns_of((e.pair.meta for e in entries), several_images=several)
        (folder / DATA).mkdir()

    def split(self, split: str, entries: Sequence[Entry]) -> Split:
        """Write one split."""
        home = self.folder / FOLDER / split
        used = sorted({name for entry in entries for name in entry.images})
        for name in used:
            target = home / place(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._pool / name).rename(target)
        size = sum(self.pictures[name].size for entry in entries for name in entry.images)
        # Shards end where row groups do.
        rows = -(-len(entries) // max(1, -(-size // self._shard_bytes)) // ROWS) * ROWS
        shards = [entries[start : start + rows] for start in range(0, len(entries), rows)]
        names = [f"{DATA}/{split}-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
        with open(home / "metadata.jsonl", "w", encoding="utf-8", newline="\n") as lines:
            for name, shard in zip(names, shards, strict=True):
                write_parquet(
                    self.folder / name,
                    self.columns,
                    self._rows(shard, lines),
                    lambda name: (home / place(name)).read_bytes(),
                )
        harmful = sum(entry.pair.harmful for entry in entries)
        return Split(split, len(entries), harmful, len(used), tuple(names))

    def _rows(self, entries: Sequence[Entry], lines: IO[str]) -> Iterator[dict[str, Any]]:
        for entry in entries:
            row = _row(self.columns, entry)
            if self._before:
                self._before.see(row)
            lines.write(json.dumps(with_paths(row), ensure_ascii=False) + "\n")
            self._done += 1
            self._watch("writing", self._done, self._all)
            yield row


def _row(columns: Sequence[Column], entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            row[column.name] = entry.images[0]
        elif column.kind is Kind.IMAGES:
            row[column.name] = list(entry.images)
        elif column.name in ABOUT:
            # All but the licence are fields of the pair.
            row[column.name] = getattr(entry.pair, column.name, entry.licence)
        else:
            row[column.name] = cell(column.kind, entry.pair.meta.get(column.origin))
    return row


def with_paths(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as imagefolder wants it: `file_name` first, or `file_names`."""
    rest = dict(row)
    if "images" in rest:
        return {"file_names": [place(name) for name in rest.pop("images")], **rest}
    return {"file_name": place(rest.pop("image")), **rest}


def _describe(folder: Path, released: Release, settings: Settings, before: str) -> None:
    """Write everything that is no record, checksums last."""
    context = context_of(released, settings)
    shards = {
        name: ((folder / name).stat().st_size, sha256(folder / name))
        for split in released.splits
        for name in split.files
    }
    texts = {
        CROISSANT: croissant(released, shards, context),
        RELEASE_JSON: json.dumps(asdict(released), indent=1, ensure_ascii=False) + "\n",
        CHANGELOG: changelog(released, before),
        CARD: card_of(released, settings, context),
    }
    for name, text in texts.items():
        # Only what provenance tells may hold half surrogates; in JSON they stay escapes.
        (folder / name).write_text(text, "utf-8", "backslashreplace", "\n")
    there = (path for path in folder.rglob("*") if path.is_file())
    listed = sorted(path.relative_to(folder).as_posix() for path in there)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in listed]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
