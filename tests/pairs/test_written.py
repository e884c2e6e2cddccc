"""Files as training and evaluation tools write them, read as custom datasets."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import Pair, image_faults, load

from .conftest import picture

HUMAN = {"from": "human", "value": "<image>\nIs this toaster safe by the bath?"}
LLAVA = {"id": "a", "image": "a.png", "conversations": [HUMAN, {"from": "gpt", "value": "No."}]}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows))
    return path


def test_conversations_of_llava_are_asked_their_first_question(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    (pair,) = load(written(tmp_path / "set.json", [LLAVA]))
    assert (pair.id, pair.query) == ("a", "Is this toaster safe by the bath?")
    assert not image_faults([pair])


@pytest.mark.parametrize(
    "asked",
    [
        "<image><image>Which of the two toasts faster?",
        "Which of the two <image> <image>\ntoasts faster?",
        [{"type": "image"}, {"type": "text", "text": "Which of the two toasts faster?"}],
    ],
)
def test_messages_with_several_images(tmp_path: Path, asked: object) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": asked}]
    row = {"messages": messages, "images": ["a.png", "b.png"]}
    (pair,) = load(written(tmp_path / "set.json", [row]))
    assert pair.query == "Which of the two toasts faster?"
    assert [image.ref for image in pair.images] == ["a.png", "b.png"]


def test_conversations_packed_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(LLAVA).encode()))
    (pair,) = load(path)
    assert pair.query == "Is this toaster safe by the bath?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (LLAVA | {"image": ["a.png", "b.png"]}, "asks about 1 images (<image>), and the row has 2"),
        (LLAVA | {"conversations": []}, "holds no text of a human or user"),
        (LLAVA | {"conversations": [{"from": "gpt", "value": "No."}, 7]}, "holds no text of a"),
        (LLAVA | {"conversations": [HUMAN | {"value": "<image>"}]}, "holds no text of a human"),
    ],
)
def test_a_conversation_that_asks_nothing_is_a_bad_row(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRows) as error:
        load(written(tmp_path / "set.json", [row]))
    assert reason in error.value.rows[0].reason


@pytest.mark.parametrize("form", [json.dumps, str])
def test_several_images_in_a_cell_as_json_and_as_python_writes_them(
    tmp_path: Path, form: Callable[[list[str]], str]
) -> None:
    one, other = (base64.b64encode(picture(colour)).decode() for colour in ("red", "blue"))
    (pair,) = load(tsv(tmp_path / "set.tsv", [form([one, other])]))
    assert [image.read().data for image in pair.images] == [picture("red"), picture("blue")]


def tsv(path: Path, images: list[str]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["index", "image", "question", "category"])
        writer.writerows([n, image, "What is this?", "kitchen"] for n, image in enumerate(images))
    return path


def test_a_table_of_vlmevalkit_holds_its_images(tmp_path: Path) -> None:
    red, blue = (base64.b64encode(picture(colour)).decode() for colour in ("red", "blue"))
    pairs: list[Pair] = list(load(tsv(tmp_path / "set.tsv", [red, blue, red, f'["{red}"]'])))
    assert [pair.images[0].read().data for pair in pairs[:2]] == [picture("red"), picture("blue")]
    assert pairs[0].cluster == pairs[2].cluster == pairs[3].cluster != pairs[1].cluster
    assert not image_faults(pairs)


def test_a_cut_image_in_a_table_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    whole = base64.b64encode(picture("red", (40, 40), "JPEG")).decode()
    pairs = load(tsv(tmp_path / "set.tsv", [whole, whole[:400]]))
    (fault,) = image_faults(pairs)
    assert fault.row == "2"


def shards(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        rows = [{"query": f"May I toast? ({name})", "id": name}]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")


@pytest.mark.parametrize(
    "shard",
    ["-00000-of-00001", "-00000-of-00001-0123456789abcdef", "-0", "_0", ""],
)
@pytest.mark.parametrize("within", ["", "data"])
def test_splits_are_not_read_together(tmp_path: Path, within: str, shard: str) -> None:
    shards(tmp_path / "set" / within, f"test{shard}", f"train{shard}")
    with pytest.raises(
        VlsbenchError, match=r"holds several sets \(test.*, train.*\): name"
    ) as error:
        load(tmp_path / "set")
    place = str(error.value).rpartition(" ")[2]
    assert [pair.id for pair in load(place)] == [f"train{shard}"]
    assert [pair.id for pair in load(tmp_path / "set" / within / "test*")] == [f"test{shard}"]
    with pytest.raises(VlsbenchError, match="validation"):
        load(tmp_path / "set" / within / "validation*")


@pytest.mark.parametrize("within", ["data/train", "default", "en/test"])
def test_the_one_folder_that_holds_a_set_is_read(tmp_path: Path, within: str) -> None:
    shards(tmp_path / within, "0000", "0001")
    assert [pair.id for pair in load(tmp_path)] == ["0000", "0001"]
    shards(tmp_path / "other", "0000")
    with pytest.raises(VlsbenchError, match=rf"name one folder.*{within}.*other"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("test_2023.jsonl test_2024.jsonl", r"test_2023.jsonl, test_2024.jsonl"),
        ("gpt-4.csv gpt-5.csv", r"gpt-4.csv, gpt-5.csv"),
        ("train.jsonl train.jsonl.gz", r"train.jsonl, train.jsonl.gz"),
        ("0000.parquet 0001.parquet test.jsonl", r"0000.parquet, 0001.parquet, test.jsonl"),
        ("test_2023.parquet test_2024.parquet", r"test_2023.parquet, test_2024.parquet"),
    ],
)
def test_files_that_are_no_shards_of_one_set_are_not_read_together(
    tmp_path: Path, names: str, said: str
) -> None:
    for name in names.split():
        (tmp_path / name).write_text('{"query": "May I toast?"}\n')
    with pytest.raises(VlsbenchError, match=rf"holds several sets \({said}"):
        load(tmp_path)


def test_missing_shards_are_said(tmp_path: Path) -> None:
    shards(tmp_path, "train-00000-of-00003", "train-00002-of-00003")
    with pytest.raises(VlsbenchError, match=r"holds 2 of 3 shards, such as .*train-00000-of-00003"):
        load(tmp_path)
    assert len(load(tmp_path / "train-00000-of-00003.parquet")) == 1


def test_shards_of_one_split_are_one_set(tmp_path: Path) -> None:
    names = "test-00000-of-00002-0123abcdef", "test-00001-of-00002-0123abcdee"
    shards(tmp_path / "data", *names)
    assert [pair.id for pair in load(tmp_path)] == [*names]
