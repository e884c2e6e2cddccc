"""What is made of a set's columns is said: those not used, and what is assumed without them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vlsbench
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import load

from .conftest import picture

RED = picture("red")


def test_bytes_that_are_no_image_are_nobodys_business(tmp_path: Path) -> None:
    table = pa.table({"query": ["a"], "audio": [b"RIFF....WAVE"], "image": [RED]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert load(tmp_path / "x.parquet").columns.unused == {"audio": ""}
    (tmp_path / "config.json").write_text("{}")
    assert len(load(tmp_path)) == 1


def test_an_unused_parquet_column_of_images_is_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"query": ["a"], "img": [RED]}), tmp_path / "x.parquet")
    with pytest.raises(VlsbenchError, match=r"column img holds images.*--columns image=img"):
        load(tmp_path / "x.parquet")
    (pair,) = load(tmp_path / "x.parquet", columns={"image": "img"})
    assert pair.images[0].read().data == RED
    table = pa.table({"query": ["a"], "image": [RED], "second": [RED]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(VlsbenchError, match="image=second, or image=image for that alone"):
        load(tmp_path / "x.parquet")
    assert len(load(tmp_path / "x.parquet", columns={"image": "image"})) == 1


@pytest.mark.parametrize("cell", ["a/k.png", ["k.JPG"], {"path": "k.webp"}])
def test_a_set_without_images_says_so_and_names_the_column(tmp_path: Path, cell: object) -> None:
    rows = [{"query": f"q{n}", "img": cell, "label": "safe"} for n in range(8)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    plan = vlsbench.plan(tmp_path / "x.jsonl", model="lab/careful", judge="offline")
    assert list(plan.warnings()) == [
        "all 8 pairs are taken as harmful; columns not used: img, label",
        "column img looks like images: --columns image=img",
        "column label holds safe: --columns harmful=label",
        "no pair has an image: view full sends the text alone",
    ]
    for view in ("blank", "swap", "image"):
        with pytest.raises(VlsbenchError, match="image"):
            vlsbench.plan(tmp_path / "x.jsonl", model="lab/careful", judge="offline", view=view)
    with pytest.raises(BadRows, match="--columns image=img"):
        vlsbench.plan(tmp_path / "x.jsonl", model="lab/careful", judge="offline", view="blank")
    opened = load(tmp_path / "x.jsonl", columns={"harmful": "label"})
    assert {pair.harmful for pair in opened} == {False}
    assert opened.columns.assumed == 0


def test_some_pairs_without_images_are_counted(tmp_path: Path) -> None:
    (tmp_path / "k.png").write_bytes(RED)
    (tmp_path / "x.csv").write_text("query,image,harmful\na,k.png,1\nb,,\n", "utf-8")
    plan = vlsbench.plan(tmp_path / "x.csv", model="lab/careful", judge="offline")
    assert list(plan.warnings()) == [
        "1 of 2 pairs are taken as harmful",
        "1 of 2 pairs have no image and are asked as text alone",
    ]
