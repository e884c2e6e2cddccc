"""Measures held against grades: of a made-up set whose truth is known, and by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import vlsbench
from vlsbench import lab
from vlsbench.agreement import cohen_kappa, kappa_interval
from vlsbench.auditing import AuditOutput, AuditSettings, at_hand, read_card
from vlsbench.auditing.against import Graded, hold
from vlsbench.auditing.card.page import against_table, leaderboard_markdown
from vlsbench.config import Sample
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Grade, GradedBy, Grades, Pair, PairSet

NAMING = "query names the image", "text"
TEXT = "judged harmful", "text"
PATTERN = "judged pattern", "pattern"


def row(number: int, grades: str, found: dict[tuple[str, str], str], chars: int = 20) -> Graded:
    return Graded("kitchen", str(number // 2), chars, "people", grades, found)


def test_agreement_is_counted_pair_by_pair() -> None:
    # Of ten pairs: 4 S and found S, 1 S found U, 2 U found S, 3 U found U.
    cells = ["SS"] * 4 + ["SU"] + ["US"] * 2 + ["UU"] * 3
    rows = [row(n, f"{cell[0]}??", {TEXT: cell[1]}) for n, cell in enumerate(cells)]
    rows += [row(22, "???", {TEXT: "U"}), row(23, "U??", {})]
    (held,) = hold(rows).labels
    assert (held.finding, held.part, held.by, held.pairs) == (
        "judged harmful",
        "text",
        "people",
        10,
    )
    assert held.confusion == {"S": {"S": 4, "U": 1}, "U": {"S": 2, "U": 3}}
    assert (held.unsafe.rate, held.found.rate) == (0.5, 0.4)
    assert held.bias.value == pytest.approx(-0.1)
    assert held.kappa.value == pytest.approx(0.4)
    assert held.majority == 0.5
    assert (held.ungraded, held.unmeasured) == (1, 1)


def test_patterns_are_held_against_all_three_grades() -> None:
    rows = [row(0, "SSU", {PATTERN: "SSU"}), row(1, "SSU", {PATTERN: "SUU"})]
    rows += [row(2, "SSS", {PATTERN: "SSS"}), row(3, "S?U", {PATTERN: "SSU"})]
    (held,) = hold(rows).labels
    assert (held.part, held.pairs, held.ungraded) == ("pattern", 3, 1)
    assert held.confusion == {"SSS": {"SSS": 1}, "SSU": {"SSU": 1, "SUU": 1}}
    assert held.length is None
    assert held.kappa.value == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_where_all_grades_are_one_there_is_a_bias_and_no_kappa() -> None:
    rows = [row(n, "S?U", {NAMING: "U" if n < 3 else "S"}) for n in range(10)]
    (held,) = hold(rows).labels
    assert held.bias.value == pytest.approx(0.3)
    assert held.kappa.value is None
    assert held.length is None
    assert held.majority == 1.0


def test_few_images_give_no_bias_beyond_what_there_can_be_and_no_certain_kappa() -> None:
    cells = ("SU", "SS", "US", "UU")  # of two images: every draw that has both says the same
    rows = [row(n, f"{cell[0]}??", {TEXT: cell[1]}) for n, cell in enumerate(cells)]
    (held,) = hold(rows).labels
    assert held.bias.low is not None
    assert held.bias.high is not None
    assert -1.0 <= held.bias.low < -0.8 < 0.8 < held.bias.high <= 1.0
    assert held.bias.value == held.kappa.value == 0.0
    assert held.kappa.low is not None
    assert held.kappa.high is not None
    assert -1.0 <= held.kappa.low < -0.8 < 0.8 < held.kappa.high <= 1.0


def test_length_is_a_baseline_that_knows_the_grades() -> None:
    rows = [
        row(n, "U??" if n % 2 else "S??", {TEXT: "U" if n < 10 else "S"}, chars=90 if n % 2 else 9)
        for n in range(20)
    ]
    (held,) = hold(rows).labels
    assert held.length == pytest.approx(1.0)
    assert held.kappa.value == pytest.approx(0.0)


def test_authors_and_people_are_kept_apart() -> None:
    one = row(0, "S??", {TEXT: "S"})
    held = hold([one, replace(one, by="authors")]).labels
    assert [(each.by, each.pairs) for each in held] == [("authors", 1), ("people", 1)]


def test_kappa_is_that_of_cohens_paper_and_its_interval_covers() -> None:
    # Cohen 1960, table 1: shares of three categories; kappa 0.492.
    shares = np.array([[0.44, 0.07, 0.09], [0.05, 0.20, 0.05], [0.01, 0.03, 0.06]])
    assert cohen_kappa(shares) == pytest.approx(0.492, abs=0.001)
    assert cohen_kappa(np.array([[5.0, 0], [0, 0]])) is None
    rng, hits = np.random.default_rng(1), 0
    for _ in range(60):
        drawn = rng.choice(9, size=(150,), p=shares.ravel())
        found = kappa_interval(drawn, 3, range(150))
        assert found
        hits += found.low <= 0.492 <= found.high
    assert hits >= 52
    assert kappa_interval(np.zeros(4, dtype=np.intp), 3, range(4)) is None


def test_where_nobody_disagrees_kappa_is_not_certainly_one() -> None:
    few, many = (kappa_interval(np.repeat([0, 3], n), 2, range(2 * n)) for n in (5, 500))
    assert few
    assert many
    assert few.high == many.high == 1.0
    assert 0 < few.low < 0.6
    assert 0.98 < many.low < 1.0


def test_kappa_knows_which_units_share_an_image() -> None:
    cells = np.array([0, 0, 0, 1, 2, 3, 3, 3, 3, 0])
    once, copies = (
        kappa_interval(np.repeat(cells, n), 2, np.repeat(range(10), n)) for n in (1, 20)
    )
    apart = kappa_interval(np.repeat(cells, 20), 2, range(200))
    assert once
    assert copies
    assert apart
    assert copies.low <= once.low + 0.01 < apart.low
    assert copies.high >= once.high - 0.01 > apart.high


def graded_lab(n: int = 40) -> PairSet:
    """The lab's mixed set, graded by what it knows of itself."""
    pairs = []
    for pair in lab.benchmark(f"mixed?n={n}"):
        text = Grade.UNSAFE if pair.meta["leaks"] else Grade.SAFE
        grades = Grades(GradedBy.AUTHORS, text, Grade.SAFE, Grade.UNSAFE)
        pairs.append(replace(pair, grades=grades))
    return PairSet.of(pairs, "kitchen")


def test_measures_a_and_b_are_held_against_the_labs_truth(tmp_path: Path) -> None:
    audit = vlsbench.audit(
        graded_lab(),
        measures=["overlap", "judged"],
        judge="lab",
        controls=["lab/benign"],
        against="grades",
        output=AuditOutput(out=tmp_path, progress=False),
    )
    card = read_card(tmp_path / "card.json")
    assert card.against == audit.card.against
    assert card.against
    held = {(one.finding, one.part): one for one in card.against.labels}
    naming = held["query names the image", "text"]
    assert naming.pairs == 40
    assert naming.kappa.value
    assert naming.kappa.value > 0.8
    assert held["judged harmful", "text"].pairs == 40
    assert held["judged pattern", "pattern"].pairs == 40
    table = against_table(card.against)
    assert table
    assert all(len(row) == len(table.names) for row in table.rows)
    page = (tmp_path / "card.html").read_text()
    assert "Held against labels" in page
    assert table.rows[0][0].details[0].partition(":")[0] in page


def test_a_set_that_says_nothing_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    pairs = PairSet.of([Pair(id="1", query="May I toast?")], "kitchen")
    with pytest.raises(VlsbenchError, match=r"nobody says .* kitchen .* text_grade"):
        vlsbench.audit(pairs, against="grades", output=AuditOutput(out=tmp_path))
    with pytest.raises(VlsbenchError, match="--against is for the measure overlap or judged"):
        vlsbench.audit(
            graded_lab(), measures=["behaviour"], model="lab/careful", judge="lab",
            controls=["lab/benign"], against="grades",
        )  # fmt: skip


def test_a_leaderboard_holds_all_its_sets_together(tmp_path: Path) -> None:
    sets = [graded_lab(20), PairSet.of(list(graded_lab(21)), "pantry")]
    table, audits = vlsbench.leaderboard(
        sets, against="grades", output=AuditOutput(out=tmp_path, progress=False)
    )
    assert table.against
    (held,) = table.against.labels
    assert held.pairs == 41
    assert sum(len(audit.graded) for audit in audits) == 41


def test_what_is_at_hand_and_why_the_rest_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path / "home"))
    row = {"question_id": 1, "image": "S-01.png", "question": "Shall I?", "category": "kitchen"}
    for name, rows in (("siuo/siuo_gen.json", [row]), ("vlsbench/data.json", "nothing")):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(json.dumps(rows))
    (tmp_path / "xstest").mkdir()
    (tmp_path / "xstest/xstest_prompts.csv").write_text("id,prompt,type,label\n1,Why?,x,safe\n")
    (tmp_path / "vlsafe").mkdir()
    told = {"image_id": "1.jpg", "caption": "A toaster.", "query": "How do I toast?"}
    (tmp_path / "vlsafe/harmlessness_examine.jsonl").write_text(json.dumps(told))
    settings = AuditSettings(data_root=tmp_path)
    found, skipped = at_hand(settings)
    assert [pairs.name for pairs in found] == ["vlsafe"]
    assert skipped["siuo"].startswith("nothing says what its images show")
    assert skipped["xstest"] == "texts alone: there is no image to tell of"
    assert "neither a list nor an object" in skipped["vlsbench"]
    assert skipped["figstep"].startswith("not fetched")
    judged = AuditSettings(
        data_root=tmp_path, measures=("judged",), judge="lab", controls=("lab/benign",)
    )
    _, skipped = at_hand(judged)
    assert skipped["vlsafe"] == "images are missing: of 1 of 1 pairs (--skip-bad does without)"


def test_a_part_of_a_published_set_says_so(tmp_path: Path) -> None:
    told = {"image_id": "1.jpg", "caption": "A toaster.", "query": "How do I toast?"}
    (tmp_path / "harmlessness_examine.jsonl").write_text(json.dumps(told))
    audit = vlsbench.audit(
        vlsbench.load("vlsafe", data=tmp_path),
        sample=Sample(limit=1),
        output=AuditOutput(out=tmp_path / "out", progress=False),
    )
    assert "1 of 1,110 published pairs are here" in audit.card.notes
    table, _ = vlsbench.leaderboard(
        [vlsbench.load("vlsafe", data=tmp_path)],
        output=AuditOutput(out=tmp_path / "table", progress=False),
    )
    assert "1 of 1,110 published pairs are here" in leaderboard_markdown(table)
