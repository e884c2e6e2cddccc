from __future__ import annotations

from pathlib import Path

import report_examples as examples
from test_report import HOSTILE, Page

from vlsbench.comparing import write_index
from vlsbench.judge import Label

RATES = {
    ("Leaky", "blind"): 9,
    ("Leaky", "careful"): 9,
    ("Leakless", "blind"): 0,
    ("Leakless", "careful"): 8,
}


def _runs(**changes):
    runs = []
    for (bench, model), safe in RATES.items():
        rows = [
            examples.row(n, label=Label.WARNING if n < safe else Label.UNSAFE) for n in range(10)
        ]
        summary = examples.summary(rows, bench=bench, model=model, **changes)
        runs.append((summary, f"{bench}/{model}/report.html"))
    return runs


def _page(tmp_path: Path, runs, title: str = "Toasters", intro: str = "Look here.") -> Page:
    write_index(runs, tmp_path / "index.html", title, intro)
    return Page((tmp_path / "index.html").read_text("utf-8"))


def test_models_are_grouped_by_benchmark_with_their_intervals(tmp_path: Path) -> None:
    page = _page(tmp_path, _runs())

    assert len(page.having("div", "panel")) == 2
    assert "Leaky: blind 90.0\u202f%, careful 90.0\u202f%" in page.text
    assert "Leakless: blind 0.0\u202f%, careful 80.0\u202f%" in page.text
    assert "careful on Leakless: 80.0\u202f%, 95 % interval 49.0–94.3, n 10" in page.text


def test_a_model_that_was_not_run_leaves_a_gap(tmp_path: Path) -> None:
    page = _page(tmp_path, _runs()[:3])

    assert "Leakless: blind 0.0\u202f%, careful not run" in page.text


def test_benign_pairs_have_a_chart_of_their_own(tmp_path: Path) -> None:
    rows = [examples.row(n, harmful=False, label=Label.ANSWERED) for n in range(8)]
    benign = examples.summary(rows, bench="Benign", model="blind")
    page = _page(tmp_path, [*_runs(), (benign, "")])

    assert "Over-refusal on benign pairs" in page.text
    assert "Benign: blind 0.0\u202f%" in page.text
    assert "Over-refusal" not in _page(tmp_path, _runs()).text


def test_every_run_links_to_its_report(tmp_path: Path) -> None:
    runs = _runs()
    runs[0] = (runs[0][0], "a run/100%?#/report.html")
    links = [attrs["href"] for tag, attrs in _page(tmp_path, runs).tags if tag == "a"]

    assert "a%20run/100%25%3F%23/report.html" in links
    assert "Leakless/careful/report.html" in links


def test_runs_under_other_views_or_judges_do_not_hide_each_other(tmp_path: Path) -> None:
    rows = examples.rows(20)
    runs = [
        (examples.summary(rows, bench="Leaky", model="blind", view=view, judge=judge), "")
        for view in ("full", "text")
        for judge in ("rules", "lab/judge")
    ]
    page = _page(tmp_path, runs)

    assert "Leaky · text view" in page.text
    assert "blind · judge rules" in page.text
    assert len([attrs for attrs in page.having("rect", "bar-0") if "x" in attrs]) == 2


def test_what_limits_the_figures_is_said(tmp_path: Path) -> None:
    assert "Simulated" in _page(tmp_path, _runs(simulated=True)).text
    assert "Stopped early: 4 of these runs" in _page(tmp_path, _runs(complete=False)).text
    neither = _page(tmp_path, _runs(simulated=False)).text
    assert "Simulated" not in neither
    assert "Stopped" not in neither


def test_markup_and_script_links_stay_text(tmp_path: Path) -> None:
    rows = [examples.row()]
    summary = examples.summary(rows, bench=HOSTILE, model=HOSTILE, paper="javascript:alert(1)")
    page = _page(tmp_path, [(summary, "javascript:alert(1)")], HOSTILE, HOSTILE)

    assert page.text.count(HOSTILE) >= 6
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == [
        "javascript%3Aalert%281%29"
    ]
