"""What the tests of pairs share: the public data, and harmless pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """Return the folder of a public set, or skip where the data are not there."""

    def folder(name: str) -> Path:
        path = SHARED / name.replace("-", "_")
        if not path.is_dir():
            pytest.skip(f"public data not here: {path}")
        return path

    return folder


def picture(colour: str = "red", size: tuple[int, int] = (8, 6), form: str = "PNG") -> bytes:
    """Draw one plain picture."""
    buffer = io.BytesIO()
    Pillow.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()
