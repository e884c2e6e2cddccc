"""Images by reference: read as they lie, and never an empty picture."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from vlsbench.pairs import (
    FileImage,
    ImageData,
    ImageError,
    MadeImage,
    Pair,
    StoredImage,
    image_faults,
)

from .conftest import picture

MIMES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


@pytest.mark.parametrize(("form", "mime"), MIMES.items())
def test_the_type_is_told_by_content_not_by_name(tmp_path: Path, form: str, mime: str) -> None:
    data = picture(form=form)
    path = tmp_path / "lies.png"
    path.write_bytes(data)
    image = FileImage("lies.png", path)
    assert image.fault() is None
    read = image.read()
    assert (read.mime, read.data, read.path) == (mime, data, path)
    assert read.sha256 == hashlib.sha256(data).hexdigest()
    assert base64.b64decode(read.base64) == data


def test_a_slice_is_read_alone(tmp_path: Path) -> None:
    data = picture()
    (tmp_path / "a.tar").write_bytes(b"before" + data + b"after")
    image = FileImage("a", tmp_path / "a.tar", 6, len(data))
    assert image.fault() is None
    assert image.read().data == data
    assert image.read().path is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", "is not an image"),
        (picture()[:-20], "is cut off"),
    ],
)
def test_broken_files_say_what_is_wrong(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    image = FileImage("a.png", tmp_path / "a.png")
    assert reason in (image.fault() or "")
    with pytest.raises(ImageError, match=reason):
        image.read()
    with pytest.raises(ImageError, match=reason):
        ImageData.of(data, "a.png")


def test_missing_files_and_folders_say_so(tmp_path: Path) -> None:
    missing = FileImage("a.png", tmp_path / "a.png")
    assert "is missing" in (missing.fault() or "")
    with pytest.raises(ImageError, match=r"a\.png"):
        missing.read()
    assert FileImage("dir", tmp_path).fault() is not None
    with pytest.raises(ImageError, match="dir"):
        FileImage("dir", tmp_path).read()


def test_faults_name_every_pair_that_shows_a_broken_image(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(picture())
    good = FileImage("good.png", tmp_path / "good.png")
    bad = FileImage("bad.png", tmp_path / "bad.png")
    pairs = [
        Pair("1", "q", (good,)),
        Pair("2", "q", (good, bad)),
        Pair("3", "q", (bad,)),
        Pair("4", "q"),
    ]
    assert [(row.file, row.row) for row in image_faults(pairs)] == [
        ("bad.png", "2"),
        ("bad.png", "3"),
    ]


def test_pairs_cluster_by_their_images() -> None:
    one, two = MadeImage("one", picture), MadeImage("two", picture)
    assert Pair("a", "q", (one,)).cluster == Pair("b", "r", (one,)).cluster
    assert Pair("a", "q", (one,)).cluster != Pair("a", "q", (one, two)).cluster
    assert Pair("a", "q").cluster != Pair("b", "q").cluster


def test_released_bytes_are_read_again_and_must_be_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    image = ImageData.of(path.read_bytes(), "a.png", path)
    before = image.base64, image.sha256
    image.release()
    assert (image.base64, image.sha256) == before
    image.release()
    path.write_bytes(picture(form="JPEG"))
    with pytest.raises(ImageError, match=r"a\.png changed while the run was under way"):
        _ = image.data


def test_bytes_that_lie_nowhere_else_are_not_released() -> None:
    image = ImageData.of(picture(), "a.png")
    image.release()
    assert image.data == picture()


def test_an_image_that_is_not_in_its_file_names_the_file(tmp_path: Path) -> None:
    gone = StoredImage("a.parquet#1", lambda: None, tmp_path / "a.parquet")
    assert gone.fault() == f"image a.parquet#1 is missing ({tmp_path / 'a.parquet'})"
