from __future__ import annotations

import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.pages import report_examples as examples
from vlsbench.pages import thumbnail
from vlsbench.pairs import ImageError

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_that_can_be_sent_has_a_thumbnail(form: str) -> None:
    small = _open(thumbnail(examples.picture(size=(900, 300), form=form)))

    assert small.format == "JPEG"
    assert small.width == 256
    assert small.height == pytest.approx(85, abs=1)


def test_a_small_image_is_not_blown_up() -> None:
    assert _open(thumbnail(examples.picture(size=(40, 30)))).size == (40, 30)


def test_the_side_is_the_callers() -> None:
    assert max(_open(thumbnail(examples.picture(), side=64)).size) == 64


def test_what_is_transparent_becomes_white() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(out, "PNG")

    assert _open(thumbnail(out.getvalue())).convert("RGB").getpixel((25, 25)) == (255, 255, 255)


def test_a_photo_is_turned_upright_and_its_metadata_stay_behind() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "taken at home"
    out = io.BytesIO()
    Image.new("RGB", (200, 100)).save(out, "JPEG", exif=exif, comment=b"taken at home")

    data = thumbnail(out.getvalue())

    assert _open(data).size == (100, 200)
    assert b"taken at home" not in data


def _huge_png(side: int = 60_000) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"crumbs",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\x89PNG\r\n\x1a\n",
        b"II*\x00\xff\xff\xff\xff",
        examples.picture()[:200],
        _huge_png(),
    ],
    ids=["nothing", "text", "postscript", "only a signature", "lost tiff", "cut off", "too large"],
)
def test_what_is_no_readable_image_says_so(data: bytes) -> None:
    said = r"is empty|is not an image|is cut off|cannot be decoded|more than"
    with pytest.raises(ImageError, match=said):
        thumbnail(data)


def test_an_image_that_would_fill_the_memory_is_not_decoded() -> None:
    with pytest.raises(ImageError, match="has more than 89,478,485 pixels"):
        thumbnail(_huge_png(10_000))


@given(
    start=st.sampled_from(
        [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\x00", b""]
    ),
    rest=st.binary(max_size=200),
)
def test_noise_never_fails_in_another_way(start: bytes, rest: bytes) -> None:
    try:
        data = thumbnail(start + rest)
    except ImageError:
        return
    assert data.startswith(b"\xff\xd8\xff")
