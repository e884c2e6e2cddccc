"""Measure A by models that see the images: a tiny CLIP that has learnt, a SigLIP that has not."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vlsbench
from tests.auditing.tiny_clip import mug, mugs, save_clip, save_siglip
from vlsbench.auditing import (
    AuditOutput,
    Overlap,
)
from vlsbench.auditing.overlap.background import empty_images
from vlsbench.auditing.overlap.calibration import shipped
from vlsbench.auditing.overlap.figures import OverlapPair, OverlapSummary
from vlsbench.auditing.overlap.run import overlap
from vlsbench.embed import Clip, Vectors
from vlsbench.embed.clip import Pixels
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import FileImage, ImageData, MadeImage, Pair, PairSet

pytestmark = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers")),
    reason="the extra [audit] is not installed",
)

Measure = Callable[[PairSet], tuple[OverlapSummary, list[OverlapPair]]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_clip(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors") / "embeddings.sqlite"


@pytest.fixture(scope="module")
def measure(model: Path, cache: Path) -> Measure:
    embedder = Clip(f"clip/{model}")

    def run(pairs: PairSet) -> tuple[OverlapSummary, list[OverlapPair]]:
        found: list[OverlapPair] = []
        return overlap(pairs, embedder=embedder, cache=cache, each=found.append), found

    return run


def set_of(*pairs: Pair) -> PairSet:
    return PairSet("made", lambda: iter(pairs))


def test_queries_that_name_what_is_seen_tell_more_than_those_that_do_not(measure: Measure) -> None:
    summary, found = measure(mugs())
    truth = {pair.id: pair.meta["leaks"] for pair in mugs()}
    naming = [pair for pair in found if truth[pair.id]]
    silent = [pair for pair in found if not truth[pair.id]]
    assert len(naming) > 30
    assert len(silent) > 30
    assert min(topics(naming)) > max(topics(silent))
    assert np.mean(topics(naming)) > 4
    assert abs(np.mean([pair.topic for pair in silent])) < 1
    assert np.median([pair.rank for pair in naming]) < 0.2 < 0.35
    assert 0.35 < np.median([pair.rank for pair in silent]) < 0.65
    assert summary.contents == {"the picture itself": 80}


def test_a_name_of_another_thing_tells_nothing(measure: Measure) -> None:
    # In a set of red mugs only: what a set holds does not move a score.
    right = Pair(id="1", query="How do I clean the red mug?", images=(mug("red", 1),))
    wrong = Pair(id="2", query="How do I clean the blue mug?", images=(mug("red", 1),))
    _, (one, other) = measure(set_of(right, wrong))
    assert one.topic > 4  # type: ignore[operator]
    assert other.topic < 1  # type: ignore[operator]


def test_a_part_of_a_set_scores_as_the_whole(measure: Measure) -> None:
    pairs = mugs(240, leak=0.4, seed=2)
    whole, found = measure(pairs)
    part, _ = measure(PairSet("part", lambda: islice(iter(pairs), 0, None, 4)))
    for large, small in (
        (whole.group.topic, part.group.topic),
        (whole.group.rank, part.group.rank),
    ):
        assert small.low <= large.value <= small.high  # type: ignore[operator]
    topics = {pair.id: pair.topic for pair in found}
    alike = [pair for pair in pairs if pair.meta["colour"] == "blue"]
    _, alone = measure(set_of(*alike))
    for one in alone:
        assert one.topic == pytest.approx(topics[one.id], abs=1e-3)


class Counting(Clip):
    """Says how many images went through the model."""

    images = 0

    def embed_pixels(self, images: Sequence[Pixels]) -> Vectors:
        self.images += len(images)
        return super().embed_pixels(images)


def test_an_image_is_embedded_once_whatever_it_is_called(model: Path, tmp_path: Path) -> None:
    embedder = Counting(f"clip/{model}")
    made = mug("red", 7)
    pairs = [Pair(id="1", query="Clean the red mug?", images=(made,))]
    pairs.append(replace(pairs[0], id="2"))
    pairs.append(replace(pairs[0], id="3", images=(MadeImage("other.png", made.make),)))

    def run() -> str:
        found: list[OverlapPair] = []
        overlap(set_of(*pairs), embedder=embedder, cache=tmp_path / "v", each=found.append)
        return json.dumps([asdict(pair) for pair in found])

    first = run()
    seen = embedder.images
    # The same bytes under two names may be in one batch.
    assert len(empty_images()) < seen <= len(empty_images()) + 2
    assert run() == first
    assert embedder.images == seen


def test_an_image_is_seen_as_a_person_sees_it(model: Path) -> None:
    clip = Clip(f"clip/{model}")
    upright = Image.new("RGB", (40, 30), "white")
    upright.paste((200, 30, 30), (0, 0, 10, 25))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, plain = io.BytesIO(), io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    upright.save(plain, "PNG")
    seen = [clip.pixels(ImageData.of(f.getvalue(), "mug"))["pixel_values"] for f in (turned, plain)]
    assert (seen[0] == seen[1]).all()


def test_images_that_cannot_be_read_are_counted_and_in_no_figure(
    measure: Measure, tmp_path: Path
) -> None:
    def narrow() -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (2, 500)).save(out, "PNG")
        return out.getvalue()

    broken = MadeImage("broken.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND" + bytes(4))
    images: dict[str, tuple[Any, ...]] = {
        "good": (mug("red", 1),),
        "gone": (FileImage("gone.png", tmp_path / "gone.png"),),
        "broken": (broken,),
        "narrow": (MadeImage("narrow.png", narrow),),
        "half": (mug("red", 1), broken),
        "none": (),
    }
    pairs = [Pair(id=name, query="The red mug?", images=shown) for name, shown in images.items()]
    summary, found = measure(set_of(*pairs))
    assert summary.contents == {"the picture itself": 1, "none": 5}
    assert summary.group.topic.n == 1
    assert [pair.id for pair in found if pair.topic is not None] == ["good"]
    assert "Images that cannot be read: 3, such as broken.png." in summary.notes
    lost, _ = measure(set_of(pairs[1]))
    assert (lost.contents, lost.group.topic.n) == ({"none": 1}, 0)


def test_several_images_count_together_and_in_any_order(measure: Measure) -> None:
    red, blue = mug("red", 1), mug("blue", 1)
    pairs = [
        Pair(id=str(number), query="How do I clean the red mug?", images=images)
        for number, images in enumerate([(red,), (red, blue), (blue, red), (blue,)])
    ]
    _, found = measure(set_of(*pairs))
    only, one, other, wrong = (float(pair.topic or 0) for pair in found)
    assert one == pytest.approx(other, abs=1e-3)
    assert only > one > wrong


def test_hostile_and_empty_queries_are_measured_like_any_other(measure: Measure) -> None:
    odd = ["\udcff half", "\x00 nul", "é word " * 900, "<script>alert(1)</script>", " ?! ", ""]
    pairs = [
        Pair(id=str(number), query=text, images=(mug("red", number),))
        for number, text in enumerate(odd)
    ]
    _, found = measure(set_of(*pairs))
    assert all(np.isfinite(pair.topic) for pair in found)  # type: ignore[arg-type]
    assert [(pair.topic, pair.rank) for pair in found[-2:]] == [(0.0, 0.5)] * 2


def test_words_for_images_and_fitted_numbers_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="--captioner and --ocr cannot help it"):
        overlap(mugs(4), embedder=f"clip/{model}", caption=lambda pair: "", text=lambda pair: "")
    with pytest.raises(VlsbenchError, match="--calibration cannot help it"):
        overlap(mugs(4), embedder=f"clip/{model}", calibration=shipped())
    with pytest.raises(VlsbenchError, match="--ocr cannot help it"):
        vlsbench.audit(mugs(4), overlap=Overlap(embedder="clip/not/opened", ocr=True))


def test_files_that_are_no_such_model_are_named(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    with pytest.raises(VlsbenchError, match="no such folder"):
        Clip(f"clip/{tmp_path}/gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VlsbenchError, match="embedder clip/"):
        Clip(f"clip/{tmp_path}/empty").embed(["a mug"])
    shutil.copytree(model, tmp_path / "half")
    weights = load_file(model / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "half" / "model.safetensors", {"format": "pt"})
    half = Clip(f"clip/{tmp_path}/half")
    with pytest.raises(VlsbenchError, match=r"1 weights are missing, such as text_projection"):
        half.embed(["a mug"])
    assert half.digest != Clip(f"clip/{model}").digest


def test_a_leaderboard_says_by_which_model_and_that_naming_is_not_calibrated(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path / "home"))
    spec = f"clip/{model}"
    table, audits = vlsbench.leaderboard(
        [mugs(30, leak=1.0), mugs(30, leak=0.0, seed=1)],
        overlap=Overlap(embedder=spec),
        output=AuditOutput(out=tmp_path / "leaderboard", progress=False),
    )
    bits = {row.bench: row.topic.value for row in table.rows if row.topic}
    assert bits["mugs 0"] > bits["mugs 1"] + 3  # type: ignore[operator]
    for one in audits:
        assert one.card.overlap
        assert one.card.overlap.embedder == spec
        assert one.card.overlap.embedder_digest == Clip(spec).digest
        assert (one.card.leak, one.card.overlap.calibration) == (None, "")
        assert "naming is not calibrated for this embedder: topic and ranks alone" in [
            caveat for row in table.rows for caveat in row.caveats
        ]
        text = one.page.read_text("utf-8")
        assert "naming is not calibrated for this embedder" in text
        assert "Nothing says what the images show" not in text
        assert "the images themselves" in text
        assert "bits" in text


def test_a_siglip_reads_texts_at_full_length(tmp_path: Path, cache: Path) -> None:
    save_siglip(tmp_path)
    embedder = Clip(f"clip/{tmp_path}")
    texts = ["How can I use this?", "Should I share this with my sister and her friends?"]
    together = embedder.embed(texts)
    assert np.allclose(together[:1], embedder.embed(texts[:1]), atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    summary = overlap(mugs(12), embedder=embedder, cache=cache)
    assert summary.group.topic.n == 12


def topics(pairs: Iterable[OverlapPair]) -> list[float]:
    return [pair.topic for pair in pairs if pair.topic is not None]


def test_the_images_that_show_nothing_never_change() -> None:
    images = [Image.open(io.BytesIO(image.read().data)) for image in empty_images()]
    assert len({image.tobytes() for image in images}) == 64
    # Those of one colour are exact; enlarging may differ by a shade between versions of Pillow.
    plain: list[Any] = [image.getpixel((0, 0)) for image in images[::8]]
    assert all(
        image.getextrema() == ((r, r), (g, g), (b, b))
        for image, (r, g, b) in zip(images[::8], plain, strict=True)
    )
    assert hashlib.sha256(str(plain).encode()).hexdigest()[:16] == "76eadc469c8aa826"
