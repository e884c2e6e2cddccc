"""What a comparison is written as: page, CSV, JSON, figure; and the command."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import vlsbench
from vlsbench.comparing import Compared, write_compared

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=x>\"'&%$#_{}~^\\[*\n=1+1"
SVG = "{http://www.w3.org/2000/svg}"
FILES = {"compare.html", "compare.json", "table.csv", "differences.csv"}
FIGURE = {"figure.png", "figure.svg", "figure.pdf"}


class Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += data


@pytest.fixture(scope="module")
def compared(runs: Path) -> Compared:
    folders = [
        runs / f"{bench}-{model}"
        for bench in ("leaky", "leakless", "benign")
        for model in ("helpful", "careful")
    ]
    return vlsbench.compare(folders, published="llava-v1.5-7b")


@pytest.fixture(scope="module")
def folder(compared: Compared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared")
    write_compared(compared, out)
    return out


def _hostile(compared: Compared) -> Compared:
    """Put markup into every name that a run or a file could bring."""
    rows = tuple(dataclasses.replace(row, name=HOSTILE) for row in compared.rows)
    columns = tuple(dataclasses.replace(c, title=HOSTILE) for c in compared.columns)
    differences = tuple(
        dataclasses.replace(d, row=HOSTILE, column=HOSTILE, part=HOSTILE)
        for d in compared.differences
    )
    return dataclasses.replace(
        compared,
        rows=rows,
        columns=columns,
        differences=differences,
        baseline=HOSTILE,
        notes=(HOSTILE,),
    )


def test_the_page_shows_figures_differences_and_what_is_simulated(folder: Path) -> None:
    page = Page(folder / "compare.html")
    assert "baseline lab/helpful" in page.text
    assert "Simulated:" in page.text
    assert "100.0†" in page.text.replace("\n", "")
    assert "+100.0 [" in page.text
    assert "corrected for the 3 tests of this table" in page.text
    assert "published" in page.text
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_bars_stand_by_benchmark_and_kind(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    two = [runs / f"leaky-{model}" for model in ("helpful", "careful")]
    vlsbench.compare([*two, runs / "benign-careful", runs / "leakless-helpful"], out=tmp_path)
    texts = _texts(tmp_path / "figure.svg")
    assert {"lab/helpful †", "lab/careful †", "lab/leaky?n=24", "(safety)"} <= set(texts)
    assert (texts.count("100.0"), texts.count("0.0")) == (1, 3)
    vlsbench.compare(two, out=tmp_path)
    assert not any("over-refusal" in text for text in _texts(tmp_path / "figure.svg"))


@pytest.mark.browser
def test_a_browser_shows_the_table_and_fetches_nothing(browser: Chrome, folder: Path) -> None:
    browser.get((folder / "compare.html").as_uri())
    table = browser.find_element(By.CSS_SELECTOR, "table")
    assert table.is_displayed()
    for words in ("lab/helpful", "lab/careful", "100.0"):
        assert words in table.text
    images = browser.find_elements(By.TAG_NAME, "img")
    assert all(browser.execute_script("return arguments[0].naturalWidth", i) for i in images)
    # A phone: the page itself does not scroll sideways.
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_a_browser_runs_no_name(compared: Compared, browser: Chrome, tmp_path: Path) -> None:
    rows = [*_hostile(compared).rows, dataclasses.replace(compared.rows[0], name="crumb" * 60)]
    write_compared(dataclasses.replace(_hostile(compared), rows=tuple(rows)), tmp_path)
    browser.get((tmp_path / "compare.html").as_uri())
    # An alert would make every further command fail.
    body = browser.find_element(By.TAG_NAME, "body").text
    assert "<script>alert(1)</script>" in body
    assert browser.find_elements(By.CSS_SELECTOR, "script, img[onerror]") == []
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    assert browser.get_log("browser") == []


def test_figures_open_the_reports_of_their_runs(folder: Path) -> None:
    links = {attrs["href"] for tag, attrs in Page(folder / "compare.html").tags if tag == "a"}
    assert len(links) == 6
    assert all((folder / str(link)).resolve().is_file() for link in links)


def test_hostile_names_stay_text_everywhere(compared: Compared, tmp_path: Path) -> None:
    write_compared(_hostile(compared), tmp_path)
    page = Page(tmp_path / "compare.html")
    assert "script" not in {tag for tag, _ in page.tags}
    images = [attrs.get("src") or "" for tag, attrs in page.tags if tag == "img"]
    assert all(source.startswith("data:image/svg+xml;base64,") for source in images)
    assert page.text.count("<script>alert(1)</script>") > 10

    for name in ("table.csv", "differences.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        assert len({len(row) for row in rows}) == 1
    assert json.loads((tmp_path / "compare.json").read_text("utf-8"))["baseline"] == HOSTILE


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@sum"])
def test_no_text_is_a_formula_in_a_spreadsheet(
    compared: Compared, tmp_path: Path, text: str
) -> None:
    rows = (dataclasses.replace(compared.rows[0], name=text),)
    write_compared(dataclasses.replace(compared, rows=rows), tmp_path)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        names = {row["row"] for row in csv.DictReader(file)}
    assert names == {f"'{text}"}


def test_json_and_csv_hold_the_same_figures(folder: Path, compared: Compared) -> None:
    read = json.loads((folder / "compare.json").read_text("utf-8"))
    assert read["schema"] == "vlsbench.compare/1"
    assert read["simulated"] is True
    with (folder / "differences.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["p"]) for line in lines] == [one["p"] for one in read["differences"]]
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == sum(len(row.cells) for row in compared.rows)
    assert {cell["simulated"] for cell in cells if cell["published"] == "False"} == {"True"}


def _texts(figure: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ET.parse(figure).iter(f"{SVG}text")]


def test_the_figure_has_a_bar_for_every_rate(folder: Path, compared: Compared) -> None:
    pytest.importorskip("matplotlib")
    texts = _texts(folder / "figure.svg")
    own = [row for row in compared.rows if not row.published]
    for row in own:
        assert f"{row.name} †" in texts
    assert texts.count("100.0") == sum(
        cell.score == 100 for row in own for cell in row.cells.values()
    )
    assert any(text.startswith("† simulated") for text in texts)
    assert {"percent of pairs", "lab/leakless?n=24", "(safety)"} <= set(texts)
    assert (folder / "figure.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_hostile_names_stay_text_in_the_figure(compared: Compared, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_compared(_hostile(compared), tmp_path)
    tree = ET.parse(tmp_path / "figure.svg")
    assert not {f"{SVG}script", f"{SVG}img"} & {element.tag for element in tree.iter()}
    assert any("<script>alert(1)" in text for text in _texts(tmp_path / "figure.svg"))


def test_equal_comparisons_have_equal_figures(folder: Path, compared: Compared) -> None:
    pytest.importorskip("matplotlib")
    before = [(folder / name).read_bytes() for name in sorted(FIGURE)]
    write_compared(compared, folder)
    assert [(folder / name).read_bytes() for name in sorted(FIGURE)] == before


def test_only_benchmarks_of_ones_own_runs_are_drawn(compared: Compared, tmp_path: Path) -> None:
    rows = tuple(row for row in compared.rows if row.published)
    files = write_compared(dataclasses.replace(compared, rows=rows, differences=()), tmp_path)
    assert {file.name for file in files} == FILES


def _command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "vlsbench", "compare", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
    )


def test_the_command_prints_tables_and_writes_files(runs: Path, tmp_path: Path) -> None:
    folders = [str(runs / name) for name in ("leakless-helpful", "leakless-careful")]
    done = _command(*folders, "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lab/helpful (baseline)" in done.stdout
    assert "+100.0 [" in done.stdout
    assert "† simulated" in done.stdout
    assert "Next: open" in done.stdout
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES | FIGURE


def test_the_command_speaks_json_and_fails_in_one_line(runs: Path, tmp_path: Path) -> None:
    done = _command(str(runs / "leaky-blind"), "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["rows"][0]["name"] == "lab/blind"
    done = _command("nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nowhere: no such run" in done.stderr
