"""Whole images pass whatever stands after them, halves do not, and what is no image is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from vlsbench.pairs import FileImage, ImageData, ImageError, decode

NOISE = Pillow.fromarray(np.random.default_rng(1).integers(0, 255, (90, 70, 3), np.uint8))


def written(form: str, image: Pillow.Image = NOISE, **options: object) -> bytes:
    out = io.BytesIO()
    image.copy().save(out, form, **options)  # Pillow keeps options in the image
    return out.getvalue()


def with_thumbnail() -> bytes:
    """Return a photo whose metadata hold a whole small JPEG, with an end of its own."""
    small = written("JPEG", NOISE.resize((16, 16)))
    segment = b"Exif\0\0" + small
    photo = written("JPEG")
    return photo[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + photo[2:]


def frames() -> list[Pillow.Image]:
    return [NOISE.rotate(90), NOISE.rotate(180)]


OF_TOP_DOWN = written("BMP")[:22] + (-90 & 0xFFFFFFFF).to_bytes(4, "little") + written("BMP")[26:]
IMAGES = {
    "PNG": written("PNG"),
    "PNG animated": written("PNG", save_all=True, append_images=frames()),
    "JPEG": written("JPEG"),
    "JPEG progressive": written("JPEG", progressive=True),
    "JPEG with restarts": written("JPEG", restart_marker_rows=1),
    "JPEG with a thumbnail": with_thumbnail(),
    "MPO": written("MPO", save_all=True, append_images=frames()),
    "GIF": written("GIF", NOISE.quantize(200)),
    "GIF animated": written("GIF", save_all=True, append_images=frames()),
    "GIF 2 colours": written("GIF", NOISE.convert("1"), comment=b"a; comment"),
    "WEBP": written("WEBP"),
    "WEBP lossless": written("WEBP", lossless=True),
    "WEBP animated": written("WEBP", save_all=True, append_images=frames()),
    "BMP": written("BMP"),
    "BMP palette": written("BMP", NOISE.quantize(16)),
    "BMP top down": OF_TOP_DOWN,
    "TIFF": written("TIFF"),
    "TIFF packed": written("TIFF", compression="tiff_lzw"),
    "TIFF pages": written("TIFF", save_all=True, append_images=frames()),
    "TIFF 16": written("TIFF", Pillow.fromarray(np.full((9, 7), 40_000, np.uint16))),
}
AFTER = {"newline": b"\n", "zeros": bytes(4096), "video": b"\0\0\0\x18ftypmp42" + b"\x11" * 5000}


def faults(tmp_path: Path, data: bytes) -> str:
    """Return what is wrong, which every door says alike."""
    (tmp_path / "x.img").write_bytes(b"before" + data + b"after")
    slice_ = FileImage("x", tmp_path / "x.img", 6, len(data)).fault()
    (tmp_path / "x.img").write_bytes(data)
    found = FileImage("x", tmp_path / "x.img").fault()
    assert slice_ == found
    said = None
    try:
        ImageData.of(data, "x")
    except ImageError as error:
        said = str(error)
    assert said == found
    return found or ""


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("kind", IMAGES)
def test_a_whole_image_passes_with_bytes_after_it(tmp_path: Path, kind: str, after: str) -> None:
    assert faults(tmp_path, IMAGES[kind]) == ""
    data = IMAGES[kind] + AFTER[after]
    assert faults(tmp_path, data) == ""
    assert decode(data).size == decode(IMAGES[kind]).size


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("kind", IMAGES)
def test_a_part_of_a_file_does_not(tmp_path: Path, kind: str, share: float) -> None:
    data = IMAGES[kind]
    found = faults(tmp_path, data[: int(share * len(data))])
    if kind in ("MPO", "TIFF pages") and share > 0.3:
        return  # the first image, which is the one that is seen, is whole
    assert "is cut off" in found


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([data[:60] for data in IMAGES.values()]),
    cut=st.integers(2, 60),
    junk=st.binary(max_size=200),
)
def test_junk_is_an_image_or_says_what_is_wrong(start: bytes, cut: int, junk: bytes) -> None:
    said = "image junk.png is "
    try:
        ImageData.of(start[:cut] + junk, "junk.png")
    except ImageError as error:
        said = str(error)
    assert said.startswith("image junk.png is ")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "an HTML page"),
        (b"\n<HTML><body>404", "an HTML page"),
        (written("AVIF"), "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"Not found\n", "text: 'Not found'"),
        (b'{"error": {"code": 404}}', "text: '{"),
        (b"/annex/objects/SHA256E-s9--1.png\n", "text: '/annex"),
        (b"\x01\x02\x03", "starts with"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    found = faults(tmp_path, data)
    assert says in found
    assert found.startswith("image x is empty" if not data else "image x is not an image")
