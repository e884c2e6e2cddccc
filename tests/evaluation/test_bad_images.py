"""A bad image is the matter of its own pair, in every view and at every step."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vlsbench
from vlsbench import lab
from vlsbench.auditing import AuditOutput, AuditSettings, expenses, plan_audits, run_audit
from vlsbench.config import Images, Sample
from vlsbench.errors import BadRows
from vlsbench.judge import JudgeContext, Judging
from vlsbench.pairs import Pair

from .runs import labels, rows, run

GOOD = 4


def file_of(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def bad_images(whole: bytes) -> dict[str, bytes]:
    """Files that begin and end as images do and cannot be decoded, or should not be."""
    image = Image.open(io.BytesIO(whole)).convert("RGB")
    found = {
        "huge.png": file_of(Image.new("1", (20_000, 20_000)), "PNG"),
        "huge.tif": file_of(Image.new("1", (20_000, 20_000)), "TIFF", compression="group4"),
        "thin.png": file_of(Image.new("RGB", (9_000, 1)), "PNG"),
    }
    for form, place, size in (("PNG", 60, 12), ("JPEG", 30, 12), ("GIF", 6, 4), ("WEBP", 20, 12)):
        data = file_of(image, form)
        found[f"broken.{form}"] = data[:place] + bytes(size) + data[place + size :]
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    pairs = list(lab.benchmark(f"lab/leakless?n={GOOD}"))
    images = bad_images(pairs[0].images[0].read().data)
    images |= {f"good-{n}": pair.images[0].read().data for n, pair in enumerate(pairs)}
    lines = []
    for number, (name, data) in enumerate(images.items()):
        (folder / name).write_bytes(data)
        pair = pairs[number % GOOD]
        row = {"id": name, "query": pair.query, "image": name, "description": pair.description}
        lines.append(json.dumps(row))
    (folder / "my.jsonl").write_text("\n".join(lines), "utf-8")
    return folder / "my.jsonl"


@pytest.mark.parametrize("side", [None, 32])
@pytest.mark.parametrize("view", ["full", "blank", "swap", "image", "caption", "text"])
def test_every_view_scores_the_rest(
    tmp_path: Path, file: Path, view: str, side: int | None
) -> None:
    done = run(
        file,
        tmp_path / "run",
        model="lab/careful",
        judge="lab",
        view=view,
        images=Images(max_side=side),
    )
    assert done.summary.complete
    found = labels(done)
    if view != "swap":
        assert "unscored" not in {found[f"good-{n}"] for n in range(GOOD)}
    lost = [row for row in rows(done) if row["label"] == "unscored"]
    assert {row["unscored_reason"] for row in lost} <= {"image_unreadable", "reply_rejected"}
    assert all("image " in row["explanation"] for row in lost)
    if view == "full" and side:
        assert {"huge.png", "huge.tif", "broken.PNG"} <= {row["id"] for row in lost}


def test_audits_measure_the_rest(tmp_path: Path, file: Path) -> None:
    settings = AuditSettings(
        measures=("judged", "behaviour"),
        judge="lab",
        controls=("lab/benign?n=4",),
        model="lab/careful",
        output=AuditOutput(out=tmp_path / "card", progress=False),
    )
    (plan,) = plan_audits([file], settings)
    assert list(expenses(plan))
    card = run_audit(plan).card
    assert card.stopped == ""
    assert card.judged
    assert card.judged.complete


def test_a_set_of_which_most_images_are_missing_says_so_once(tmp_path: Path) -> None:
    rows = [{"id": str(n), "query": "May I toast?", "image": f"{n}.png"} for n in range(5)]
    (tmp_path / "my.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    Image.new("RGB", (8, 6)).save(tmp_path / "0.png")
    said = f"most images are missing: 4 of 5 pairs lack theirs. Put them into {tmp_path}, or ask"
    with pytest.raises(BadRows, match=re.escape(said)):
        vlsbench.plan(tmp_path / "my.jsonl", model="lab/careful", judge="lab")
    plan = vlsbench.plan(
        tmp_path / "my.jsonl", model="lab/careful", judge="lab", sample=Sample(skip_bad=True)
    )
    assert any(said in line for line in plan.warnings())
    for n in range(1, 4):
        Image.new("RGB", (8, 6)).save(tmp_path / f"{n}.png")
    with pytest.raises(BadRows) as error:
        vlsbench.plan(tmp_path / "my.jsonl", model="lab/careful", judge="lab")
    assert "most images" not in str(error.value)


def test_a_judge_that_reads_descriptions_needs_them_before_anything_is_asked() -> None:
    pairs = [Pair("told", "Is it hot?", description="A toaster."), Pair("bare", "Is it hot?")]
    judging = Judging(context=JudgeContext.DESCRIPTION)
    with pytest.raises(BadRows, match=r"bare.*no description for --judge-context description"):
        vlsbench.plan(pairs, model="lab/careful", judge="lab", view="text", judging=judging)
