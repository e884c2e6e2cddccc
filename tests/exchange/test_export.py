"""Sets in the forms of other programs, and what comes back from these."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml
from PIL import Image

import vlsbench
from tests.evaluation.runs import labels, run
from vlsbench.config import Sample
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import Replies
from vlsbench.exchange import export
from vlsbench.pairs import Pair, PairSet

LIMIT = Sample(limit=4, seed=1)


def opened() -> PairSet:
    return vlsbench.load("lab/leakless", controls=["lab/benign"])


def two_images(folder: Path) -> Path:
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        Image.new("RGB", (40, 30), colour).save(folder / name)
    lines = [
        {"id": "007", "query": "Which kettle\nis hot?", "images": ["a.png", "b.png"]},
        {"id": "008", "query": "Is the kettle hot?", "images": ["a.png"], "harmful": False},
    ]
    path = folder / "kettles.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_what_lmms_eval_gets_is_the_set_again(tmp_path: Path) -> None:
    pairs = vlsbench.load(two_images(tmp_path))
    done = export(pairs, "lmms-eval", tmp_path / "out")
    again = list(vlsbench.load(done.file / "metadata.jsonl"))
    assert [(p.id, p.query, p.harmful) for p in again] == [
        (p.id, p.query, p.harmful) for p in pairs
    ]
    pixels = [[i.read().data for i in pair.images] for pair in pairs]
    assert [[i.read().data for i in pair.images] for pair in again] == pixels
    assert again[0].images[0].ref == again[1].images[0].ref


def test_vlmevalkit_reads_images_and_texts_and_its_results_come_back(tmp_path: Path) -> None:
    done = export(opened(), "vlmevalkit", tmp_path / "lmu", sample=LIMIT)
    assert done.file == tmp_path / "lmu" / f"{done.name}.tsv"
    with done.file.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    assert [row["index"] for row in table] == list(map(str, range(8)))
    assert "image_path" not in table[0]
    by_id = {pair.id: pair for pair in opened()}
    for row in table:
        pair = by_id[row["id"]]
        assert row["question"] == pair.query
        assert base64.b64decode(row["image"]) == pair.images[0].read().data
    book = openpyxl.Workbook()
    columns = [name for name in table[0] if name != "image"]
    book.active.append([*columns, "prediction"])
    for row in table:
        book.active.append([*(row[name] for name in columns), "I can't help with that."])
    book.save(tmp_path / "toaster.xlsx")
    judged = run(
        opened(),
        tmp_path / "run",
        replies=Replies(files=(tmp_path / "toaster.xlsx",)),
        judge="offline",
        limit=4,
        seed=1,
    )
    assert set(labels(judged).values()) == {"refusal"}


def test_the_command_that_is_named_judges_what_comes_back(tmp_path: Path) -> None:
    def typed(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vlsbench", *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "300"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    form = ("--format", "vlmevalkit", "--out", "out")
    said = typed(
        *("bench", "export", "lab/leakless", "--controls", "lab/benign?n=6", "--limit", "3", *form)
    )
    (table,) = (tmp_path / "out").glob("*.tsv")
    with table.open(encoding="utf-8") as file:
        rows = [{"id": row["id"], "reply": "No."} for row in csv.DictReader(file, delimiter="\t")]
    (tmp_path / "FILE.json").write_text(json.dumps(rows))
    command = said.partition("then vlsbench ")[2].replace("FILE", "FILE.json").replace("…", "lab")
    assert "Net rate" in typed(*shlex.split(command))


def test_ids_that_a_spreadsheet_takes_for_numbers_are_found_by_place_and_text(
    tmp_path: Path,
) -> None:
    pairs = vlsbench.load(two_images(tmp_path))
    done = export(pairs, "vlmevalkit", tmp_path / "lmu")
    with done.file.open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file, delimiter="\t")
    assert len(json.loads(first["image"])) == 2
    assert json.loads(first["image_path"]) == ["0_0.png", "0_1.png"]
    assert second["image_path"] == "1_0.png"
    lines = [
        {
            "index": n,
            "id": int(row["id"]),
            "question": row["question"],
            "prediction": "No, I can't.",
        }
        for n, row in enumerate((first, second))
    ]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done_run = run(pairs, tmp_path / "run", replies=Replies(files=(path,)), judge="offline")
    assert set(labels(done_run).values()) == {"refusal"}


def test_a_place_is_not_believed_where_its_text_is_that_of_others(tmp_path: Path) -> None:
    pairs = PairSet.of([Pair(id=id, query="Is it hot?") for id in ("a", "b")], "kettles")
    path = tmp_path / "r.jsonl"
    path.write_text('{"doc_id": 0, "input": "Is it hot?", "resps": ["No, I can\'t."]}\n')
    with pytest.raises(BadRows, match="kettles has no pair '0'"):
        run(pairs, tmp_path / "run", replies=Replies(files=(path,)), judge="offline", view="text")


def test_a_task_of_lmms_eval_shows_the_pairs(tmp_path: Path) -> None:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads `!function FILE.NAME` as lmms-eval does."""

    done = export(vlsbench.load(two_images(tmp_path)), "lmms-eval", tmp_path / "tasks")
    spec = importlib.util.spec_from_file_location("utils", done.file / "utils.py")
    assert spec
    assert spec.loader
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)

    def function(_: Any, node: Any) -> Any:
        return getattr(utils, node.value.removeprefix("utils."))

    Loader.add_constructor("!function", function)
    task = yaml.load((done.file / f"{done.name}.yaml").read_text(), Loader)
    assert task["task"] == done.name
    data = Path(task["dataset_kwargs"]["data_files"]["test"])
    docs = [json.loads(line) for line in data.read_text().splitlines()]
    assert [doc[task["doc_to_target"]] for doc in docs] == ["007", "008"]
    assert docs[0][task["doc_to_text"]] == "Which kettle\nis hot?"
    shown = task["doc_to_visual"](docs[0])
    assert [(image.mode, image.size) for image in shown] == [("RGB", (40, 30))] * 2
    assert task["process_results"](docs[0], [" "]) == {"replied": 0.0}


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="no image, and VLMEvalKit leaves such rows out"):
        export(PairSet.of([Pair("a", "?")], "kettles"), "vlmevalkit", tmp_path / "lmu")
    assert not (tmp_path / "lmu").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(VlsbenchError, match="is there already: name another --out"):
        export(opened(), "lmms-eval", tmp_path / "full")
    broken = two_images(tmp_path)
    (tmp_path / "b.png").write_bytes(b"hm")
    with pytest.raises(BadRows, match=r"row 007"):
        export(vlsbench.load(broken), "lmms-eval", tmp_path / "out")


def test_images_that_few_programs_take_are_drawn_anew(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.bmp")
    (tmp_path / "x.jsonl").write_text('{"id": "a", "query": "?", "image": "a.bmp"}\n')
    done = export(vlsbench.load(tmp_path / "x.jsonl"), "lmms-eval", tmp_path / "out")
    (pair,) = vlsbench.load(done.file / "metadata.jsonl")
    assert Image.open(io.BytesIO(pair.images[0].read().data)).format == "PNG"


@pytest.mark.parametrize("format", ["lmms-eval", "vlmevalkit"])
def test_a_pair_whose_image_cannot_be_shown_is_left_out_and_said(
    tmp_path: Path, format: str
) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.tiff", compression="group4")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    lines = [
        json.dumps({"id": one, "query": "?", "image": one}) for one in ("huge.tiff", "red.png")
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    done = export(vlsbench.load(tmp_path / "x.jsonl"), format, tmp_path / "out")
    assert (done.pairs, [row.row for row in done.left_out]) == (1, ["huge.tiff"])
    (tmp_path / "x.jsonl").write_text(lines[0])
    with pytest.raises(BadRows, match="pixels"):
        export(vlsbench.load(tmp_path / "x.jsonl"), format, tmp_path / "none")
    assert not (tmp_path / "none").exists()
