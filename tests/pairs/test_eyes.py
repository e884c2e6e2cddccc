"""One set of odd images, shown to everyone who looks: all see the same pixels."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vlsbench
from vlsbench.config import Images
from vlsbench.embed import difference_hash, differing
from vlsbench.engine import Budget, CostBudget, Keep, Ledger, Record, RunContext, StopSignal, Tally
from vlsbench.evaluation import Evaluation, Output
from vlsbench.pages import thumbnail
from vlsbench.pairs import ImageData, MadeImage, Pair, Shrink, decode

from .test_decode import FORMS, file_of, off, scene, turned

SIDE = 24


def with_alpha() -> bytes:
    """Grey with transparency, what is clear being black beneath."""
    grey = scene().convert("L")
    clear = np.asarray(scene()).min(axis=2) == 255
    values = np.where(clear, 0, np.asarray(grey)).astype(np.uint8)
    alpha = Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))
    return file_of(Image.merge("LA", (Image.fromarray(values), alpha)))


def deep() -> bytes:
    return file_of(Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) * 257))


def _photo(turn: int) -> bytes:
    upright = scene(480, 320)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    laid = upright.transpose(undo[turn]) if turn in undo else upright
    return turned("JPEG", turn, laid)


GREY = scene().convert("L").convert("RGB")
ODD: dict[str, Callable[[], bytes]] = {
    **FORMS,
    **{f"JPEG turned {turn}": partial(_photo, turn) for turn in range(1, 9)},
    "CMYK JPEG": lambda: file_of(scene().convert("CMYK"), "JPEG", quality=95),
    "large": lambda: file_of(scene().resize((4800, 3200), Image.Resampling.NEAREST)),
}
GREYS: dict[str, Callable[[], bytes]] = {"grey and alpha": with_alpha, "16 bits": deep}


def like(found: Image.Image, wanted: Image.Image) -> bool:
    """Tell whether two images show the same; a wrong turn or ground is off by 60 and more."""
    return off(found.resize(wanted.size, Image.Resampling.BOX), wanted) < 12


def eyes() -> dict[str, Callable[[ImageData], Image.Image]]:
    from vlsbench.aligning.rows import open_image

    return {
        "decode": decode,
        "a server or browser": lambda image: decode(image.portable),
        "shrunk": lambda image: decode(Shrink(max_side=SIDE).apply(image)),
        "shrunk to bytes": lambda image: decode(Shrink(max_bytes=100_000).apply(image)),
        "thumbnail": lambda image: decode(thumbnail(image)),
        "training row": lambda image: open_image(image.data),
    }


@pytest.mark.parametrize("form", [*ODD, *GREYS])
def test_every_eye_sees_the_scene(form: str) -> None:
    image = ImageData.of((ODD | GREYS)[form](), form)
    wanted = GREY if form in GREYS else scene()
    for name, eye in eyes().items():
        assert like(eye(image), wanted), name
    plain = difference_hash(file_of(wanted))
    assert differing(difference_hash(image.data), plain) <= 4


@contextmanager
def recording() -> Iterator[tuple[str, list[bytes]]]:
    """Serve a model that keeps the images it is sent."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for message in body["messages"]:
                parts = message["content"] if isinstance(message["content"], list) else []
                urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
                sent.extend(base64.b64decode(url.partition(",")[2]) for url in urls)
            answer = {"choices": [{"message": {"content": "No."}, "finish_reason": "stop"}]}
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", sent
    server.shutdown()


def evaluated(
    folder: Path, forms: dict[str, bytes], **options: Any
) -> tuple[Evaluation, list[bytes]]:
    folder.mkdir()
    for number, data in enumerate(forms.values()):
        (folder / f"{number}.img").write_bytes(data)
    rows = [{"id": name, "query": name, "image": f"{n}.img"} for n, name in enumerate(forms)]
    (folder / "my.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    with recording() as (url, sent):
        done = vlsbench.evaluate(
            folder / "my.jsonl",
            model=f"m@{url}",
            judge="offline",
            output=Output(out=folder / "run", progress=False),
            **options,
        )
    return done, sent


@pytest.mark.parametrize("side", [None, SIDE])
def test_what_is_sent_is_what_people_see(tmp_path: Path, side: int | None) -> None:
    forms = {name: make() for name, make in ODD.items()}
    done, sent = evaluated(tmp_path / "set", forms, images=Images(max_side=side))
    assert len(sent) == len(forms)
    for data in sent:
        with Image.open(io.BytesIO(data)) as opened:
            assert opened.format in ("PNG", "JPEG", "GIF", "WEBP")
            # A server may know nothing of EXIF: the pixels themselves are upright.
            assert opened.getexif().get(0x0112, 1) == 1
            assert like(decode(file_of(opened.convert("RGBA"))), scene())
            assert side is None or max(opened.size) <= side
    with Ledger.read(done.folder) as ledger:
        redrawn = {outcome.record for outcome in ledger.outcomes() if "redrawn" in outcome.value}
    turned_forms = {name for name in forms if "turned" in name and not name.endswith("turned 1")}
    drawn_anew = {"BMP", "TIFF", "TIFF turned 1", "CMYK JPEG", "CMYK TIFF", *turned_forms}
    if side is None:
        assert redrawn == drawn_anew


@pytest.mark.skipif(
    not (find_spec("pytesseract") and shutil.which("tesseract")),
    reason="needs the extra [audit] and the program tesseract",
)
def test_text_is_read_from_a_photo_that_lies(tmp_path: Path) -> None:
    from PIL import ImageDraw, ImageFont

    from vlsbench.auditing.overlap.contents import TextStage

    upright = Image.new("RGB", (500, 120), "white")
    font = ImageFont.load_default(size=48)
    ImageDraw.Draw(upright).text((30, 30), "KETTLE TOASTER", "black", font)
    laid = turned("JPEG", 6, upright.transpose(Image.Transpose.ROTATE_90))

    def text_in(data: bytes) -> object:
        pair = Pair("1", "What is written here?", (MadeImage("photo", lambda: data),))
        with Ledger.write(tmp_path / "run") as ledger:
            stop = StopSignal()
            ctx = RunContext(ledger, (), Budget(stop, CostBudget(), {}), stop, Tally())
            return asyncio.run(TextStage().run(Record("1", pair), ctx))

    assert text_in(laid) == text_in(file_of(upright)) == Keep({"text": "KETTLE TOASTER"})
