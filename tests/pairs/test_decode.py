"""One decoder for all eyes: whatever form an image comes in, everyone sees the same pixels."""

from __future__ import annotations

import asyncio
import gc
import io
import weakref
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vlsbench.embed import difference_hash
from vlsbench.lab import draw, see
from vlsbench.models import Finish, HfChat, Params, Request
from vlsbench.pages import thumbnail
from vlsbench.pairs import (
    MAX_PIXELS,
    ImageData,
    ImageError,
    MadeImage,
    Pair,
    Shrink,
    View,
    decode,
    encode,
    image_facts,
    image_size,
    show,
)

TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what turns the stored pixels upright (EXIF 2.3, section 4.6.4)."""


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """An image without any symmetry, in colours that every palette has."""
    image = Image.new("RGB", (width, height), (255, 255, 255))
    image.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    image.paste((0, 0, 255), (width // 2, 0, width, height // 4))
    image.paste((0, 0, 0), (0, height * 3 // 4, width // 4, height))
    return image


def file_of(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def turned(form: str, orientation: int, image: Image.Image | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"WEBP": {"lossless": True}}
    return file_of(image or scene(), form, exif=exif, **lossless.get(form, {}))


def pixels(image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(image.convert("RGB")).astype(int)


def off(one: Image.Image, other: Image.Image) -> float:
    """Return how far two images are apart; a wrong turn of the scene is 60 and more."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


def _clear(mode: str) -> Callable[[], bytes]:
    """Make the scene with its white cut out: what shows through is white again."""

    def make() -> bytes:
        image = scene().convert("RGBA")
        white = np.asarray(scene()).min(axis=2) == 255
        values = np.array(image)
        values[white] = (0, 255, 0, 0)  # whoever drops the transparency sees green
        image = Image.fromarray(values)
        if mode == "P":
            return file_of(image.quantize(16))
        return file_of(image, "WEBP" if mode == "WEBP" else "PNG", **_lossless(mode))

    return make


def _lossless(mode: str) -> dict[str, Any]:
    return {"lossless": True, "exact": True} if mode == "WEBP" else {}


def _colour_key() -> bytes:
    image = scene()
    values = np.array(image)
    values[(values == 255).all(axis=2)] = (0, 255, 0)
    return file_of(Image.fromarray(values), transparency=(0, 255, 0))


def _animated(form: str) -> Callable[[], bytes]:
    def make() -> bytes:
        later = Image.new("RGB", (48, 32), (0, 255, 0))
        options = {"lossless": True} if form == "WEBP" else {}
        return file_of(scene(), form, save_all=True, append_images=[later], **options)

    return make


def _still(form: str) -> bytes:
    return file_of(scene(), form)


def _turned(form: str, turn: int) -> bytes:
    return turned(form, turn, _back(scene(), turn))


FORMS: dict[str, Callable[[], bytes]] = {
    **{form: partial(_still, form) for form in ("PNG", "BMP", "TIFF", "GIF")},
    "WebP": lambda: file_of(scene(), "WEBP", lossless=True),
    "palette": lambda: file_of(scene().quantize(8)),
    "RGBA": _clear("RGBA"),
    "transparent palette": _clear("P"),
    "transparent WebP": _clear("WEBP"),
    "colour key": _colour_key,
    "CMYK TIFF": lambda: file_of(scene().convert("CMYK"), "TIFF"),
    "animated GIF": _animated("GIF"),
    "animated PNG": _animated("PNG"),
    "animated WebP": _animated("WEBP"),
    **{
        f"{form} turned {turn}": partial(_turned, form, turn)
        for form in ("PNG", "TIFF", "WEBP")
        for turn in TURNS
    },
}
"""Files of one scene, as a person sees them."""


def _back(image: Image.Image, orientation: int) -> Image.Image:
    """Lay the pixels of an upright image so that the orientation turns them upright."""
    undo = {6: TURNS[8], 8: TURNS[6]}.get(orientation, TURNS[orientation])
    return image if undo is None else image.transpose(undo)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_scene_is_seen_alike(form: str) -> None:
    data = FORMS[form]()
    image = ImageData.of(data, form)
    found = decode(image)
    assert (found.mode, found.info) == ("RGB", {})
    assert (pixels(found) == pixels(scene())).all()

    plain = file_of(scene())
    assert thumbnail(image) == thumbnail(plain)
    assert (difference_hash(data) == difference_hash(plain)).all()
    assert image_size(image) == scene().size
    assert decode(image.portable).size == scene().size
    small = Shrink(max_side=12).apply(image)
    assert image_size(small) == (12, 8)


@pytest.mark.parametrize("turn", TURNS)
def test_a_photo_is_upright_to_all(turn: int) -> None:
    data = turned("JPEG", turn, _back(scene(), turn))
    assert off(decode(data, "photo"), scene()) < 5
    assert image_size(data) == scene().size
    sent = ImageData.of(data, "photo").portable
    assert image_facts(sent).exif is (turn == 1)
    assert off(decode(sent), scene()) < 5


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_clipped(form: str) -> None:
    steps = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    found = pixels(decode(file_of(Image.fromarray(steps), form), "steps"))
    assert (found == np.arange(256).reshape(16, 16, 1)).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "I;16"])
def test_every_mode_of_grey_is_grey(mode: str) -> None:
    grey = Image.new("L", (8, 8), 0)
    grey.paste(255, (0, 0, 4, 8))
    image = grey.convert(mode) if mode != "I;16" else grey.convert("I").convert("I;16")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    form = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    found = pixels(decode(file_of(image, form), mode))
    assert np.abs(found - pixels(grey)).max() <= 2


def test_an_image_of_pillow_is_seen_the_same_way_and_left_alone() -> None:
    opened = Image.open(io.BytesIO(turned("PNG", 6)))
    upright = decode(opened)
    assert upright.size == (32, 48)
    assert opened.size == (48, 32)
    assert decode(scene(), side=12).size == (12, 8)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), form=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
def test_a_cut_file_names_itself_or_is_seen(cut: int, form: str) -> None:
    data = file_of(scene(), form)[:-cut]
    try:
        found = decode(data, "toaster.png")
    except ImageError as error:
        said = str(error)
    else:
        said = f"toaster.png {found.size}"
    assert "toaster.png" in said
    assert "\n" not in said


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF"])
def test_half_a_file_is_no_image(form: str) -> None:
    noise = Image.effect_noise((64, 64), 60)
    data = file_of(noise, form)
    with pytest.raises(ImageError, match=r"half\.img"):
        decode(data[: len(data) // 2], "half.img")


def test_broken_metadata_turn_nothing() -> None:
    data = file_of(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\0\x01")
    assert decode(data, "photo").size == scene().size
    assert image_size(data, "photo") == scene().size
    assert ImageData.of(data, "photo").portable.data == data


def test_too_large_an_image_is_not_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    data = file_of(Image.new("1", (side, side)))
    for eye in (decode, image_size, image_facts):
        with pytest.raises(ImageError, match=r"bomb\.png has more than"):
            eye(data, "bomb.png")


def test_ordinary_files_are_sent_as_they_are() -> None:
    for data in (file_of(scene()), file_of(scene(), "JPEG"), file_of(scene(), "GIF")):
        image = ImageData.of(data, "plain")
        assert image.portable is image


def test_an_image_is_freed_as_soon_as_nobody_holds_it() -> None:
    out = io.BytesIO()
    scene().save(out, "PNG")
    gc.disable()  # it would find a cycle some day, with gigabytes of images in the meantime
    try:
        image = ImageData.of(out.getvalue(), "scene")
        left = weakref.ref(image)
        assert image.portable is image
        del image
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (file_of(scene(), "BMP"), "image/png"),
        (file_of(scene(), "TIFF"), "image/png"),
        (turned("PNG", 6), "image/png"),
        (turned("WEBP", 6), "image/png"),
        (turned("JPEG", 6), "image/jpeg"),
        (file_of(scene().convert("CMYK"), "JPEG"), "image/jpeg"),
        (file_of(Image.fromarray(np.full((4, 4), 40_000, np.uint16))), "image/png"),
    ],
)
def test_what_servers_would_show_otherwise_is_drawn_anew(data: bytes, mime: str) -> None:
    image = ImageData.of(data, "odd")
    assert image.portable.mime == mime
    assert image.portable.portable is image.portable
    assert off(decode(image.portable), decode(image)) < 5


def test_the_blank_view_has_the_size_that_is_seen() -> None:
    pair = Pair("1", "q", (MadeImage("photo", lambda: turned("JPEG", 8)),))
    (blank,) = show(pair, View.BLANK).images
    assert image_size(blank.read()) == (32, 48)


def test_the_lab_sees_a_thing_whichever_way_its_file_lies() -> None:
    upright = Image.open(io.BytesIO(draw("toaster", "1"))).convert("RGB")
    assert see(file_of(upright)) == "toaster"
    for turn in TURNS:
        assert see(turned("PNG", turn, _back(upright, turn))) == "toaster"


@pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers")), reason="needs the extra [align]"
)
def test_a_model_in_process_sees_what_a_person_sees(tmp_path: Path) -> None:
    from vlsbench.lab.vlm import make_model

    upright = Image.open(io.BytesIO(draw("toaster", "1"))).convert("RGB")
    odd = [turned("PNG", 3, _back(upright, 3)), file_of(upright, "TIFF"), file_of(upright)]
    broken = ImageData(file_of(upright, "JPEG")[:900], "image/jpeg", ref="broken.jpg")
    model = HfChat(f"hf/{make_model(tmp_path / 'tiny', seed=1)}")

    async def ask() -> Any:
        images = [*(ImageData.of(data, "toaster") for data in odd), broken]
        asked = [Request("What is this?", (image,), params=Params(6)) for image in images]
        return await asyncio.gather(*map(model.ask, asked))

    *seen, failed = asyncio.run(ask())
    assert len({reply.text for reply in seen}) == 1
    assert {reply.finish for reply in seen} <= {Finish.STOP, Finish.LENGTH}
    assert (failed.finish, failed.text) == (Finish.REJECTED, "")
    assert "broken.jpg" in failed.detail


def test_encoded_images_come_back() -> None:
    assert (pixels(decode(encode(scene(), "scene"))) == pixels(scene())).all()
