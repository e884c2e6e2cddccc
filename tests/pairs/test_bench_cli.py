"""`vlsbench bench`, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vlsbench.pairs import list_sources

from .conftest import picture

SOURCES = list_sources()
Done = subprocess.CompletedProcess[str]


def bench(*arguments: str | Path, **environment: str) -> Done:
    return subprocess.run(
        [sys.executable, "-c", "from vlsbench.cli import main; main()", "bench", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        timeout=120,
    )


@pytest.mark.long
def test_list_names_every_source() -> None:
    done = bench("list")
    assert done.returncode == 0
    for source in SOURCES.values():
        assert source.name in done.stdout
        assert source.paper in done.stdout
        assert source.licence in done.stdout
    declared = json.loads(bench("list", "--json").stdout)
    home = SOURCES["vlsbench"].home
    assert home is not None
    assert sorted(source["name"] for source in declared) == sorted(SOURCES)
    assert declared[0]["home"]["revision"] == home.revision


@pytest.mark.long
@pytest.mark.parametrize("command", ["list", "show", "fetch"])
def test_every_help_has_examples(command: str) -> None:
    done = bench(command, "--help")
    assert f"vlsbench bench {command}" in done.stdout.partition("Examples")[2]


@pytest.mark.long
def test_show_counts_and_names_oddities(shared: Callable[[str], Path]) -> None:
    done = bench("show", "vlsbench", "--data", shared("vlsbench"))
    assert done.returncode == 0
    assert "2,241 pairs (2,241 harmful, 0 benign), 1,957 distinct images" in done.stdout
    assert "oddity: empty queries (1)" in done.stdout
    shown = json.loads(bench("show", "vlsbench", "--data", shared("vlsbench"), "--json").stdout)
    assert shown["pairs"] == 2241
    assert shown["categories"]["Privacy"]["Unauthorized Data Collection"] == 69
    assert shown["source"]["licence"] == "Apache-2.0"


def test_show_counts_what_is_odd(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    rows = [
        {"ask": "May I?", "image": "a.png", "category": "k", "subcategory": "x"},
        {"ask": "May I?", "image": "a.png", "category": "l", "subcategory": "x"},
        {"ask": "And now?", "image": "b.png", "harmful": False},
        {"ask": "No picture"},
        {"ask": ""},
    ]
    path = tmp_path / "set.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    done = bench("show", path, "--columns", "query=ask", "--json")
    shown = json.loads(done.stdout)
    assert shown["source"] is None
    assert (shown["pairs"], shown["harmful"], shown["benign"]) == (4, 3, 1)
    assert (shown["images"], shown["images_missing"]) == (2, 1)
    assert shown["categories"] == {"": {"": 2}, "k": {"x": 1}, "l": {"x": 1}}
    assert {oddity["what"]: oddity["examples"] for oddity in shown["oddities"]} == {
        "pairs that repeat an earlier one (same query, same images)": ["2"],
        "images missing or broken": ["b.png"],
    }
    assert shown["bad"] == [{"file": "set.jsonl", "row": "5", "reason": "'ask' is empty"}]
    plain = bench("show", path, "--columns", "query=ask").stdout
    assert "unreadable: set.jsonl, row 5: 'ask' is empty" in plain


def test_what_is_declared_is_shown_without_a_file(tmp_path: Path) -> None:
    done = bench("show", "harmbench:text", VLSBENCH_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "not fetched; run `vlsbench bench fetch harmbench`" in done.stderr
    source = SOURCES["harmbench"]
    shown = " ".join(done.stdout.split())
    for told in (source.title, source.licence, source.probes, "higher is better", source.layout):
        assert told in shown
    for name, about in source.variants.items():  # `:copyright:` is no emoji
        assert f"harmbench:{name}: {about}" in shown


def test_markup_in_a_set_is_text(tmp_path: Path) -> None:
    row = {"query": "May I?", "category": "[red]k[/red]", "subcategory": "[/]", "id": "[bold]"}
    lines = [row, row | {"id": ":fire:"}]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = bench("show", tmp_path / "set.jsonl")
    assert done.returncode == 0, done.stderr
    assert "[red]k[/red]" in done.stdout
    assert "[/]" in done.stdout
    assert "same images) (1): :fire:" in done.stdout


@pytest.mark.long
def test_errors_are_one_line(tmp_path: Path) -> None:
    for arguments in (
        ("show", "vlsbnch"),
        ("show", "siuo", "--data", tmp_path),
        ("show", tmp_path / "none.csv"),
        ("show", "siuo", "--columns", "colour=x"),
        ("fetch", "vlsbnch"),
    ):
        done = bench(*arguments, VLSBENCH_HOME=str(tmp_path))
        assert done.returncode == 1
        assert done.stdout == ""
        (line,) = done.stderr.strip().splitlines()
        assert line.startswith("error: ")


def test_the_taxonomy_of_any_set_is_drawn_where_it_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"query": "May it bathe?", "category": "$x_{<b>", "subcategory": "</svg>"}]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = bench("show", file, "--figures", tmp_path / "drawn")
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "drawn" / "taxonomy.svg").read_text("utf-8")
    assert "$x_{&lt;b&gt;" in drawn
    assert "1 distinct image" in drawn or "0 distinct images" in drawn
    assert {path.suffix for path in (tmp_path / "drawn").iterdir()} == {".png", ".svg", ".pdf"}
