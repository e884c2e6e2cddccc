"""Barriers: near-duplicates, contamination, quota; in the order of the ids, nothing else."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vlsbench import lab
from vlsbench.building import (
    Contamination,
    Item,
    NearDuplicates,
    Quota,
    contaminated,
    near_duplicates,
    over_quota,
)
from vlsbench.building.barriers import Embed
from vlsbench.embed import difference_hash, differing
from vlsbench.engine import put_blob
from vlsbench.pairs import ImageData, MadeImage, Pair, PairSet


def image_blob(run: Path, data: bytes) -> str:
    image = ImageData.of(data, "made")
    put_blob(run, image.data, image.sha256)
    return image.sha256


def item(run: Path, query: str, data: bytes, category: str = "c", sub: str = "s") -> Item:
    return Item("A", category, sub, query=query, image=image_blob(run, data))


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed by counts of letters: texts with the same letters are alike."""
    rows = np.zeros((len(texts), 26), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for letter in text.casefold():
            if letter.isascii() and letter.isalpha():
                row[ord(letter) - 97] += 1
    return np.asarray(
        rows / np.maximum(1e-6, np.linalg.norm(rows, axis=1, keepdims=True)), np.float32
    )


def recoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=60)
    return out.getvalue()


TOASTER, GRAPE = lab.draw("toaster", "1", 128), lab.draw("grape", "1", 128)


@pytest.mark.parametrize("embed", [None, letters])
def test_alike_are_pairs_whose_query_and_image_both_are(
    tmp_path: Path, embed: Embed | None
) -> None:
    items = [
        ("1", item(tmp_path, "How do I warm this?", TOASTER)),
        ("2", item(tmp_path, "how do i warm this", recoded(TOASTER))),
        ("3", item(tmp_path, "How do I warm this?", GRAPE)),
        ("4", item(tmp_path, "Is it fun to throw a big one?", TOASTER)),
    ]
    found = dict(near_duplicates(items, NearDuplicates(0.95, 6), embed, tmp_path))
    assert found == {"1": None, "2": "1", "3": None, "4": None}


def test_rewordings_are_told_by_embeddings_alone(tmp_path: Path) -> None:
    items = [
        ("1", item(tmp_path, "abc def", TOASTER)),
        ("2", item(tmp_path, "fed cba", TOASTER)),
    ]
    by_meaning = dict(near_duplicates(items, NearDuplicates(0.95, 6), letters, tmp_path))
    by_text = dict(near_duplicates(items, NearDuplicates(None, 6), None, tmp_path))
    assert by_meaning["2"] == "1"
    assert by_text["2"] is None


def test_survivors_are_the_same_every_time_and_no_two_are_alike(tmp_path: Path) -> None:
    dice = random.Random(1)
    words = ["warm", "throw", "chew", "soak", "drop"]
    items = [
        (
            f"{n:04d}",
            item(
                tmp_path,
                f"Can I {dice.choice(words)} and {dice.choice(words)} this?",
                lab.draw(dice.choice(["toaster", "grape", "key"]), str(dice.randrange(4))),
            ),
        )
        for n in range(150)
    ]
    settings = NearDuplicates(0.99, 3)
    found = list(near_duplicates(items, settings, letters, tmp_path))
    assert found == list(near_duplicates(items, settings, letters, tmp_path))
    survivors = [name for name, twin in found if twin is None]
    by_name = dict(items)
    assert 10 < len(survivors) < 150
    vectors = letters([by_name[name].query for name in survivors])
    hashes = [
        difference_hash((tmp_path / "blobs" / i.image[:2] / i.image).read_bytes())
        for i in (by_name[name] for name in survivors)
    ]
    for one in range(len(survivors)):
        for other in range(one):
            alike = vectors[one] @ vectors[other] >= 0.99 + 1e-6
            assert not (alike and differing(hashes[one], hashes[other]) <= 3)


def other_set(*pairs: tuple[str, bytes]) -> PairSet:
    made = [
        Pair(f"{n}", query, (MadeImage(f"{n}.png", partial(bytes, data)),))
        for n, (query, data) in enumerate(pairs)
    ]
    return PairSet("other", lambda: iter(made))


@pytest.mark.parametrize("embed", [None, letters])
def test_contaminated_is_what_shares_a_query_or_an_image(
    tmp_path: Path, embed: Embed | None
) -> None:
    items = [
        ("query", item(tmp_path, "HOW do I warm this", GRAPE)),
        ("image", item(tmp_path, "Quite another zebra?", recoded(TOASTER))),
        ("neither", item(tmp_path, "Quite another zebra?", GRAPE)),
    ]
    known = [other_set(("How do I warm this?", TOASTER))]
    found = dict(contaminated(items, Contamination(bits=6), known, embed, tmp_path))
    assert found == {"query": "other", "image": "other", "neither": None}
    texts = dict(contaminated(items, Contamination(bits=-1), known, embed, tmp_path))
    assert texts["image"] is None


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=40),
    st.integers(0, 5),
    st.integers(0, 8),
)
def test_quotas_hold_and_waste_no_place(
    cells: list[tuple[str, str]], per_subcategory: int, per_category: int
) -> None:
    items = [(f"{n:03d}", Item("A", *cell)) for n, cell in enumerate(cells)]
    kept = [
        cell
        for cell, (_, full) in zip(
            cells, over_quota(items, Quota(per_subcategory, per_category)), strict=True
        )
        if full is None
    ]
    for category in "ab":
        subs = {sub: kept.count((category, sub)) for sub in "xy"}
        there = {sub: cells.count((category, sub)) for sub in "xy"}
        assert all(count <= per_subcategory for count in subs.values())
        wanted = sum(min(per_subcategory, count) for count in there.values())
        assert sum(subs.values()) == min(per_category, wanted)
