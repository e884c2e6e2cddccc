"""Files as people have them: whatever they are called, packed and encoded as, the same is read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import Pair, image_faults, load

from .conftest import picture

ROWS = [
    {"id": "a", "query": "Is the kettle, hot; or\tnot?", "image": "k.png", "harmful": "true"},
    {"id": "b", "query": "Töster ein? 你好", "image": "t.png", "harmful": "false"},
]
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def facts(pairs: Any) -> list[tuple[object, ...]]:
    return [(p.id, p.query, [i.ref for i in p.images], p.harmful) for p in pairs]


EXPECTED = [
    ("a", ROWS[0]["query"], ["k.png"], True),
    ("b", ROWS[1]["query"], ["t.png"], False),
]


def lines() -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def table(by: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, ROWS[0], delimiter=by)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue()


COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
FILES: dict[str, bytes] = {
    "my.jsonl": lines().encode(),
    "my.ndjson": lines().encode(),
    "my.json": json.dumps(ROWS).encode(),
    "indented.json": json.dumps(ROWS, indent=2).encode(),
    "lines.json": lines().encode(),
    "list.jsonl": json.dumps(ROWS).encode(),
    "under_data.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "by_id.json": json.dumps({row["id"]: row for row in ROWS}).encode(),
    "records.json": pd.DataFrame(ROWS).to_json(orient="records").encode(),
    "my.csv": table(",").encode(),
    "bom.csv": table(",").encode("utf-8-sig"),
    "semicolon.csv": table(";").encode("utf-8-sig"),
    "bar.csv": table("|").encode(),
    "my.tsv": table("\t").encode(),
    "spaced.csv": table(",").replace("id,query,image", "id, Query ,Image").encode(),
    "my.jsonl.gz": gzip.compress(lines().encode()),
    "parts.jsonl.gz": b"".join(
        gzip.compress(line.encode() + b"\n") for line in lines().splitlines()
    ),
    "my.csv.gz": gzip.compress(table(",").encode()),
    "my.jsonl.zst": zstandard.compress(lines().encode()),
    "my.json.zst": zstandard.compress(json.dumps(ROWS).encode()),
}


@pytest.mark.parametrize("name", FILES)
def test_every_spelling_of_a_file_reads_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    opened = load(tmp_path / name)
    assert facts(opened) == EXPECTED
    assert opened.name == name.split(".jsonl")[0].removesuffix(".gz").split(".csv")[0].split(
        ".tsv"
    )[0].split(".json")[0].removesuffix(".ndjson")


@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
@SETTINGS
def test_any_cell_survives_any_separator(tmp_path: Path, by: str, rows: list[list[str]]) -> None:
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=by)
        writer.writerow(["query", "note"])
        writer.writerows([f"q{query}", note] for query, note in rows)
    assert [(p.query, p.meta["note"]) for p in load(tmp_path / "x.csv")] == [
        (f"q{query}", note) for query, note in rows
    ]


def test_a_long_field_is_one_field(tmp_path: Path) -> None:
    long = "kettle, " * 40_000 + "\n" * 1300
    with open(tmp_path / "x.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["query", "note"], ["a", "x"], ["b", long], ["c", "y"]])
    assert [pair.meta["note"] for pair in load(tmp_path / "x.csv")] == ["x", long, "y"]


@pytest.mark.parametrize("text", ['"open, x\nb,y\nc,z\n', '"a"b,x\nc,z\n'])
def test_nothing_is_read_on_inside_a_field(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(f"query,note\nfine,x\n{text}", "utf-8")
    with pytest.raises(BadRows, match=r"begins in line 3.*nothing was read after it"):
        load(tmp_path / "x.csv")
    opened = load(tmp_path / "x.csv", skip_bad=True)
    assert [pair.query for pair in opened] == ["fine"]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("x.csv", table("\t").encode("utf-16"), "x.csv: not UTF-8"),
        ("x.jsonl", lines().encode("utf-16"), "x.jsonl: not UTF-8"),
        ("x.csv", gzip.compress(table(",").encode()), "line 1: not UTF-8"),
        ("x.jsonl", '{"query": "Töster"}'.encode("cp1252"), "not UTF-8.*iconv -f CP1252"),
        ("x.csv", "query\nTöster".encode("cp1252"), "not UTF-8.*iconv -f CP1252"),
        ("x.csv", "query,fön\na,b".encode("cp1252"), "line 1: not UTF-8.*iconv -f CP1252"),
        ("x.json", '[{"query": "Töster"}]'.encode("cp1252"), "line 1: not UTF-8.*iconv -f CP1252"),
        ("x.jsonl.gz", gzip.compress(lines().encode())[:-9], "x.jsonl.gz: Truncated"),
        ("x.jsonl.zst", zstandard.compress(lines().encode())[:-9], "x.jsonl.zst: "),
        (
            "x.json",
            b'{"a": [{"query": "q"}], "b": [{"query": "q"}]}',
            "an object of a, b, not a list",
        ),
        ("x.json", json.dumps(COLUMNS).encode(), "an object of id, query, image, harmful, not"),
        ("x.json", b'"text"', "neither a list nor an object"),
        ("x.xlsx", b"PK", "x.xlsx: not one of"),
    ],
)
def test_what_cannot_be_read_says_what_it_is(
    tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VlsbenchError, match=says):
        load(tmp_path / name)


@given(
    data=st.binary(max_size=80),
    form=st.sampled_from(["json", "jsonl", "csv", "tsv", "parquet", "arrow"]),
    start=st.sampled_from(
        [
            b"",
            b"\x1f\x8b",
            b"\xff\xfe",
            b"BZh9",
            b"\x28\xb5\x2f\xfd",
            b"{",
            b"[",
            b'{"0":',
            b"query\n",
        ]
    ),
)
@SETTINGS
def test_junk_is_one_error_or_rows(tmp_path: Path, data: bytes, form: str, start: bytes) -> None:
    (tmp_path / f"x.{form}").write_bytes(start + data)
    with suppress(VlsbenchError):
        assert all(pair.query for pair in load(tmp_path / f"x.{form}"))


def test_every_row_bad_lists_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"query": ""}\n{"query": 7}\n', "utf-8")
    for skip in (False, True):
        with pytest.raises(BadRows, match=r"2 unusable rows \(no usable row\)") as error:
            load(tmp_path / "x.jsonl", skip_bad=skip)
        assert [row.reason for row in error.value.rows] == [
            "'query' is empty",
            "'query' is int, not text",
        ]


def test_an_id_with_half_a_surrogate_pair_is_a_bad_row_and_a_text_is_not(tmp_path: Path) -> None:
    rows = [{"id": "a\ud83d", "query": "Toast?"}, {"id": "b", "query": "Jam \ud83d?"}]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    with pytest.raises(BadRows, match=r"a\?: its id holds half a surrogate pair.*give it another"):
        load(tmp_path / "x.json")
    left = load(tmp_path / "x.json", skip_bad=True)
    assert [(pair.id, pair.query) for pair in left] == [("b", "Jam \ud83d?")]


# Folders.


def folder_of(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture() if name.endswith("png") else FILES[Path(name).name])
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("my.json", "k.png", "t.png"),
        ("train/my.jsonl", "train/k.png", "train/t.png"),
        ("test/my.csv", "test/k.png", "test/t.png"),
        ("data/my.json", "k.png", "t.png"),
        ("data/my.json", "data/k.png", "data/t.png"),
        ("my.jsonl.gz", "k.png", "t.png"),
    ],
)
def test_a_folder_is_looked_into(tmp_path: Path, names: tuple[str, ...]) -> None:
    opened = load(folder_of(tmp_path / "repo", *names))
    assert facts(opened) == EXPECTED
    assert image_faults(opened) == []


def test_two_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"name one folder.*test, .*train"):
        load(folder_of(tmp_path / "repo", "train/my.jsonl", "test/my.jsonl"))


@pytest.mark.parametrize("images", ["imgs", "data/imgs"])
def test_a_clone_of_the_authors_repository(tmp_path: Path, images: str) -> None:
    row = {"instruction_id": 0, "instruction": "Hot?", "image_path": "imgs/0.png", "category": "c"}
    (tmp_path / images).mkdir(parents=True)
    (tmp_path / images / "0.png").write_bytes(picture())
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data/data.json").write_text(json.dumps([row]), "utf-8")
    (pair,) = opened = load("vlsbench", data=tmp_path)
    assert (pair.id, pair.query) == ("0", "Hot?")
    assert image_faults(opened) == []


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
def test_accents_are_found_however_they_are_written(
    tmp_path: Path, on_disk: str, in_file: str
) -> None:
    name = "Töster é.png"
    (tmp_path / unicodedata.normalize(on_disk, name)).write_bytes(picture())  # type: ignore[arg-type]
    row = {"query": "q", "image": unicodedata.normalize(in_file, name)}  # type: ignore[arg-type]
    (tmp_path / "x.jsonl").write_text(json.dumps(row), "utf-8")
    (pair,) = opened = load(tmp_path / "x.jsonl")
    assert image_faults(opened) == []
    assert pair.images[0].read().data == picture()


# Parquet and Arrow.

STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
RED = picture("red")
IMAGES: dict[str, pa.Array] = {
    "struct": pa.array([{"bytes": RED, "path": None}, None], STRUCT),
    "path only": pa.array([{"bytes": None, "path": "k.png"}, None], STRUCT),
    "both": pa.array([{"bytes": RED, "path": "x.png"}, {"bytes": None, "path": None}], STRUCT),
    "bytes alone": pa.array([{"bytes": RED}, None], pa.struct({"bytes": pa.binary()})),
    "binary": pa.array([RED, None]),
    "large": pa.array([RED, None], pa.large_binary()),
    "view": pa.array([RED, None], pa.binary_view()),
    "dictionary": pa.array([RED, None]).dictionary_encode(),
    "fixed size": pa.array([RED, None], pa.binary(len(RED))),
    "list": pa.array([[{"bytes": RED, "path": None}], []], pa.list_(STRUCT)),
    "null list": pa.array([[{"bytes": RED, "path": None}], None], pa.list_(STRUCT)),
    "list of paths": pa.array([[{"bytes": None, "path": "k.png"}], []], pa.list_(STRUCT)),
    "large list": pa.array([[{"bytes": RED, "path": None}], []], pa.large_list(STRUCT)),
    "fixed list": pa.array([[{"bytes": RED, "path": None}], None], pa.list_(STRUCT, 1)),
    "struct of views": pa.array(
        [{"bytes": RED, "path": None}, None],
        pa.struct({"bytes": pa.binary_view(), "path": pa.string_view()}),
    ),
}


def write_arrow(table: pa.Table, path: Path) -> None:
    path.mkdir()
    (path / "state.json").write_text("{}")
    file = pa.OSFile(str(path / "data-00000-of-00001.arrow"), "wb")
    with file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "parquet": lambda table, path: pq.write_table(table, path),
    "groups": lambda table, path: pq.write_table(table, path, row_group_size=1),
    "no statistics": lambda table, path: pq.write_table(table, path, write_statistics=False),
    "arrow": write_arrow,
}


NOT_BY_PYARROW = {("groups", "struct of views")}
WRITTEN = [pair for pair in product(WRITERS, IMAGES) if pair not in NOT_BY_PYARROW]


@pytest.mark.parametrize(("form", "kind"), WRITTEN)
def test_images_of_every_type_and_rows_without_one(tmp_path: Path, kind: str, form: str) -> None:
    (tmp_path / "k.png").write_bytes(RED)
    table = pa.table({"query": pa.array(["a", "b"], pa.string_view()), "image": IMAGES[kind]})
    path = tmp_path / ("disk" if form == "arrow" else "x.parquet")
    WRITERS[form](table, path)
    if form == "arrow" and "path" in kind:
        (path / "k.png").write_bytes(RED)
    opened = load(path)
    assert [[image.read().data for image in pair.images] for pair in opened] == [[RED], []]
    assert image_faults(opened) == []


@pytest.mark.parametrize("where", ["parquet", "disk", "splits"])
def test_what_datasets_writes_is_read(tmp_path: Path, where: str) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "k.png").write_bytes(RED)
    columns = {"query": ["a", "b"], "image": [str(tmp_path / "k.png"), None]}
    made = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    if where == "parquet":
        made.to_parquet(tmp_path / "set.parquet")
        path = tmp_path / "set.parquet"
    else:
        path = tmp_path / "set"
        (made if where == "disk" else datasets.DatasetDict(train=made)).save_to_disk(path)
    opened = load(path)
    assert [[image.read().data for image in pair.images] for pair in opened] == [[RED], []]


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": [1.0, 2.0, 3.0], "query": ["a", "b", "c"], "harmful": [1.0, 0.0, None]}
    )
    frame["category"] = frame["query"].astype("category")
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
    for name in ("x.parquet", "x.jsonl"):
        pairs: list[Pair] = list(load(tmp_path / name))
        assert [(p.id, p.harmful, p.category) for p in pairs] == [
            ("1", True, "a"),
            ("2", False, "b"),
            ("3", True, "c"),
        ]
