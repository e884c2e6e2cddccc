"""A report of real runs of the lab's server: its pages, its figures, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

import vlsbench
from tests.calibrating.runs import truths, write
from tests.grouped import grouped
from tests.pages import card_examples
from vlsbench import lab
from vlsbench.auditing import AuditOutput
from vlsbench.auditing.card.card import CARD_JSON
from vlsbench.auditing.card.page import write_card
from vlsbench.calibrating import CalibratedRun, take_labels
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json
from vlsbench.pairs import Pair, PairSet
from vlsbench.reporting import Report, report

BENCH = "lab/leakless?n=24"
PWN = "window.pwned = true"
HOSTILE = f"</style></title><script>{PWN}</script><img src=x onerror='{PWN}'>$x_{{^\x00\ud800"
NAME = HOSTILE.replace("\ud800", "").replace("=", "")
SVG = "{http://www.w3.org/2000/svg}"


def _evaluate(out: Path, bench: object, model: str, **options: object) -> Path:
    flat = grouped(out=out, **{"progress": False, "gallery": 4, "judge": "lab", **options})
    return vlsbench.evaluate(bench, model=model, **flat).folder  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, server: str) -> Path:
    """Runs over HTTP, one of them stopped and one calibrated, and an audit beside them."""
    root = tmp_path_factory.mktemp("work")
    both = vlsbench.load(BENCH, controls=["lab/benign?n=12"])
    for name in ("blind", "careful"):
        _evaluate(root / "runs" / name, both, f"{name}@{server}")
    _evaluate(root / "runs" / "text", both, f"careful@{server}", view="text")
    _evaluate(root / "stopped", both, "lab/helpful", max_calls=9, concurrency=1)
    run = CalibratedRun(root / "runs" / "careful")
    rows = [{"id": i, "label": x, "annotator": "ann"} for i, x in truths(run.folder).items()]
    take_labels(run, [write(root / "labels.csv", rows)])
    vlsbench.calibrate(run)
    _audit(root / "audits" / "beside", BENCH)
    return root


def _audit(home: Path, bench: str, **changes: object) -> None:
    home.mkdir(parents=True)
    card = replace(card_examples.card(), bench=bench, **changes)  # type: ignore[arg-type]
    write_json(card, home / CARD_JSON)
    write_card(card, home / "card.html")


@pytest.fixture(scope="module")
def written(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    pytest.importorskip("matplotlib")
    return report(
        [folder / "runs", folder / "stopped", folder / "audits"],
        out=tmp_path_factory.mktemp("report"),
    )


def test_every_page_is_linked_and_every_link_leads_somewhere(written: Report) -> None:
    seen, todo = set[Path](), [written.page]
    while todo:
        page = todo.pop()
        seen.add(page)
        for href in re.findall(r'<a href="([^"#]+)', page.read_text("utf-8")):
            if not href.startswith("https:"):
                target = (page.parent / href).resolve()
                assert target.is_file(), f"{page.name} → {href}"
                if target.suffix == ".html" and target not in seen:
                    todo.append(target)
    assert seen == {path.resolve() for path in written.page.parent.rglob("*.html")}
    assert len(list((written.page.parent / "runs").iterdir())) == 4


def _part(written: Report, name: str) -> str:
    """Return the HTML from one part's heading to the next part's."""
    page = written.page.read_text("utf-8")
    return re.split(r'<section id="[a-z]+">', page.partition(f'<section id="{name}">')[2])[0]


def test_the_summary_shows_rates_corrected_ones_and_what_was_stopped(written: Report) -> None:
    part = _part(written, "summary")
    assert "stopped, 36 of 36 pairs open" in part
    assert "uncalibrated judge" in part
    assert "net, corrected" in part
    assert "calibrated</small>" in part
    assert "0 of 36" in part
    page = written.page.read_text("utf-8")
    assert "Simulated" in page
    assert "was stopped with 36 of 36 pairs open" in page


def test_categories_calibration_leakage_and_comparison_have_parts(written: Report) -> None:
    views = re.findall(r"<td><bdi>(full|text)</bdi>", _part(written, "summary"))
    assert sorted(views) == ["full", "full", "full", "text"]
    assert "text − full" in _part(written, "comparison")
    assert "36 labels" in _part(written, "calibration")
    assert BENCH in _part(written, "leakage")
    categories = _part(written, "categories")
    assert "Toddler" in categories
    assert "lab/blind" not in categories  # a model of the server, called as the user called it
    assert "Over-refusal of benign pairs" in categories
    assert "Differences to the baseline" in _part(written, "comparison")


def test_the_provenance_has_the_settings_and_who_served(written: Report) -> None:
    page = _part(written, "provenance")
    assert "lab/benign?n=12" in page
    assert "lab/careful" in re.findall(r"served as</dt><dd><bdi>([^<]+)", page)


def test_figures_come_in_three_forms_with_the_words_that_leak(written: Report) -> None:
    names = written.figures
    assert {"benchmarks", "taxonomy-1", "examples-1"} <= {*names}
    for name in names:
        for ending in ("png", "svg", "pdf"):
            assert (written.page.parent / "figures" / f"{name}.{ending}").stat().st_size > 1000
    tree = ET.parse(written.page.parent / "figures" / "examples-1.svg")
    words = [text for text in tree.iter(f"{SVG}text") if "700" in (text.get("style") or "")]
    marked = {"".join(text.itertext()) for text in words}
    query = card_examples.QUERY.split()
    assert marked
    assert marked <= {word.strip("?") for word in query}


def test_texts_that_pages_blur_are_in_no_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pair = replace(card_examples.card().leaking[0], blurred=True)
    _audit(tmp_path / "audit", "sensitive", leaking=(pair,))
    done = report([tmp_path / "audit"], out=tmp_path / "report")
    assert "examples-1" not in done.figures


def test_without_the_extra_pages_come_and_say_which_one_is_missing(
    folder: Path, tmp_path: Path
) -> None:
    """In a process whose matplotlib is hidden, as if it were not installed."""
    hide = (
        "import sys, importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'matplotlib' else found(name, *a)\n"
        "sys.modules['matplotlib'] = None\n"
        "sys.argv = ['vlsbench', 'report', sys.argv[1], '--out', 'report']\n"
        "from vlsbench.cli import main\nmain()\n"
    )
    command = [sys.executable, "-c", hide, str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pip install 'vlsbench[figures]'" in " ".join(done.stdout.split())
    assert (tmp_path / "report" / "index.html").is_file()
    assert not (tmp_path / "report" / "figures").exists()


@pytest.mark.parametrize("given", [[], ["nowhere"], ["empty"]])
def test_what_holds_nothing_to_report_is_one_line(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(VlsbenchError) as refused:
        report(given)
    assert "\n" not in str(refused.value)
    assert (given or ["vlsbench report"])[0] in str(refused.value)


def test_a_build_among_runs_is_passed_over_and_alone_refused(folder: Path, tmp_path: Path) -> None:
    vlsbench.build("lab", limit=2, out=tmp_path / "both" / "built", progress=False)
    copytree(folder / "runs" / "blind", tmp_path / "both" / "run")
    done = report([tmp_path / "both"], figures=False, out=tmp_path / "report")
    assert "of 1 run and 0 audits" in done.page.read_text("utf-8")
    with pytest.raises(VlsbenchError, match="no run or audit found"):
        report([tmp_path / "both" / "built"], figures=False, out=tmp_path / "report")


def test_the_first_run_with_a_counterpart_is_the_baseline(folder: Path, tmp_path: Path) -> None:
    other = _evaluate(tmp_path / "other", "lab/leaky?n=8", "lab/helpful")
    given = [other, *(folder / "runs" / name for name in ("blind", "careful"))]
    page = report(given, figures=False, out=tmp_path / "report").page.read_text("utf-8")
    assert "Differences to the baseline" in page
    assert "Not compared" not in page


def test_a_category_called_all_stands_beside_all_pairs(tmp_path: Path) -> None:
    pairs = [Pair(id=f"p{n}", query="May it bathe?", category="all" * (n < 2)) for n in range(5)]
    bench = PairSet.of(pairs, "alls")
    run = _evaluate(tmp_path / "run", bench, "lab/careful", view="text")
    done = report([run], figures=False, out=tmp_path / "report")
    rows = re.findall(r"n (\d) of", _part(done, "categories"))
    assert rows == ["5", "3", "2"]


def test_runs_that_share_nothing_are_shown_and_the_page_says_why_not_compared(
    folder: Path, tmp_path: Path
) -> None:
    other = _evaluate(tmp_path / "other", "lab/leaky?n=8", "lab/blind")
    done = report([folder / "runs" / "careful", other], figures=False, out=tmp_path / "report")
    assert any("Not compared" in note for note in done.notes)
    assert "Not compared" in done.page.read_text("utf-8")


@pytest.mark.browser
def test_hostile_names_stay_text_on_all_pages(server: str, tmp_path: Path, browser: Chrome) -> None:
    pytest.importorskip("matplotlib")
    names: dict[str, Any] = {"category": HOSTILE[:-1], "subcategory": "<b>"}
    pairs = [Pair(id=f"{HOSTILE[:-1]}{n}", query="May it bathe?", **names) for n in range(3)]
    bench = PairSet.of(pairs, HOSTILE[:-1])
    run = _evaluate(tmp_path / "run", bench, f"careful@{server}", view="text")
    leaking = replace(card_examples.card().leaking[0], id=HOSTILE, category=HOSTILE)
    _audit(tmp_path / "audit", HOSTILE, leaking=(leaking,))
    done = report([f"{NAME}={run}", tmp_path / "audit"], out=tmp_path / "report")
    for page in sorted(done.page.parent.rglob("*.html")):
        browser.get(page.as_uri())
        assert browser.execute_script("return window.pwned") is None
        assert browser.get_log("browser") == [], page
        assert not browser.find_elements(By.CSS_SELECTOR, "img[onerror], main b b")
    browser.get(done.page.as_uri())
    wide = "return [...document.images].every((image) => image.naturalWidth > 0)"
    assert browser.execute_script(wide)


@pytest.mark.browser
def test_the_gallery_blurs_images_until_asked(written: Report, browser: Chrome) -> None:
    browser.get(written.page.as_uri())
    browser.find_element(By.CSS_SELECTOR, "#gallery a").click()
    image = browser.find_element(By.CSS_SELECTOR, ".reveal img")
    assert "blur" in image.value_of_css_property("filter")


@pytest.mark.browser
def test_a_phone_needs_no_sideways_scroll(written: Report, browser: Chrome) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for page in sorted(written.page.parent.glob("*.html")):
        browser.get(page.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") == 360, page


def test_the_command_says_where_the_pages_are(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vlsbench", "report", str(folder / "runs"), "--no-figures"]
    done = subprocess.run([*command, "-o", "r"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Next: open r/index.html" in done.stdout
    shutil.rmtree(tmp_path / "r")
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout) == {"page": "report/index.html", "figures": []}


def test_a_run_is_named_as_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert report(["careful"], out="named", figures=False).page.is_file()
    with pytest.raises(VlsbenchError, match="no such run; did you mean careful"):
        report(["carefull"], out="named", figures=False)


def test_what_evaluate_and_audit_returned_is_taken_as_it_is(tmp_path: Path) -> None:
    done = vlsbench.evaluate(
        "lab/leaky?n=4", model="lab/blind", judge="lab", **grouped(out=tmp_path / "r")
    )
    audit = vlsbench.audit(
        "lab/mixed?n=4",
        measures=["judged"],
        judge="lab",
        controls=["lab/benign?n=2"],
        output=AuditOutput(out=tmp_path / "a", progress=False),
    )
    page = report([done, audit], figures=False, out=tmp_path / "both").page.read_text("utf-8")
    assert "of 1 run and 1 audit" in page
    assert report(str(done.folder), figures=False, out=tmp_path / "one").page.is_file()
