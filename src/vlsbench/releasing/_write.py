"""`vlsbench.release`: a set read, checked, written beside its place and moved there whole.

Records are written split by split and in the order of their ids. The columns are the fields of a
pair, and one for each key of `Pair.meta`. The Parquet files carry what makes `datasets` see images.
No image is ever in two splits: a pair's is decided by its images.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from vlsbench import __version__
from vlsbench.config import resolve
from vlsbench.errors import VlsbenchError
from vlsbench.files import file_sha256, whole_folder
from vlsbench.pairs import PairSet, plain_value, read_drop
from vlsbench.registry import is_simulated
from vlsbench.releasing._about import (
    ABOUT,
    CARD,
    CHECKSUMS,
    CROISSANT,
    DATA,
    LABELS,
    PROVENANCE,
    RELEASE_JSON,
    SCHEMA,
    Column,
    Kind,
    Release,
    ReleaseConfig,
    Split,
    checked,
)
from vlsbench.releasing._card import card, context_of, croissant
from vlsbench.releasing._facts import (
    Entry,
    agreement,
    choose,
    content_of,
    copy_provenance,
    gather,
    leakage,
    statistics,
    twin_of,
)
from vlsbench.reviewing import DROP, UNDECIDED
from vlsbench.text import counted


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


SALT = "vlsbench-split/1"
"""Part of every hash that decides a split; another one would be another assignment."""
SHARD = 1024
"""Rows of a file."""
ROWS = 32
"""Rows of a Parquet group: readers hold a group's images at a time."""
_RESERVED = frozenset(
    (*ABOUT, *LABELS, "question", "prompt", "instruction", "text", "image", "image_path",
     "file_name", "images", "file_names", "sub_category", "image_description", "safety_reason",
     "split")
)  # fmt: skip
"""Names that a reader of the generic form would take for something else."""
_TYPES = {
    Kind.TEXT: "string", Kind.JSON: "string", Kind.BOOL: "bool", Kind.INT: "int64",
    Kind.FLOAT: "float64",
}  # fmt: skip
"""Kind → its type, as Arrow and `datasets` both call it."""


def columns_of(entries: Sequence[Entry]) -> tuple[Column, ...]:
    """Return all columns, those of every release first, the others in alphabetical order."""
    image = Column("image", Kind.IMAGE, "the image, named by the SHA-256 of its bytes")
    kinds: dict[str, set[Kind]] = {}
    for entry in entries:
        if len(entry.images) > 1:
            image = Column("images", Kind.IMAGES, "the images in order, named by their SHA-256")
        for key, value in entry.pair.meta.items():
            found = kinds.setdefault(key, set())
            if (kind := _kind(value)) is not None:
                found.add(kind)
    fixed = [
        Column(name, Kind.BOOL if name == "harmful" else Kind.TEXT, about)
        for name, about in ABOUT.items()
    ]
    fixed += [
        Column(name, Kind.TEXT, about)
        for name, about in LABELS.items()
        if any(entry.pair.labels[name] for entry in entries)
    ]
    taken = {column.name for column in fixed} | {image.name}
    others = []
    for key in sorted(kinds):
        name = re.sub(r"\W", "_", key, flags=re.ASCII)[:60]
        if name in _RESERVED or not name[:1].isalpha():
            name = f"meta_{name}"
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        taken.add(unique)
        kind, *more = kinds[key] or {Kind.TEXT}
        others.append(Column(unique, Kind.JSON if more else kind, "", key))
    return (fixed[0], image, *fixed[1:], *others)


def _kind(value: object) -> Kind | None:
    """Return the kind of column that a plain JSON value fits; None for null."""
    match value:
        case None:
            return None
        case bool():
            return Kind.BOOL
        case int():
            return Kind.INT if -(2**63) <= value < 2**63 else Kind.JSON
        case float():
            return Kind.FLOAT if math.isfinite(value) else None
        case _:
            return Kind.TEXT if isinstance(value, str) else Kind.JSON


def assign_splits(
    images: Mapping[str, Sequence[str]], twins: Mapping[str, str], shares: Mapping[str, float]
) -> dict[str, str]:
    """Return the split of each pair.

    Pairs that share an image, and a benign twin with the pair whose query it has, are one cluster
    and go together. A cluster's place is a hash of its images' content (the least digest), so a
    pair stays in its split when others come or go, unless they join its cluster.

    Args:
        images: Pair → digests of its images, one or more.
        twins: Pair → the pair that it is a twin of; the latter need not be there.
        shares: Split → share of the clusters; shares add up to 1.
    """
    from scipy.cluster.hierarchy import DisjointSet

    clusters = DisjointSet(digest for digests in images.values() for digest in digests)
    for pair, (first, *others) in images.items():
        for digest in (*others, *images.get(twins.get(pair, ""), ())[:1]):
            clusters.merge(first, digest)
    split_of = {
        digest: _split_of(min(cluster), shares)
        for cluster in clusters.subsets()
        for digest in cluster
    }
    return {pair: split_of[digests[0]] for pair, digests in images.items()}


def _split_of(key: str, shares: Mapping[str, float]) -> str:
    digest = hashlib.sha256(f"{SALT}:{key[:64]}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    reached = accumulate(shares.values())
    return next(
        (name for name, at in zip(shares, reached, strict=True) if place < at), [*shares][-1]
    )


def write_records(
    folder: Path,
    entries: Sequence[Entry],
    shares: Mapping[str, float],
) -> tuple[tuple[Column, ...], tuple[Split, ...]]:
    """Write all splits. The same records give the same bytes."""
    assigned = assign_splits(
        {entry.pair.id: [name for name, _ in entry.images] for entry in entries},
        {entry.pair.id: twin_of(entry.pair) for entry in entries},
        shares,
    )
    members: dict[str, list[Entry]] = {name: [] for name in shares}
    for entry in entries:
        members[assigned[entry.pair.id]].append(entry)
    for name, some in members.items():
        if not some:
            raise VlsbenchError(
                f"split {name}={shares[name]:g} gets none of {counted(len(entries), 'pair')}: "
                "give it a larger share, or leave it out"
            )
    columns, splits = columns_of(entries), []
    (folder / DATA).mkdir()
    for split, some in members.items():
        shards = [some[start : start + SHARD] for start in range(0, len(some), SHARD)]
        files = [f"{DATA}/{split}-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
        for name, shard in zip(files, shards, strict=True):
            _write_shard(folder / name, columns, shard)
        harmful = sum(entry.pair.harmful for entry in some)
        images = len({name for entry in some for name, _ in entry.images})
        splits.append(Split(split, len(some), harmful, images, tuple(files)))
    return columns, tuple(splits)


def _write_shard(path: Path, columns: Sequence[Column], entries: Sequence[Entry]) -> None:
    """Write one Parquet file, a group of rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = _schema(columns)
    repeated = ["category", "subcategory", "source", "image_licence"]
    plain = [c.name for c in columns if c.kind in _TYPES]
    with pq.ParquetWriter(
        path, kind, compression="zstd", use_dictionary=repeated, write_statistics=plain
    ) as writer:
        for start in range(0, len(entries), ROWS):
            group = [_row(columns, one) for one in entries[start : start + ROWS]]
            writer.write_table(pa.Table.from_pylist(group, schema=kind), row_group_size=ROWS)


def _schema(columns: Sequence[Column]) -> Any:
    """Return the Arrow schema, with what makes `datasets` see images rather than structs."""
    import pyarrow as pa

    image, feature = pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}
    types: dict[str, Any] = {}
    features: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            types[column.name], features[column.name] = image, feature
        elif column.kind is Kind.IMAGES:
            types[column.name] = pa.list_(pa.field("element", image))
            features[column.name] = [feature]
        else:
            name = _TYPES[column.kind]
            types[column.name] = pa.type_for_alias(name)
            features[column.name] = {"dtype": name, "_type": "Value"}
    about = json.dumps({"info": {"features": features}})
    return pa.schema(list(types.items()), metadata={"huggingface": about})


def _row(columns: Iterable[Column], entry: Entry) -> dict[str, Any]:
    images = [{"bytes": image.read().data, "path": name} for name, image in entry.images]
    row: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            value: Any = images[0]
        elif column.kind is Kind.IMAGES:
            value = images
        elif column.name in LABELS:
            value = entry.pair.labels[column.name]
        elif column.name in ABOUT:
            # All but the licence are fields of the pair.
            value = getattr(entry.pair, column.name, entry.licence)
        else:
            value = plain_value(entry.pair.meta.get(column.origin))
            if value is None and column.kind in (Kind.TEXT, Kind.JSON):
                value = ""
            elif column.kind is Kind.JSON:
                value = json.dumps(value, ensure_ascii=False, sort_keys=True)
        row[column.name] = value
    return row
