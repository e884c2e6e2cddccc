"""Views show what they say and hide the rest."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import FileImage, MadeImage, Pair, Swapper, View, show

from .conftest import picture


def made(name: str) -> MadeImage:
    return MadeImage(name, picture)


def pair(id: str, *names: str) -> Pair:
    return Pair(id, f"May I? ({id})", tuple(made(name) for name in names), description="a bath")


def test_full_shows_query_and_images_in_order() -> None:
    shown = show(pair("1", "b", "a"), View.FULL)
    assert shown.text == "May I? (1)"
    assert [image.ref for image in shown.images] == ["b", "a"]


def test_text_shows_no_image() -> None:
    shown = show(pair("1", "a"), View.TEXT)
    assert (shown.text, shown.images) == ("May I? (1)", ())


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_blank_is_grey_and_of_the_same_size(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(picture("red", (31, 17), form))
    image = FileImage("a", tmp_path / "a")
    shown = show(Pair("1", "May I?", (image,)), View.BLANK)
    assert shown.text == "May I?"
    with Pillow.open(io.BytesIO(shown.images[0].read().data)) as blank:
        assert blank.size == (31, 17)
        assert blank.getcolors() == [(31 * 17, (128, 128, 128))]
    assert shown.images[0].ref != image.ref


NAMES = st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=30, unique=True)


@given(names=NAMES, seed=st.integers())
def test_swap_gives_every_image_another_ones_place(names: list[str], seed: int) -> None:
    pairs = [pair(str(at), name) for at, name in enumerate(names)]
    swapper = Swapper(pairs, seed)
    shown = [show(p, View.SWAP, swapper).images[0].ref for p in pairs]
    assert Counter(shown) == Counter(names)
    assert all(new != old for new, old in zip(shown, names, strict=True))


@given(names=NAMES, seed=st.integers())
def test_swap_is_the_same_for_a_seed_whatever_the_order(names: list[str], seed: int) -> None:
    pairs = [pair(str(at), name) for at, name in enumerate(names)]
    one, two = Swapper(pairs, seed), Swapper(pairs[::-1], seed)
    assert all(one.other(p.images[0]).ref == two.other(p.images[0]).ref for p in pairs)


def test_swap_depends_on_the_seed() -> None:
    pairs = [pair(str(number), str(number)) for number in range(20)]
    orders = {
        tuple(Swapper(pairs, seed).other(p.images[0]).ref for p in pairs) for seed in range(5)
    }
    assert len(orders) == 5


def test_pairs_that_share_an_image_swap_to_the_same_one() -> None:
    pairs = [pair("1", "a"), pair("2", "a"), pair("3", "b"), pair("4", "c")]
    swapper = Swapper(pairs, 7)
    first, second = (show(p, View.SWAP, swapper).images for p in pairs[:2])
    assert first == second


def test_swap_needs_two_images() -> None:
    with pytest.raises(VlsbenchError, match="at least two"):
        Swapper([pair("1", "a"), pair("2", "a")], 0)


def test_caption_puts_the_description_in_place_of_the_image() -> None:
    shown = show(pair("1", "a"), View.CAPTION)
    assert shown.images == ()
    assert "a bath" in shown.text
    assert shown.text.endswith("May I? (1)")
    with pytest.raises(VlsbenchError, match="pair x has none"):
        show(Pair("x", "May I?"), View.CAPTION)


def test_a_description_with_braces_is_text() -> None:
    shown = show(Pair("1", "{query} {0}", description="{description}"), View.CAPTION)
    assert shown.text.endswith("{query} {0}")
    assert "{description}" in shown.text


def test_image_hides_the_query() -> None:
    shown = show(pair("1", "a"), View.IMAGE)
    assert "May I?" not in shown.text
    assert [image.ref for image in shown.images] == ["a"]


@pytest.mark.parametrize("view", [View.BLANK, View.SWAP, View.IMAGE])
def test_views_of_images_refuse_a_pair_without_one(view: View) -> None:
    with pytest.raises(VlsbenchError, match="pair x has none"):
        show(Pair("x", "May I?"), view)
