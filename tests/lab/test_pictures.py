"""Pictures: drawn the same every time, recognised from pixels, and told from foreign ones."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from vlsbench.lab import THINGS, draw, see

NAMES = [thing.name for thing in THINGS]


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert draw("toaster", "1") == draw("toaster", "1")
    assert len({draw("toaster", str(seed)) for seed in range(20)}) == 20


def test_the_side_is_as_asked() -> None:
    assert Image.open(io.BytesIO(draw("toaster", "1", 40))).size == (40, 40)


def test_fresh_pictures_are_recognised() -> None:
    shown = [(name, see(draw(name, f"fresh {seed}"))) for name in NAMES for seed in range(8)]
    right = sum(name == seen for name, seen in shown)
    assert right / len(shown) >= 0.995, [pair for pair in shown if pair[0] != pair[1]]


@pytest.mark.parametrize(("side", "least"), [(32, 0.8), (48, 0.95), (200, 0.995), (512, 0.995)])
def test_pictures_of_other_sizes_are_recognised_or_not_but_never_mistaken(
    side: int, least: float
) -> None:
    names = NAMES[:: max(1, side // 100)]
    shown = [(name, see(draw(name, "size", side))) for name in names]
    assert all(seen in (name, None) for name, seen in shown)
    assert sum(seen is not None for _, seen in shown) / len(shown) >= least


def test_pictures_survive_jpeg_and_webp() -> None:
    for name in NAMES[::5]:
        image = Image.open(io.BytesIO(draw(name, "jpeg", 128)))
        assert see(encode(image, "JPEG", quality=80)) == name
        assert see(encode(image, "WEBP", quality=80)) == name


def test_noise_gradients_and_plain_colours_show_nothing() -> None:
    rng = np.random.default_rng(0)
    for side in (48, 96, 300):
        noise = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        ramp = np.linspace(0, 255, side, dtype=np.uint8)
        across = np.broadcast_to(ramp[None, :, None], (side, side, 3))
        for pixels in (noise, across, across.swapaxes(0, 1), np.full_like(noise, 128)):
            assert see(encode(Image.fromarray(np.ascontiguousarray(pixels)))) is None


def test_a_photo_is_told_by_its_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    monkeypatch.setattr("vlsbench.lab._look.decode", None)
    assert see(encode(Image.fromarray(photo))) is None


def test_pictures_of_text_show_nothing() -> None:
    rng = random.Random(1)
    font = ImageFont.load_default(size=22)
    for _ in range(30):
        ground, ink = rng.choice([("white", "black"), ("black", "white"), ("#eef", "red")])
        image = Image.new("RGB", (rng.choice([200, 400, 760]),) * 2, ground)
        pen = ImageDraw.Draw(image)
        for line in range(rng.randint(1, 9)):
            words = ("".join(rng.choices("abcdefgh", k=rng.randint(2, 8))) for _ in range(4))
            pen.text((20, 20 + 40 * line), " ".join(words), ink, font=font)
        assert see(encode(image)) is None


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"])
)
def test_bytes_that_are_no_image_show_nothing(data: bytes, header: bytes) -> None:
    assert see(header + data) is None


def test_a_cut_or_damaged_picture_shows_nothing() -> None:
    data = draw("toaster", "cut")
    assert see(data[: len(data) // 3]) is None
