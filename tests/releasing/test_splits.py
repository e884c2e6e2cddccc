"""An image is in one split only, and stays there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import kitchen
from hypothesis import given
from hypothesis import strategies as st

import vlsbench
from vlsbench.releasing._gather import Entry
from vlsbench.releasing._images import Picture
from vlsbench.releasing._splits import assign

SHARES = {"train": 0.3, "validation": 0.2, "test": 0.5}


def pictures(count: int) -> list[Picture]:
    digests = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))
    return [Picture(f"{one}.png", "image/png", 1, 1, 1, False, False) for one in digests]


def entry(number: int, images: tuple[int, ...], twin_of: str = "") -> Entry:
    return Entry(f"pair-{number}", 0, images, twin_of, True)


IMAGES = st.lists(st.integers(0, 19), min_size=1, max_size=3).map(tuple)


@given(st.lists(st.tuples(IMAGES, st.none() | st.integers(0, 29)), min_size=1, max_size=30))
def test_no_image_is_in_two_splits_and_twins_go_together(
    found: list[tuple[tuple[int, ...], int | None]],
) -> None:
    entries = [
        entry(number, images, f"pair-{twin}" if twin is not None else "")
        for number, (images, twin) in enumerate(found)
    ]
    splits = assign(entries, pictures(20), SHARES)
    split_of: dict[int, str] = {}
    by_id = {one.id: split for one, split in zip(entries, splits, strict=True)}
    for one, split in zip(entries, splits, strict=True):
        for image in one.images:
            assert split_of.setdefault(image, split) == split
        assert by_id.get(one.twin_of, split) == split


def test_pairs_stay_where_they_are_when_others_come_and_go() -> None:
    many = [entry(number, (number,)) for number in range(1000)]
    whole = dict(zip(many, assign(many, pictures(1000), SHARES), strict=True))
    some = many[::-3]
    assert assign(some, pictures(1000), SHARES) == [whole[one] for one in some]
    for name, share in SHARES.items():
        # Three standard deviations of a count among 1,000.
        reach = 3 * (1000 * share * (1 - share)) ** 0.5
        assert abs(list(whole.values()).count(name) - 1000 * share) < reach


def test_a_released_pair_keeps_its_split_in_the_next_version(tmp_path: Path) -> None:
    split = "train=0.5,test=0.5"
    kept: list[dict[str, str]] = []
    for name, count in (("a", 10), ("b", 16)):
        source = kitchen.write(tmp_path / name, kitchen.rows(count))
        made = kitchen.released(source, tmp_path / f"{name}-out", split=split)
        where = {}
        for one in made.splits:
            for file in one.files:
                where |= {p.id: one.name for p in vlsbench.load(tmp_path / f"{name}-out" / file)}
        kept.append(where)
    first, second = kept
    assert set(first.values()) == {"train", "test"}
    assert {id: second[id] for id in first} == first
