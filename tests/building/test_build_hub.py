"""Path B's images from a data set of the Hub, over real HTTP."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.building.build_examples import PLAIN, lines
from tests.pairs.homes import COMMIT, Homes, serving
from vlsbench import lab

pytest.importorskip("datasets", reason="needs the extra build")

PROGRAM = """
import json, sys
from vlsbench.building import build
from vlsbench.errors import VlsbenchError

for number, (images, column) in enumerate(json.loads(sys.argv[1])):
    sets = [f"perceive.images='{images}'", f"perceive.column='{column}'"]
    try:
        build("lab", out=f"{number}", lab="in-process", overrides=[*sets, *sys.argv[2:]],
              progress=False)
    except VlsbenchError as error:
        print(error)
"""


def build(homes: Homes, folder: Path, *asked: tuple[str, str]) -> list[str]:
    """Build in a fresh process: the Hub's client reads its endpoint when it is imported."""
    sets = (*PLAIN, "elements=false", "twins.per_pair=0", "near_duplicates=false")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked), *sets],
        capture_output=True,
        text=True,
        env=homes.environment(folder),
        cwd=folder,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.long
def test_images_in_parquet_and_what_cannot_be_had(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(lab.draw("lamp", "1"))
    cells = [
        {"bytes": lab.draw("toaster", "1"), "path": "../../etc/toaster.png"},
        {"bytes": None, "path": str(secret)},
        {"bytes": b"no image", "path": None},
    ]
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"photo": cell} for cell in cells]), table)
    name = "kitchen/toasters"
    with serving(Homes({"data/train-00000-of-00001.parquet": table.getvalue()})) as homes:
        errors = build(
            homes,
            tmp_path,
            (f"hub:{name}@{COMMIT}:train", "photo"),
            (f"hub:{name}:test", "photo"),
            (f"hub:{name}", "image"),
            ("hub:../toasters", "image"),
        )
    rows = {row["id"]: row for row in lines(tmp_path / "0" / "provenance.jsonl")}
    assert rows[f"b/{name}/train/000000"]["image_sha256"]
    assert [rows[f"b/{name}/train/00000{n}"]["reason"] for n in (1, 2)] == ["image_unreadable"] * 2
    assert f"hub:{name}:test cannot be opened" in errors[0]
    assert f"hub:{name} cannot be opened: no column 'image' among photo" in errors[1]
    assert "is not hub:OWNER/NAME" in errors[2]
    assert len(errors) == 3


@pytest.mark.slow
def test_images_as_files(tmp_path: Path) -> None:
    images = {f"train/{name}.png": lab.draw(name, "1") for name in ("toaster", "lamp")}
    with serving(Homes(images)) as homes:
        assert build(homes, tmp_path, ("hub:kitchen/toasters", "image")) == []
    rows = lines(tmp_path / "0" / "provenance.jsonl")
    assert [row["id"][-6:] for row in rows] == ["000000", "000001"]
    assert all(row["image_sha256"] for row in rows)
