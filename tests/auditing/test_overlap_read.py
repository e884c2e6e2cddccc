"""What images show and say, where the benchmark does not tell: captions and OCR."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

import vlsbench
from vlsbench.auditing.overlap.contents import (
    CAPTION,
    PROMPT,
    PROMPT_VERSION,
    TEXT,
    CaptionStage,
    TextStage,
    look_up,
    records_of,
    require_tesseract,
)
from vlsbench.engine import (
    Budget,
    CostBudget,
    Ledger,
    RunContext,
    Stage,
    StopSignal,
    Tally,
    run_flow,
)
from vlsbench.errors import VlsbenchError
from vlsbench.lab import open_model
from vlsbench.pairs import FileImage, MadeImage, Pair


@contextmanager
def context(folder: Path):  # type: ignore[no-untyped-def]
    with Ledger.write(folder) as ledger:
        signal = StopSignal()
        yield RunContext(ledger, [], Budget(signal, CostBudget(), {}), signal, Tally()), ledger


async def read(stage: Stage, pairs: Iterable[Pair], ctx: RunContext) -> None:
    await run_flow([stage], records_of(stage.name, pairs), ctx, width=4)


def test_captions_are_asked_once_for_each_image_and_kept(tmp_path: Path) -> None:
    pairs = [replace(pair, description="") for pair in vlsbench.load("lab/leakless?n=30")]
    images = {pair.cluster for pair in pairs}
    assert len(images) < len(pairs)
    for _ in range(2):
        with context(tmp_path / "run") as (ctx, ledger):
            asyncio.run(read(CaptionStage(open_model("lab/careful")), pairs, ctx))
            look = look_up(ledger, CAPTION)
            assert all(str(pair.meta["object"]) in look(pair) for pair in pairs)
            assert ledger.count_calls() == len(images)


def test_an_image_that_cannot_be_read_has_no_caption(tmp_path: Path) -> None:
    pair = Pair(id="1", query="?", images=(FileImage("gone.png", tmp_path / "gone.png"),))
    with context(tmp_path / "run") as (ctx, ledger):
        asyncio.run(read(CaptionStage(open_model("lab/careful")), [pair], ctx))
        assert look_up(ledger, CAPTION)(pair) == ""
        outcome = ledger.outcome("caption:gone.png")
        assert outcome
        assert outcome.reason == "image_unreadable"


def test_the_prompt_is_pinned_to_its_version() -> None:
    assert (PROMPT_VERSION, hashlib.sha256(PROMPT.encode()).hexdigest()[:16]) == (
        "1",
        "bc02b47fd1b4fc98",
    )


def written(text: str, size: tuple[int, int] = (640, 200)) -> Callable[[], bytes]:
    def make() -> bytes:
        image = Image.new("RGB", size, "white")
        ImageDraw.Draw(image).text((20, 60), text, "black", ImageFont.load_default(48))
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    return make


def upside_down(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Lay an image on its head, with a tag that says so."""

    def turned() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = 3
        out = io.BytesIO()
        image = Image.open(io.BytesIO(make())).transpose(Image.Transpose.ROTATE_180)
        image.save(out, "PNG", exif=exif)
        return out.getvalue()

    return turned


def on_nothing(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Leave of an image its black alone, with nothing behind it."""

    def clear() -> bytes:
        out = io.BytesIO()
        black = Image.open(io.BytesIO(make())).convert("L").point(lambda value: 255 - value)
        image = Image.new("RGBA", black.size, (0, 0, 0, 0))
        image.putalpha(black)
        image.save(out, "PNG")
        return out.getvalue()

    return clear


@pytest.mark.skipif(
    not (shutil.which("tesseract") and find_spec("pytesseract")),
    reason="tesseract or pytesseract is not installed",
)
def test_text_is_read_from_images(tmp_path: Path) -> None:
    pairs = [
        Pair(id="1", query="?", images=(MadeImage("a.png", written("Dry the toaster")),)),
        Pair(id="2", query="?", images=(MadeImage("b.png", written("")),)),
        Pair(id="3", query="?", images=(FileImage("c.png", tmp_path / "c.png"),)),
        Pair(id="4", query="no image"),
        Pair(id="5", query="?", images=(MadeImage("d", upside_down(written("Hot milk"))),)),
        Pair(id="6", query="?", images=(MadeImage("e", on_nothing(written("Cold milk"))),)),
    ]
    with context(tmp_path / "run") as (ctx, ledger):
        asyncio.run(read(TextStage(), pairs, ctx))
        look = look_up(ledger, TEXT)
        assert [look(pair) for pair in pairs] == [
            *("Dry the toaster", "", "", ""),
            *("Hot milk", "Cold milk"),
        ]


def test_a_machine_without_tesseract_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pytesseract", reason="the extra [audit] is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VlsbenchError, match="apt install tesseract-ocr"):
        require_tesseract()
