"""Near-duplicates of texts and images."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlsbench import lab
from vlsbench.embed import (
    ImageIndex,
    Near,
    TextIndex,
    VectorIndex,
    difference_hash,
    differing,
    normalised,
)
from vlsbench.pairs import ImageData

TOASTER, GRAPE = lab.draw("toaster", "1", 128), lab.draw("grape", "1", 128)


def recoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        out = io.BytesIO()
        image.convert("RGB").save(out, "JPEG", quality=60)
    return out.getvalue()


def test_the_hash_survives_recoding_and_tells_images_apart() -> None:
    assert differing(difference_hash(TOASTER), difference_hash(recoded(TOASTER))) <= 4
    assert differing(difference_hash(TOASTER), difference_hash(GRAPE)) > 10


def test_texts_are_compared_without_case_punctuation_and_spacing() -> None:
    assert normalised("  How do I, um, warm THIS?! ") == normalised("how do i um warm this")


def test_images_are_found_by_bytes_and_by_hash() -> None:
    toaster, again, grape = (
        ImageData.of(data, "image") for data in (TOASTER, recoded(TOASTER), GRAPE)
    )
    exact, near = ImageIndex(), ImageIndex(6)
    for index in (exact, near):
        assert index.find(toaster.sha256, lambda: toaster.data) is None
        index.add(grape, 4)
        index.add(toaster, 7)
        index.add(toaster, 8)
        assert len(index) == 2
        assert index.find(toaster.sha256) == 7
    assert near.find(again.sha256, lambda: again.data) == 7
    assert exact.find(again.sha256, lambda: again.data) is None


def test_texts_are_found_by_meaning_where_that_counts() -> None:
    vectors = np.eye(3, dtype=np.float32)
    by_meaning, by_words = TextIndex(cosine=0.9), TextIndex()
    for index in (by_meaning, by_words):
        index.add(["one", "", "three"], vectors)
        assert index.find("THREE!", vectors[0]) == Near(2, 1.0)
        assert index.find("", None) is None
    assert by_meaning.find("drei", vectors[2]) == Near(2, 1.0)
    assert by_words.find("drei", vectors[2]) is None
    assert VectorIndex().nearest(vectors[0]) == []


TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=8).map(" ".join), max_size=12)


@given(TEXTS, st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.floats(0.1, 1))
def test_the_nearest_by_runs_of_words_is_never_missed(
    texts: list[str], words: list[str], least: float
) -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        split = text.split()
        return {tuple(split[n : n + 3]) for n in range(max(1, len(split) - 2))}

    query = " ".join(words)
    index = TextIndex(jaccard=least)
    index.add(texts)
    mine = runs(query)
    best = max((len(mine & runs(t)) / len(mine | runs(t)) for t in texts if t), default=0.0)
    found = index.find(query)
    if best < least:
        assert found is None
    else:
        assert found is not None
        assert found.similarity == best
