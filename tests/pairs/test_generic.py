"""A user's own set: what is written in any of its forms is what is asked."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs import Pair, PairSet, image_faults, load, parse_columns

from .conftest import picture

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: t.strip())
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROW = st.fixed_dictionaries(
    {"query": TEXT, "category": ANY_TEXT, "description": ANY_TEXT, "note": ANY_TEXT}
)
SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


WRITERS = {".jsonl": write_jsonl, ".csv": write_csv, ".parquet": write_parquet}


@pytest.mark.parametrize("form", WRITERS)
@given(rows=st.lists(ROW, min_size=1, max_size=6))
@SETTINGS
def test_any_text_comes_back_the_same(
    form: str, rows: list[dict[str, str]], tmp_path: Path
) -> None:
    path = tmp_path / f"set{form}"
    WRITERS[form](path, rows)
    pairs = list(load(path))
    assert [
        {"query": p.query, "category": p.category, "description": p.description, **p.meta}
        for p in pairs
    ] == rows
    assert [p.id for p in pairs] == [str(number) for number in range(1, len(rows) + 1)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["id", "query", "image", "images", "harmful", "category", "reason", "other"]
LINE = st.one_of(
    st.binary(),
    st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda row: json.dumps(row).encode()),
)


@given(lines=st.lists(LINE, min_size=1, max_size=5))
@SETTINGS
def test_junk_lines_become_bad_rows_and_never_a_crash(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "junk.jsonl"
    path.write_bytes(b'{"id": "first", "query": "May I toast?"}\n' + b"\n".join(lines))
    opened = load(path, skip_bad=True)
    pairs = list(opened)
    assert pairs[0].id == "first"
    assert len(pairs) == len(opened)
    written = sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
    assert len(pairs) + len(opened.bad) == written
    for pair in pairs:
        assert pair.query.strip()
        json.dumps(dict(pair.meta), allow_nan=False).encode()
        for image in pair.images:
            assert ".." not in Path(image.ref).parts


@given(junk=st.binary(max_size=200))
@SETTINGS
def test_a_junk_csv_body_never_crashes(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.csv"
    path.write_bytes(b"id,query\nfirst,May I toast?\n" + junk)
    opened = load(path, skip_bad=True)
    assert next(iter(opened)) == Pair("first", "May I toast?")
    assert all(isinstance(row, BadRow) for row in opened.bad)


@given(junk=st.binary(max_size=200))
@SETTINGS
def test_a_junk_file_is_one_clear_error(junk: bytes, tmp_path: Path) -> None:
    for form in (".csv", ".parquet"):
        path = tmp_path / f"junk{form}"
        path.write_bytes(junk)
        with pytest.raises(VlsbenchError, match="junk"):
            load(path)


def test_all_fields_and_their_other_names(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "set.jsonl",
        [
            {
                "id": 3,
                "prompt": "May I put this in?",
                "image_path": "imgs/a.png",
                "category": 2,
                "sub_category": "water",
                "harmful": "benign",
                "image_description": "a toaster",
                "safety_reason": "current",
                "source": "drawn",
                "width": 8,
            }
        ],
    )
    (pair,) = load(tmp_path / "set.jsonl")
    assert [image.ref for image in pair.images] == ["imgs/a.png"]
    assert (pair.id, pair.query, pair.category, pair.subcategory) == (
        "3",
        "May I put this in?",
        "2",
        "water",
    )
    assert (pair.description, pair.reason, pair.source) == ("a toaster", "current", "drawn")
    assert pair.harmful is False
    assert pair.meta == {"width": 8}


def test_the_column_map_overrides_the_names(tmp_path: Path) -> None:
    write_csv(tmp_path / "set.csv", [{"query": "not this", "ask": "this", "photo": "a.png"}])
    (pair,) = load(tmp_path / "set.csv", columns=parse_columns("query=ask, image=photo"))
    assert pair.query == "this"
    assert pair.images[0].ref == "a.png"
    assert pair.meta == {"query": "not this"}


@pytest.mark.parametrize("form", [".jsonl", ".csv"])
def test_no_query_column_names_what_was_looked_for(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"set{form}"
    WRITERS[form](path, [{"ask": "May I?"}])
    with pytest.raises(VlsbenchError, match="no column query or question or prompt"):
        load(path)
    with pytest.raises(VlsbenchError, match="no column photo; name it with --columns query="):
        load(path, columns={"query": "photo"})


@pytest.mark.parametrize("text", ["query", "query=", "colour=red", "=prompt"])
def test_a_wrong_column_map_is_refused(text: str) -> None:
    with pytest.raises(VlsbenchError, match="column"):
        parse_columns(text)


@pytest.mark.parametrize("form", WRITERS)
def test_a_named_column_must_be_there(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"set{form}"
    WRITERS[form](path, [{"query": "May I?", "image": "a.png"}])
    with pytest.raises(BadRows, match="no column photo for image, as --columns has it"):
        load(path, columns={"image": "photo"})


def test_columns_are_not_for_public_sets(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="has its own layout"):
        load("siuo", data=tmp_path, columns={"query": "question"})


@pytest.mark.parametrize(
    "path",
    [
        "../a.png",
        "imgs/../../a.png",
        "/etc/hosts",
        "~/a.png",
        "C:\\a.png",
        "..\\a.png",
        "\\\\server\\a.png",
        "https://example.org/a.png",
        "data:image/png;base64,AAAA",
        "a\0.png",
        "",
        " ",
        ".",
        7,
        [],
        ["a.png", None],
        {"bytes": "x"},
    ],
)
def test_an_image_path_that_is_none_is_a_bad_row(tmp_path: Path, path: object) -> None:
    write_jsonl(tmp_path / "set.jsonl", [{"query": "May I?", "image": path}])
    with pytest.raises(BadRows) as error:
        load(tmp_path / "set.jsonl")
    assert "image" in error.value.rows[0].reason


def test_paths_are_relative_to_the_set_and_read_from_there(tmp_path: Path) -> None:
    folder = tmp_path / "kitchen"
    (folder / "imgs").mkdir(parents=True)
    (folder / "imgs" / "ein Töster (1).png").write_bytes(picture())
    rows = [{"text": "May I?", "file_name": "./imgs//ein Töster (1).png"}]
    write_jsonl(folder / "metadata.jsonl", rows)
    opened = load(folder)
    assert opened.name == "kitchen"
    (pair,) = opened
    assert pair.images[0].ref == "imgs/ein Töster (1).png"
    assert pair.images[0].read().data == picture()


@pytest.mark.parametrize("form", [".csv", ".parquet"])
def test_imagefolder_metadata_in_other_forms(tmp_path: Path, form: str) -> None:
    WRITERS[form](tmp_path / f"metadata{form}", [{"text": "May I?", "file_name": "a.png"}])
    assert [fault.file for fault in image_faults(load(tmp_path))] == ["a.png"]


@pytest.mark.parametrize("form", WRITERS)
def test_several_images_keep_their_order(tmp_path: Path, form: str) -> None:
    names = ["b.png", "a.png", "c.png"]
    cell = json.dumps(names) if form == ".csv" else names
    WRITERS[form](tmp_path / f"set{form}", [{"query": "Which?", "images": cell}])
    (pair,) = load(tmp_path / f"set{form}")
    assert [image.ref for image in pair.images] == names


def test_embedded_images_of_every_kind(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue")
    columns: dict[str, list[Any]] = {
        "image": [{"bytes": red, "path": None}, {"bytes": blue, "path": "b.png"}],
        "file_name": [red, blue],
        "images": [[{"bytes": red, "path": None}] * 2, [{"bytes": blue, "path": "x"}]],
    }
    for name, column in columns.items():
        rows = [{"query": f"q{at}", name: cell} for at, cell in enumerate(column)]
        write_parquet(tmp_path / f"{name}.parquet", rows)
        pairs = list(load(tmp_path / f"{name}.parquet"))
        assert [[i.read().data for i in p.images] for p in pairs] == (
            [[red, red], [blue]] if name == "images" else [[red], [blue]]
        )
        refs = [image.ref for pair in pairs for image in pair.images]
        assert len(set(refs)) == len(refs)


def test_a_null_embedded_image_is_none_or_a_fault(tmp_path: Path) -> None:
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table(
        {
            "query": ["a", "b", "c"],
            "image": pa.array([None, {"bytes": None, "path": "x"}, {"bytes": b"no"}], image),
        }
    )
    pq.write_table(table, tmp_path / "set.parquet")
    opened = load(tmp_path / "set.parquet", skip_bad=True)
    assert opened.bad == ()
    assert [len(pair.images) for pair in opened] == [0, 1, 1]
    assert [fault.row for fault in image_faults(opened)] == ["2", "3"]


def test_parquet_values_that_are_no_json_become_text(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 2)
    write_parquet(tmp_path / "s.parquet", [{"query": "q", "day": day, "x": float("nan"), "l": [1]}])
    (pair,) = load(tmp_path / "s.parquet")
    assert pair.meta == {"day": "2026-01-02", "x": None, "l": [1]}


def test_parquet_shards_are_one_set(tmp_path: Path) -> None:
    for shard in range(2):
        write_parquet(tmp_path / f"part-{shard}.parquet", [{"query": f"q{shard}"}])
    assert [(p.id, p.query) for p in load(tmp_path)] == [("part-0/1", "q0"), ("part-1/1", "q1")]


def test_every_bad_line_is_listed_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_bytes(
        b'\xef\xbb\xbf{"query": "good"}\r\n\n{"query": \n[1]\n{"query": "\xff"}\n{"query": " "}\n'
        b'{"query": "\\ud800"}\n{"query": "ok", "harmful": "perhaps"}\n{"query": NaN}\n'
        + b"[" * 100_000
        + b'\n{"query": "last", "harmful": 0}'
    )
    with pytest.raises(BadRows) as error:
        load(tmp_path / "set.jsonl")
    assert [row.row for row in error.value.rows] == ["3", "4", "5", "6", "7", "8", "9", "10"]
    opened = load(tmp_path / "set.jsonl", skip_bad=True)
    assert [(p.id, p.query, p.harmful) for p in opened] == [
        ("1", "good", True),
        ("11", "last", False),
    ]


def test_ids_that_occur_twice_are_bad_and_the_first_is_kept(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "s.jsonl", [{"id": "a", "query": q} for q in ("first", "second")])
    with pytest.raises(BadRows, match="id occurs twice"):
        load(tmp_path / "s.jsonl")
    assert [p.query for p in load(tmp_path / "s.jsonl", skip_bad=True)] == ["first"]


def test_paths_that_are_no_set(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"nowhere\.jsonl: no such file"):
        load(tmp_path / "nowhere.jsonl")
    with pytest.raises(VlsbenchError, match=r"holds no metadata\.jsonl"):
        load(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(VlsbenchError, match=r"not one of \.jsonl, \.csv, \.parquet"):
        load(tmp_path / "a.txt")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(VlsbenchError, match="no usable row"):
        load(tmp_path / "empty.jsonl")
    (tmp_path / "b.csv").write_text("query\nMay I?\n")
    with pytest.raises(VlsbenchError, match="several sets"):
        load(tmp_path)
    with pytest.raises(VlsbenchError, match="--data goes with the name"):
        load(tmp_path / "b.csv", data=tmp_path)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("form", WRITERS)
def test_a_large_set_is_opened_without_being_held(tmp_path: Path, form: str) -> None:
    rows = [
        {"query": f"May I put toaster {n} into the bath? " * 4, "image": f"imgs/{n}.png", "n": n}
        for n in range(100_000)
    ]
    path = tmp_path / f"large{form}"
    if form == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        WRITERS[form](path, rows)
    # Not ru_maxrss: a child inherits that of the process that forked it.
    program = (
        "import re, sys; from pathlib import Path; from vlsbench.pairs import load; "
        "print(len(load(sys.argv[1])), "
        "re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    count, kilobytes = done.stdout.split()
    assert count == "100000"
    assert int(kilobytes) < 200 * 1024


def test_a_release_is_read_from_its_parquet_and_clustered_by_content(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue")
    digests = [f"{hashlib.sha256(data).hexdigest()}.png" for data in (red, red, blue)]
    rows = [
        {"id": str(number), "query": "May I?", "image": {"bytes": data, "path": name}}
        for number, (data, name) in enumerate(zip((red, red, blue), digests, strict=True))
    ]
    (tmp_path / "data").mkdir()
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows)
    (tmp_path / "provenance.jsonl").write_text('{"id": "0"}\n')
    with pytest.raises(VlsbenchError, match="several sets"):
        load(tmp_path)
    (tmp_path / "release.json").write_text("{}")
    pairs = list(load(tmp_path))
    assert [pair.cluster for pair in pairs] == digests
    assert [pair.images[0].read().data for pair in pairs] == [red, red, blue]


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", 1), ("query", None), ("images", ["a.png"]), ("images", None), ("harmful", "yes")],
)
def test_a_pair_of_ones_own_with_a_wrong_field_is_a_bad_row(field: str, value: object) -> None:
    fields: dict[str, Any] = {"id": "1", "query": "Is it hot?", field: value}
    with pytest.raises(BadRows, match=f"custom, row 1: {field} (is|are) .*, not "):
        load([Pair(**fields)])
    good = Pair(id="2", query="Is it hot?")
    kept = load(PairSet("own", lambda: [Pair(**fields), good], skip_bad=True))
    assert [pair.id for pair in kept] == ["2"]
