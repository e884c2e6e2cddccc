"""The first walk over a set: what may be released, image by image, spooled to disk.

Nothing of a pair but its id and its images' numbers stays in memory, so that a set of any size that
can be opened can be released.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs import ImageError, Pair, PairSet
from vlsbench.releasing._columns import Census
from vlsbench.releasing._config import missing_content
from vlsbench.releasing._images import Picture, decode
from vlsbench.releasing._types import Content, Settings

LAB = "lab"
LAB_CONTENT = Content(
    warning="Drawings of household things and requests about them, made up by a program; harmless.",
    people="None: all images are drawn by a program.",
    minors="Words such as toddler occur; nobody is shown.",
    personal_data="None.",
)
"""The answers for the lab's own sets, which can hold nothing else."""
LEFT_OUT_BAD = "unusable row"
Watch = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a walk over the texts alone told."""

    content: Content
    harmful: int
    simulated: bool
    licences: Mapping[str, str]
    """Source → licence, for every source that is not licensed pair by pair."""
    excluded: Mapping[str, str]
    """Id → why it is not released."""
    count: int
    """Pairs to release."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one pair waits, and what its place in the release depends on."""

    id: str
    offset: int
    images: tuple[int, ...]
    """Numbers of its pictures."""
    twin_of: str
    harmful: bool


def is_lab(pairs: PairSet) -> bool:
    """Tell whether a set is one of the lab's own."""
    return pairs.source is not None and pairs.source.name == LAB


def survey(pairs: PairSet, settings: Settings, excluded: Mapping[str, str]) -> Survey:
    """Walk over the texts and say what the set may be released under.

    Raises:
        VlsbenchError: A source has no licence, or nothing is said of what harmful pairs show; or
            an id to leave out is not in the set, or none is left.
    """
    unlicensed: dict[str, int] = {}
    licences: dict[str, str] = {}
    unknown = set(excluded)
    harmful = count = 0
    lab = is_lab(pairs)
    simulated = lab
    for pair in pairs:
        unknown.discard(pair.id)
        if pair.id in excluded:
            continue
        count += 1
        harmful += pair.harmful
        simulated = simulated or pair.source == LAB or pair.source.startswith("lab/")
        if own_licence(pair):
            continue
        licence = settings.licences.get(pair.source) or (
            pairs.source.licence if pairs.source else ""
        )
        if licence:
            licences[pair.source] = licence
        else:
            unlicensed[pair.source] = unlicensed.get(pair.source, 0) + 1
    if unknown:
        some = ", ".join(sorted(unknown)[:3])
        raise VlsbenchError(
            f"{pairs.name} has no pair {some}: the list of pairs to keep or leave out belongs to "
            "another set or version"
        )
    if not count:
        raise VlsbenchError(f"{pairs.name}: no pair is left to release")
    if unlicensed:
        named = ", ".join(f"{name or '(none named)'} ({n:,})" for name, n in unlicensed.items())
        raise VlsbenchError(
            f"{pairs.name}: no licence is known for images of these sources (pairs): {named}; give "
            "--source-licence 'SOURCE=LICENCE' for each, or [licences] in --config"
        )
    content = settings.content or (LAB_CONTENT if lab else None)
    if content is None and harmful:
        raise VlsbenchError(missing_content(["warning", "people", "minors", "personal_data"]))
    return Survey(
        content or Content("Nothing harmful: benign pairs only.", *["Not said."] * 3),
        harmful,
        simulated,
        licences,
        excluded,
        count,
    )


def own_licence(pair: Pair) -> str:
    """Return the licence that a pair names for its own image; empty where it names none."""
    licence = pair.meta.get("image_licence")
    return licence.strip() if isinstance(licence, str) else ""


class Gathered:
    """The pairs to release, waiting in a file, and their images, each once, in a folder.

    A context: the file is closed with it.
    """

    def __init__(self, folder: Path) -> None:
        """Take a folder to work in, which must be there."""
        self.pool = folder / "pool"
        self.pool.mkdir()
        self.entries: list[Entry] = []
        self.pictures: list[Picture] = []
        self.census = Census()
        self._spool: IO[bytes] = open(folder / "spool.jsonl", "w+b")  # noqa: SIM115
        self._by_name: dict[str, int] = {}
        self._by_ref: dict[str, int | ImageError] = {}

    def __enter__(self) -> Gathered:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()

    def add(self, pair: Pair, licence: str) -> None:
        """Take one pair.

        Raises:
            ImageError: One of its images cannot be read or decoded, or it has none.
            UnicodeError: A text of it has no UTF-8 form.
        """
        if not pair.images:
            raise ImageError("has no image; only image-text pairs are released")
        meta = {key: value for key, value in pair.meta.items() if key != "image_licence"}
        numbers = tuple(self._picture(image) for image in pair.images)
        record = {
            "id": pair.id,
            "query": pair.query,
            "category": pair.category,
            "subcategory": pair.subcategory,
            "harmful": pair.harmful,
            "description": pair.description,
            "reason": pair.reason,
            "source": pair.source,
            "image_licence": licence,
            "meta": meta,
        }
        line = json.dumps(record, ensure_ascii=False).encode()
        self.census.see(meta)
        twin = pair.meta.get("twin_of")
        self.entries.append(
            Entry(
                pair.id,
                self._spool.tell(),
                numbers,
                twin if isinstance(twin, str) else "",
                pair.harmful,
            )
        )
        self._spool.write(line + b"\n")

    def _picture(self, image: Any) -> int:
        known = self._by_ref.get(image.ref)
        if known is None:
            try:
                known = self._new_picture(image)
            except ImageError as error:
                known = error
            self._by_ref[image.ref] = known
        if isinstance(known, ImageError):
            raise known
        return known

    def _new_picture(self, image: Any) -> int:
        data = image.read()
        picture = decode(data, image.ref)
        if picture.name not in self._by_name:
            self._by_name[picture.name] = len(self.pictures)
            self.pictures.append(picture)
            (self.pool / picture.name).write_bytes(data.data)
        return self._by_name[picture.name]

    def record(self, entry: Entry) -> dict[str, Any]:
        """Read one pair's texts back."""
        self._spool.seek(entry.offset)
        found: dict[str, Any] = json.loads(self._spool.readline())
        return found


def gather(
    pairs: PairSet,
    surveyed: Survey,
    into: Gathered,
    *,
    skip_bad: bool,
    watch: Watch,
) -> dict[str, int]:
    """Read every pair and image that is to be released, and sort them by id.

    Returns:
        Reason → pairs left out.

    Raises:
        BadRows: Some images cannot be read, or some texts not be stored; lists every one.
    """
    bad: list[BadRow] = []
    left_out: dict[str, int] = {}
    for done, pair in enumerate(pairs, start=1):
        watch("reading", done, len(pairs))
        if reason := surveyed.excluded.get(pair.id):
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        try:
            into.add(pair, own_licence(pair) or surveyed.licences[pair.source])
        except ImageError as error:
            file = pair.images[0].ref if pair.images else pairs.name
            bad.append(BadRow(file, pair.id, str(error)))
        except UnicodeError:
            named = pair.id.encode("utf-8", "replace").decode()
            bad.append(BadRow(pairs.name, named, "holds half a surrogate pair, which is no text"))
    if bad and not skip_bad:
        raise BadRows(pairs.name, bad)
    if unusable := len(bad) + len(pairs.bad):
        left_out[LEFT_OUT_BAD] = unusable
    if not into.entries:
        raise VlsbenchError(f"{pairs.name}: no pair is left to release")
    into.entries.sort(key=lambda entry: entry.id)
    return left_out
