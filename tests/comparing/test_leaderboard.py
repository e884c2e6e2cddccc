"""Models ranked by real runs: places, ties, what may not be ranked together, and the files."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

import vlsbench
from tests.calibrating.runs import truths, write
from tests.grouped import grouped
from vlsbench.calibrating import CalibratedRun, take_labels
from vlsbench.comparing import RankedBy, Ranking, rank, write_ranking
from vlsbench.errors import VlsbenchError

N = 60
MODELS = ("helpful", "blind", "shortsighted", "careful")
HOSTILE = "<script>window.pwned = true</script><img src=x onerror='window.pwned = true'>$x_{"


def _evaluate(root: Path, model: str, name: str = "", **options: Any) -> Path:
    judge, bench = options.pop("judge", "lab"), options.pop("bench", f"lab/leakless?n={N}")
    both = vlsbench.load(bench, controls=["lab/benign?n=20"])
    flat = grouped(out=root / (name or model), progress=False, gallery=0, **options)
    return vlsbench.evaluate(both, model=f"lab/{model}", judge=judge, **flat).folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {model: _evaluate(root, model) for model in MODELS}


@pytest.fixture(scope="module")
def ranking(made: dict[str, Path]) -> Ranking:
    return rank(made.values())


def test_the_better_model_stands_first_and_tied_ones_share_a_place(ranking: Ranking) -> None:
    assert [(row.place, row.name) for row in ranking.rows] == [
        (1, "lab/careful"),
        (2, "lab/shortsighted"),
        (3, "lab/blind"),
        (3, "lab/helpful"),
    ]
    assert ranking.ranked_by is RankedBy.NET
    assert ranking.rows[2].tied == ("lab/helpful",)
    assert not ranking.rows[0].tied


def test_a_folder_of_runs_is_ranked_as_its_runs_are(
    made: dict[str, Path], ranking: Ranking, runs: Path
) -> None:
    found = rank([made["blind"].parent])
    assert [(row.place, row.name) for row in found.rows] == [
        (row.place, row.name) for row in ranking.rows
    ]
    both = vlsbench.compare([runs])
    assert len(both.rows) > len(MODELS)


def test_few_pairs_cannot_tell_models_apart_and_all_share_the_first_place(tmp_path: Path) -> None:
    names = ("blind", "careful")
    runs = [_evaluate(tmp_path, model, limit=3) for model in names]
    few = rank(runs)
    assert [row.place for row in few.rows] == [1, 1]
    assert few.rows[0].figures[RankedBy.SAFETY].value > few.rows[1].figures[RankedBy.SAFETY].value


def test_every_difference_that_forbids_a_ranking_is_said_on_a_line_of_its_own(
    made: dict[str, Path], tmp_path: Path
) -> None:
    others = {
        "another judge": _evaluate(tmp_path, "careful", "judge", judge="offline"),
        "another view": _evaluate(tmp_path, "careful", "view", view="text"),
        "another system prompt": _evaluate(tmp_path, "careful", "system", system="Be careful."),
        "another pair set": _evaluate(tmp_path, "careful", "pairs", bench="lab/leaky?n=20"),
    }
    with pytest.raises(VlsbenchError) as refused:
        rank([made["helpful"], *others.values()])
    lines = str(refused.value).splitlines()[1:]
    for what, folder in others.items():
        assert any(line.startswith(f"  {folder}: {what}") for line in lines)
    fewer = vlsbench.load(f"lab/leakless?n={N}", controls=["lab/benign?n=12"])
    flat = grouped(out=tmp_path / "controls", progress=False, gallery=0)
    vlsbench.evaluate(fewer, model="lab/careful", judge="lab", **flat)
    said = r"--controls 'lab/benign\?n=12' \(72 pairs.*, not .*--controls 'lab/benign\?n=20' \(80"
    with pytest.raises(VlsbenchError, match=said):
        rank([made["blind"], tmp_path / "controls"])
    with pytest.raises(VlsbenchError, match=r"another judge .*context: image, not both"):
        rank([made["blind"], _evaluate(tmp_path, "careful", "context", judge_context="image")])


def test_what_is_not_forbidden_but_differs_is_noted(made: dict[str, Path], tmp_path: Path) -> None:
    warm = _evaluate(tmp_path, "careful", temperature=1.0)
    assert any("sampling parameters" in note for note in rank([made["blind"], warm]).notes)


def test_a_rubric_that_all_runs_share_is_named(tmp_path: Path) -> None:
    runs = [_evaluate(tmp_path, model, rubric="harm-grade") for model in ("blind", "careful")]
    said = "Rubric harm-grade"
    assert rank(runs).notes[0].startswith(said)
    assert any(note.startswith(said) for note in vlsbench.compare(runs).notes)
    ours = _evaluate(tmp_path, "careful", "ours")
    which = "lab/careful · careful on lab/leakless?n=60: Rubric"
    assert any(note.startswith(which) for note in vlsbench.compare([runs[1], ours]).notes)
    other = _evaluate(tmp_path, "blind", "leaky", bench="lab/leaky?n=4")
    done = vlsbench.report([runs[1], other], figures=False, out=tmp_path / "report")
    assert done.page.read_text("utf-8").count(said) == 1  # of the one run


def test_the_same_pairs_from_another_folder_are_ranked_and_noted(tmp_path: Path) -> None:
    rows = [{"id": f"p{n}", "query": "May the toaster bathe?"} for n in range(4)]
    runs = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "pairs.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        out = grouped(out=tmp_path / f"run-{place}", progress=False, gallery=0)
        model = "lab/blind" if place == "here" else "lab/helpful"
        runs.append(vlsbench.evaluate(file, model=model, judge="lab", view="text", **out))
    assert any("where the set lies" in note for note in rank(runs).notes)


def test_without_benign_pairs_the_safety_rate_decides_and_a_note_warns(runs: Path) -> None:
    found = rank([runs / "leakless-blind", runs / "leakless-careful"])
    assert found.ranked_by is RankedBy.SAFETY
    assert any("declines everything is first" in note for note in found.notes)


def test_corrected_rates_decide_only_where_all_runs_have_them(
    made: dict[str, Path], tmp_path: Path
) -> None:
    runs = [Path(shutil.copytree(made[name], tmp_path / name)) for name in ("blind", "careful")]
    for number, run in enumerate(runs):
        rows = [{"id": id, "label": label, "annotator": "ann"} for id, label in truths(run).items()]
        opened = CalibratedRun(run)
        take_labels(opened, [write(run / "all.csv", rows)])
        vlsbench.calibrate(opened)
        found = rank(runs)
        if number == 0:
            assert found.ranked_by is RankedBy.NET
            corrected = f"corrected by {N + 20} labels"
            said = [row.calibration for row in found.rows]
            assert said == ["uncalibrated judge", corrected]
    assert found.ranked_by is RankedBy.CORRECTED_NET
    assert [row.place for row in found.rows] == [1, 2]
    assert [row.calibration for row in found.rows] == [corrected] * 2


def test_an_unfinished_run_is_not_ranked(unfinished: Path) -> None:
    with pytest.raises(VlsbenchError, match="unfinished"):
        rank([unfinished])


def test_json_holds_the_rows(ranking: Ranking, tmp_path: Path) -> None:
    write_ranking(ranking, tmp_path)
    read = json.loads((tmp_path / "leaderboard.json").read_text("utf-8"))
    assert read["schema"] == "vlsbench.ranking/1"
    assert [row["place"] for row in read["rows"]] == [1, 2, 3, 3]


def _names(browser: Chrome) -> list[str]:
    rows: list[WebElement] = browser.find_elements(By.CSS_SELECTOR, "tbody tr:not([hidden])")
    return [row.find_element(By.CSS_SELECTOR, "th bdi").text for row in rows]


@pytest.mark.browser
def test_the_page_sorts_filters_and_takes_names_for_text(
    ranking: Ranking, tmp_path: Path, browser: Chrome
) -> None:
    last = dataclasses.replace(ranking.rows[-1], name=HOSTILE, simulated=False, calibration=HOSTILE)
    hostile = dataclasses.replace(ranking, rows=(*ranking.rows[:-1], last), bench=HOSTILE)
    page = write_ranking(hostile, tmp_path)[0]
    browser.get(page.as_uri())
    order = ["lab/careful †", "lab/shortsighted †", "lab/blind †", HOSTILE]
    assert _names(browser) == order
    assert browser.execute_script("return window.pwned") is None
    assert browser.get_log("browser") == []

    heads = browser.find_elements(By.CSS_SELECTOR, "thead th")
    lead = next(head for head in heads if head.text == "safety rate")
    button = lead.find_element(By.TAG_NAME, "button")
    button.click()
    assert (_names(browser)[0], lead.get_attribute("aria-sort")) == (order[0], "descending")
    button.click()
    assert (_names(browser)[-1], lead.get_attribute("aria-sort")) == (order[0], "ascending")

    browser.find_element(By.ID, "search").send_keys("tied blind")
    assert _names(browser) == ["lab/blind †", HOSTILE]
    assert browser.find_element(By.ID, "count").text == "2 of 4"


def test_the_page_opens_the_reports_of_the_runs(ranking: Ranking, tmp_path: Path) -> None:
    page = write_ranking(ranking, tmp_path)[0].read_text("utf-8")
    assert page.count("report.html") == len(MODELS)
    assert "uncalibrated judge" in page
    assert "Simulated" in page
