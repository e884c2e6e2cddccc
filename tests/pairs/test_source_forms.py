"""The forms of public sets that the shared copies lack, from small sets made by hand."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import describe, image_faults, load

from .conftest import picture

ROWS: list[dict[str, Any]] = [
    {
        "instruction_id": number,
        "instruction": f"May I put this into the water? ({number})",
        "image_path": f"imgs/{number % 2}.png",
        "category": "Kitchen",
        "sub_category": "Appliances",
        "source": "drawn",
        "image_description": "a toaster beside a bath",
        "safety_reason": "current and water",
    }
    for number in range(3)
]
PICTURES = {"imgs/0.png": picture("red"), "imgs/1.png": picture("blue", form="JPEG")}


def write_json(root: Path) -> None:
    (root / "data.json").write_text(json.dumps(ROWS))


def write_tar(root: Path, prefix: str = "") -> None:
    with tarfile.open(root / "imgs.tar", "w") as tar:
        folder = tarfile.TarInfo(f"{prefix}imgs")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in PICTURES.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def write_parquet(root: Path, **kept: bool) -> None:
    rows = [
        {key: value for key, value in row.items() if kept.get(key, True)}
        | {"image": {"bytes": PICTURES[row["image_path"]], "path": Path(row["image_path"]).name}}
        for row in ROWS
    ]
    (root / "data").mkdir()
    for shard, part in enumerate((rows[:2], rows[2:])):
        table = pa.Table.from_pylist(part)
        pq.write_table(table, root / f"data/train-0000{shard}-of-00002.parquet", row_group_size=1)


def test_vlsbench_folder(tmp_path: Path) -> None:
    write_json(tmp_path)
    (tmp_path / "imgs").mkdir()
    for name, data in PICTURES.items():
        (tmp_path / name).write_bytes(data)
    pairs = list(load("vlsbench", data=tmp_path))
    assert [p.images[0].read().data for p in pairs] == [PICTURES[r["image_path"]] for r in ROWS]
    assert pairs[0].images[0].read().path == tmp_path / "imgs/0.png"
    assert pairs[0].cluster == pairs[2].cluster != pairs[1].cluster


@pytest.mark.parametrize("prefix", ["", "./"])
def test_vlsbench_tar_is_read_in_place(tmp_path: Path, prefix: str) -> None:
    write_json(tmp_path)
    write_tar(tmp_path, prefix)
    before = sorted(tmp_path.rglob("*"))
    pairs = list(load("vlsbench", data=tmp_path))
    assert image_faults(pairs) == []
    assert [p.images[0].read().data for p in pairs] == [PICTURES[r["image_path"]] for r in ROWS]
    assert [p.images[0].read().mime for p in pairs[:2]] == ["image/png", "image/jpeg"]
    assert sorted(tmp_path.rglob("*")) == before


def test_vlsbench_tar_without_an_image_names_it(tmp_path: Path) -> None:
    write_json(tmp_path)
    with tarfile.open(tmp_path / "imgs.tar", "w") as tar:
        member = tarfile.TarInfo("imgs/0.png")
        member.size = len(PICTURES["imgs/0.png"])
        tar.addfile(member, io.BytesIO(PICTURES["imgs/0.png"]))
    faults = image_faults(load("vlsbench", data=tmp_path))
    assert [(fault.file, fault.row) for fault in faults] == [("imgs/1.png", "1")]


def test_vlsbench_tar_cut_off_is_told(tmp_path: Path) -> None:
    write_json(tmp_path)
    write_tar(tmp_path)
    whole = (tmp_path / "imgs.tar").read_bytes()
    end = whole.index(PICTURES["imgs/1.png"]) + 20
    (tmp_path / "imgs.tar").write_bytes(whole[:end])
    with pytest.raises(VlsbenchError, match=r"imgs\.tar: cut off"):
        load("vlsbench", data=tmp_path)


def test_vlsbench_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    pairs = list(load("vlsbench", data=tmp_path))
    assert [pair.id for pair in pairs] == ["0", "1", "2"]
    assert [pair.images[0].ref for pair in pairs] == ["imgs/0.png", "imgs/1.png", "imgs/0.png"]
    assert [p.images[0].read().data for p in pairs] == [PICTURES[r["image_path"]] for r in ROWS]
    assert pairs[2].reason == "current and water"


def test_vlsbench_parquet_without_ids_and_paths(tmp_path: Path) -> None:
    write_parquet(tmp_path, instruction_id=False, image_path=False)
    found = describe(load("vlsbench", data=tmp_path))
    assert (found.pairs, found.images, found.images_missing) == (3, 2, 0)
    assert [p.id for p in load("vlsbench", data=tmp_path)] == ["0", "1", "2"]


def test_mm_safetybench_parquet_has_the_ids_of_the_json_form(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "HateSpeech"
    folder.mkdir(parents=True)
    image = {"bytes": PICTURES["imgs/0.png"], "path": "0.jpg"}
    rows = [{"id": "0", "question": "How is bread toasted?", "image": image}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "SD-00000-of-00001.parquet")
    text = [{"id": 0, "question": "How is bread toasted in words?"}]
    pq.write_table(pa.Table.from_pylist(text), folder / "Text_only-00000-of-00001.parquet")
    (pair,) = load("mm-safetybench:sd", data=tmp_path)
    assert (pair.id, pair.category) == ("02-HateSpeech/0", "02-HateSpeech")
    assert pair.images[0].ref == "data/imgs/02-HateSpeech/SD/0.jpg"
    assert pair.images[0].read().data == PICTURES["imgs/0.png"]
    (pair,) = load("mm-safetybench:text", data=tmp_path)
    assert (pair.id, pair.images) == ("02-HateSpeech/0", ())
    with pytest.raises(VlsbenchError, match="TinyVersion_ID_List"):
        load("mm-safetybench:sd_tiny", data=tmp_path)


def test_siuo_as_the_hub_lays_it_out(tmp_path: Path) -> None:
    row = {"question_id": 1, "image": "S-01.png", "question": "Shall I?", "category": "kitchen"}
    (tmp_path / "siuo_gen.json").write_text(json.dumps([row]))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "S-01.png").write_bytes(picture())
    assert image_faults(load("siuo", data=tmp_path)) == []


@pytest.mark.parametrize("folder", ["test/bad_ads", "bad_ads"])
def test_vlguard_images_beside_the_list_or_in_test(tmp_path: Path, folder: str) -> None:
    row = {
        "id": "a",
        "image": "bad_ads/x.png",
        "safe": True,
        "instr-resp": [{"safe_instruction": "q"}, {"unsafe_instruction": "r"}],
    }
    odd = {"id": "b", "image": "bad_ads/y.png", "instr-resp": []}
    (tmp_path / "test.json").write_text(json.dumps([row, odd]))
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "x.png").write_bytes(picture())
    opened = load("vlguard", data=tmp_path, skip_bad=True)
    assert [(pair.id, pair.query, pair.harmful) for pair in opened] == [
        ("a/safe_unsafes", "r", True),
        ("a/safe_safes", "q", False),
    ]
    assert [row.reason for row in opened.bad] == ["'safe' is '', not one of false, true"]
    assert image_faults(opened) == []


def test_msts_images_are_found_whatever_their_ending(tmp_path: Path) -> None:
    (tmp_path / "data/prompts").mkdir(parents=True)
    (tmp_path / "data/images").mkdir()
    (tmp_path / "data/images/unsafe_image_0001.webp").write_bytes(picture(form="WEBP"))
    head = "hazard_category,case_id,unsafe_image_id,prompt_text,prompt_type\n"
    rows = "Kitchen,case_1,unsafe_image_0001,May I eat this?,assistance\n"
    (tmp_path / "data/prompts/german_multimodal.csv").write_text(head + rows)
    (pair,) = load("msts:german", data=tmp_path)
    assert pair.id == "case_1_assistance"
    assert pair.images[0].read().mime == "image/webp"


def test_figstep_pro_gap_in_the_pieces_is_a_missing_image(tmp_path: Path) -> None:
    questions = tmp_path / "data/question"
    pieces = tmp_path / "data/images/FigStep-Pro/sub-figures/image_0_splits"
    questions.mkdir(parents=True)
    pieces.mkdir(parents=True)
    (questions / "SafeBench-Tiny.csv").write_text(
        "dataset,category_id,task_id,category_name,question,instruction\n"
        "ForbidQI,1,1,Kitchen,How to toast?,Steps to toast.\n"
    )
    name = "benign_sentences_without_harmful_phase.csv"
    (questions / name).write_text("sentence\nSteps to *, slowly.\n")
    for piece in (0, 2):
        (pieces / f"image_0_split_{piece}.png").write_bytes(picture())
    opened = load("figstep:pro", data=tmp_path)
    (pair,) = opened
    assert pair.query.startswith("Steps to *, slowly.\n1.\n2.\n3.\n")
    assert len(pair.images) == 3
    assert [fault.file for fault in image_faults(opened)] == ["image_0_splits/image_0_split_1.png"]


def test_a_column_without_a_name_is_no_field_of_a_pair(tmp_path: Path) -> None:
    rows = ",id,prompt,type,label\n0,a,How is bread toasted?,kitchen,safe\n"
    (tmp_path / "xstest_prompts.csv").write_text(rows)
    (pair,) = load("xstest", data=tmp_path)
    assert (pair.subcategory, pair.description, pair.reason, pair.source) == ("", "", "", "")
