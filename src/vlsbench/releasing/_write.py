"""From a set to its release: read, checked, written beside its place and moved there whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import PairSet, read_drop
from vlsbench.releasing import _parquet
from vlsbench.releasing._card import card, title_of
from vlsbench.releasing._changes import Before, Digest, changelog, digest, read_release_json
from vlsbench.releasing._columns import ABOUT, cell
from vlsbench.releasing._croissant import croissant
from vlsbench.releasing._findings import agreement, leakage
from vlsbench.releasing._gather import Entry, Gathered, Watch, gather, survey
from vlsbench.releasing._images import place
from vlsbench.releasing._provenance import Provenance
from vlsbench.releasing._splits import assign
from vlsbench.releasing._statistics import Tally
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
    Column,
    Kind,
    Release,
    Settings,
    Split,
)

NOT_KEPT = "not kept by review"
LEFT_OUT = "on the list of pairs to leave out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Files that say more of the set; None where there is none."""

    keep: Path | None = None
    """List of the pairs that reviewers kept; no other pair is released."""
    leave_out: Path | None = None
    """List of pairs that are not released."""
    card: Path | None = None
    """`card.json` of an audit."""
    provenance: Path | None = None
    """`provenance.jsonl` of a build."""
    agreement: Path | None = None
    """Agreement of reviewers."""
    previous: Path | None = None
    """Folder of the release before."""


def write_release(
    pairs: PairSet,
    out: Path,
    settings: Settings,
    beside: Beside,
    *,
    force: bool = False,
    skip_bad: bool = False,
    shard_bytes: int = _parquet.SHARD_BYTES,
    watch: Watch = lambda what, done, total: None,
) -> Release:
    """Write a release.

    Args:
        pairs: The set.
        out: Folder that is to hold it; must be empty or not be there.
        settings: What it is called and what it says of itself.
        beside: Files that say more.
        force: Replace what is in `out`, if it is a release of the same name.
        skip_bad: Leave pairs with unusable images out, and count them.
        shard_bytes: Bytes of images in one Parquet file.
        watch: Is told of progress.

    Raises:
        BadRows: Images cannot be read; lists every one.
        VlsbenchError: Something is missing or does not fit together; nothing was written.
    """
    _check_place(out, settings.name, force)
    excluded = _excluded(pairs, beside)
    leaks = leakage(beside.card, pairs.name) if beside.card else None
    agreed = agreement(beside.agreement, pairs.name) if beside.agreement else None
    provenance = Provenance(beside.provenance) if beside.provenance else None
    before = Before(beside.previous, settings) if beside.previous else None
    surveyed = survey(pairs, settings, excluded)
    if provenance:
        provenance.check([pair.id for pair in pairs if pair.id not in excluded])
    with _folder_for(out) as (folder, work), Gathered(work) as gathered:
        left_out = gather(pairs, surveyed, gathered, skip_bad=skip_bad, watch=watch)
        written = _Writer(folder, gathered, settings, shard_bytes, watch, digests=bool(before))
        written.write()
        ids = {entry.id for entry in gathered.entries}
        made = provenance.write(folder / PROVENANCE, ids, excluded) if provenance else None
        used = sorted({number for entry in gathered.entries for number in entry.images})
        release = Release(
            schema=SCHEMA,
            vlsbench=__version__,
            name=settings.name,
            version=settings.version,
            title=title_of(settings),
            date=settings.date,
            licence=settings.licence,
            dataset=pairs.name,
            pairs=len(ids),
            harmful=sum(entry.harmful for entry in gathered.entries),
            images=len(used),
            gated=any(entry.harmful for entry in gathered.entries),
            simulated=surveyed.simulated or bool(provenance and provenance.simulated),
            content=surveyed.content,
            splits=written.splits,
            columns=written.columns,
            statistics=written.tally.statistics(
                gathered.entries, [gathered.pictures[number] for number in used]
            ),
            left_out=left_out,
            leakage=leaks,
            agreement=agreed,
            made=made,
            changes=before.changes(written.digests or {}) if before else None,
        )
        _describe(folder, release, settings, before.changelog if before else "")
    return release


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


def _excluded(pairs: PairSet, beside: Beside) -> dict[str, str]:
    """Return id → why it is not released."""
    found: dict[str, str] = {}
    if beside.keep:
        keep = read_drop(beside.keep, pairs.name)
        if unknown := keep - {pair.id for pair in pairs}:
            raise VlsbenchError(
                f"{beside.keep} keeps {sorted(unknown)[0]}, which is no pair of {pairs.name}"
            )
        found = {pair.id: NOT_KEPT for pair in pairs if pair.id not in keep}
    if beside.leave_out:
        found |= dict.fromkeys(read_drop(beside.leave_out, pairs.name), LEFT_OUT)
    return found


@contextmanager
def _folder_for(out: Path) -> Iterator[tuple[Path, Path]]:
    """Give a folder to fill and one to work in; the first takes the place of `out` at the end."""
    out = out.absolute()
    work = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        folder = work / "release"
        folder.mkdir(parents=True)
        yield folder, work
        _swap(folder, out, work / "old")
    except OSError as error:
        raise VlsbenchError(f"{out} cannot be written: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _swap(folder: Path, out: Path, old: Path) -> None:
    """Put a folder in the place of another; renames, so that neither is ever there in part."""
    there = out.exists()
    if there:
        out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        if there:
            old.rename(out)
        raise


class _Writer:
    """Writes records, split by split, in both forms, in the order of their ids."""

    def __init__(
        self,
        folder: Path,
        gathered: Gathered,
        settings: Settings,
        shard_bytes: int,
        watch: Watch,
        *,
        digests: bool,
    ) -> None:
        self._folder, self._from, self._settings = folder, gathered, settings
        self._shard_bytes, self._watch = shard_bytes, watch
        several = any(len(entry.images) > 1 for entry in gathered.entries)
        self.columns = gathered.census.columns(several)
        self.splits: tuple[Split, ...] = ()
        self.tally = Tally()
        self.digests: dict[str, Digest] | None = {} if digests else None
        self._done = 0

    def write(self) -> None:
        """Write all splits.

        Raises:
            VlsbenchError: A split gets no pair.
        """
        entries, shares = self._from.entries, self._settings.split
        assigned = assign(entries, self._from.pictures, shares)
        found = []
        for split in shares:
            chosen = [e for e, name in zip(entries, assigned, strict=True) if name == split]
            if not chosen:
                raise VlsbenchError(
                    f"split {split}={shares[split]:g} gets none of {len(entries):,} pairs: give "
                    "it a larger share, or leave it out"
                )
            found.append(self._split(split, chosen))
        self.splits = tuple(found)

    def _split(self, split: str, entries: list[Entry]) -> Split:
        pictures = self._from.pictures
        home = self._folder / FOLDER / split

        def image(name: str) -> bytes:
            return (home / place(name)).read_bytes()

        (self._folder / DATA).mkdir(exist_ok=True)
        used = sorted({number for entry in entries for number in entry.images})
        for number in used:
            target = home / place(pictures[number].name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._from.pool / pictures[number].name).rename(target)
        sizes = [sum(pictures[number].size for number in entry.images) for entry in entries]
        runs = _parquet.shards(sizes, self._shard_bytes)
        names = [f"{DATA}/{split}-{i:05d}-of-{len(runs):05d}.parquet" for i in range(len(runs))]
        with open(home / "metadata.jsonl", "w", encoding="utf-8", newline="\n") as lines:
            for name, run in zip(names, runs, strict=True):
                _parquet.write(
                    self._folder / name,
                    self.columns,
                    self._rows([entries[number] for number in run], lines),
                    image,
                )
        return Split(split, len(entries), sum(e.harmful for e in entries), len(used), tuple(names))

    def _rows(self, entries: list[Entry], lines: Any) -> Iterator[dict[str, Any]]:
        for entry in entries:
            record = self._from.record(entry)
            names = [self._from.pictures[number].name for number in entry.images]
            row = _row(self.columns, record, names)
            self.tally.see(record)
            if self.digests is not None:
                self.digests[entry.id] = digest(row)
            lines.write(json.dumps(_with_paths(row), ensure_ascii=False) + "\n")
            self._done += 1
            self._watch("writing", self._done, len(self._from.entries))
            yield row


def _row(
    columns: tuple[Column, ...], record: Mapping[str, Any], names: list[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            row[column.name] = names[0]
        elif column.kind is Kind.IMAGES:
            row[column.name] = list(names)
        elif column.name in ABOUT:
            row[column.name] = record[column.name]
        else:
            row[column.name] = cell(column.kind, record["meta"].get(column.origin))
    return row


def _with_paths(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as imagefolder wants it: `file_name` first, or `file_names`."""
    rest = dict(row)
    if "images" in rest:
        names = rest.pop("images")
        return {"file_names": [place(name) for name in names], **rest}
    return {"file_name": place(rest.pop("image")), **rest}


def _describe(folder: Path, release: Release, settings: Settings, before: str) -> None:
    """Write everything that is no record, checksums last."""
    shards = [name for split in release.splits for name in split.files]
    files = {name: ((folder / name).stat().st_size, sha256(folder / name)) for name in shards}
    about = json.dumps(croissant(release, settings, files), indent=1, ensure_ascii=False)
    texts = {
        CROISSANT: about + "\n",
        RELEASE_JSON: json.dumps(asdict(release), indent=1, ensure_ascii=False) + "\n",
        CHANGELOG: changelog(release, before),
        CARD: card(release, settings),
    }
    for name, text in texts.items():
        # Only what provenance tells may hold half surrogates; in JSON they stay escapes.
        (folder / name).write_text(text, "utf-8", "backslashreplace", "\n")
    known = {name: found for name, (_, found) in files.items()}
    listed = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    lines = [f"{known.get(name) or sha256(folder / name)}  {name}\n" for name in listed]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
