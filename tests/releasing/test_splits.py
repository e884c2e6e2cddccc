"""An image is in one split only, and stays there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import vlsbench
from tests.releasing import kitchen
from vlsbench.releasing import assign_splits

SHARES = {"train": 0.3, "validation": 0.2, "test": 0.5}


DIGESTS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]
IMAGES = st.lists(st.sampled_from(DIGESTS[:20]), min_size=1, max_size=3)


@given(st.lists(st.tuples(IMAGES, st.none() | st.integers(0, 29)), min_size=1, max_size=30))
def test_no_image_is_in_two_splits_and_twins_go_together(
    found: list[tuple[list[str], int | None]],
) -> None:
    images = {str(number): digests for number, (digests, _) in enumerate(found)}
    twins = {str(number): str(twin) for number, (_, twin) in enumerate(found) if twin is not None}
    splits = assign_splits(images, twins, SHARES)
    assert splits.keys() == images.keys()
    split_of: dict[str, str] = {}
    for pair, split in splits.items():
        for digest in images[pair]:
            assert split_of.setdefault(digest, split) == split
        assert splits.get(twins.get(pair, ""), split) == split


def test_pairs_stay_where_they_are_when_others_come_and_go() -> None:
    whole = assign_splits({digest: [digest] for digest in DIGESTS}, {}, SHARES)
    some = assign_splits({digest: [digest] for digest in DIGESTS[::-3]}, {}, SHARES)
    assert some == {digest: whole[digest] for digest in DIGESTS[::-3]}
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
        where: dict[str, str] = {}
        for one in made.splits:
            for file in one.files:
                where |= {p.id: one.name for p in vlsbench.load(tmp_path / f"{name}-out" / file)}
        kept.append(where)
    first, second = kept
    assert set(first.values()) == {"train", "test"}
    assert {id: second[id] for id in first} == first
