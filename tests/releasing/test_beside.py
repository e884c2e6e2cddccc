"""Reviews, audits, provenance and the release before: what they add to a release and refuse."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.releasing import kitchen
from vlsbench.auditing import AuditOutput
from vlsbench.errors import VlsbenchError
from vlsbench.releasing import verify
from vlsbench.reviewing import PersonProgress, Question, QuestionAgreement, Role, Status


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return kitchen.write(tmp_path / "pairs", kitchen.rows(16))


def ids_in(folder: Path) -> list[str]:
    return [pair.id for pair in vlsbench.load(folder)]


def write_list(path: Path, ids: Iterable[str], bench: str = "pairs") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["bench", "id", "score", "why"])
        writer.writerows([bench, id, "0.0000", ""] for id in ids)
    return path


def test_only_what_reviewers_kept_and_nothing_on_the_drop_list(
    source: Path, tmp_path: Path
) -> None:
    keep = write_list(tmp_path / "keep.csv", ["pair-003", "pair-001", "pair-008"])
    drop = write_list(tmp_path / "drop.csv", ["pair-008", "pair-009"])
    made = kitchen.released(source, tmp_path / "out", review=keep, leave_out=drop)
    assert ids_in(tmp_path / "out") == ["pair-001", "pair-003"]
    assert made.left_out == {
        "not kept by review": 12,
        "on the list of pairs to leave out": 2,
    }
    assert made.images == 2
    assert verify(tmp_path / "out").sound


def test_pairs_that_no_reviewer_was_to_see_are_counted_apart(source: Path, tmp_path: Path) -> None:
    ids = ids_in(source)
    keep = write_list(tmp_path / "keep.csv", ids[:2])
    write_list(tmp_path / "drop.csv", ids[2:3])
    write_list(tmp_path / "undecided.csv", ids[3:5])
    made = kitchen.released(source, tmp_path / "out", review=keep)
    assert made.left_out == {"not in the review": 11, "not kept by review": 3}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "11 not in the review; 3 not kept by review" in card


def test_lists_of_other_sets_are_refused(source: Path, tmp_path: Path) -> None:
    other = write_list(tmp_path / "other.csv", ["pair-001"], bench="bathroom")
    stranger = write_list(tmp_path / "stranger.csv", ["pair-001", "pair-999"])
    everything = write_list(tmp_path / "all.csv", ids_in(source))
    for options, message in (
        ({"review": other}, "bathroom, not of pairs"),
        ({"leave_out": other}, "bathroom, not of pairs"),
        ({"review": stranger}, "pair-999"),
        ({"leave_out": stranger}, "pair-999"),
        ({"leave_out": everything}, "no pair is left"),
    ):
        with pytest.raises(VlsbenchError, match=message):
            kitchen.released(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def step(stage: str, *calls: tuple[str, str, float | None]) -> dict[str, Any]:
    return {
        "stage": stage,
        "version": "1",
        "calls": [{"key": k, "role": stage, "model": m, "cost": c} for k, m, c in calls],
    }


def write_provenance(path: Path, model: str = "writer") -> Path:
    draft = step("draft", ("k0", model, 0.25))
    lines: list[dict[str, Any]] = [
        {"id": "element", "ended": "begun", "children": 17, "steps": [draft]}
    ]
    for number in range(16):
        own = step("draw", (f"k{number + 1}", "painter", 0.5))
        lines.append(
            {
                "id": f"pair-{number:03d}",
                "parents": ["element"],
                "twin_of": "",
                "ended": "released",
                "stage": "release",
                "reason": "",
                "steps": [draft, own],
            }
        )
    lines.append(
        {
            "id": "leaky",
            "parents": ["element"],
            "twin_of": "",
            "ended": "dropped",
            "stage": "leak_filter",
            "reason": "leaks",
            "steps": [draft],
        }
    )
    lines.append({"id": "stuck", "parents": [], "ended": "quarantined", "steps": []})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_provenance_goes_out_without_what_was_quarantined(source: Path, tmp_path: Path) -> None:
    provenance = write_provenance(tmp_path / "provenance.jsonl")
    drop = write_list(tmp_path / "drop.csv", ["pair-002"])
    out = tmp_path / "out"
    made = kitchen.released(source, out, provenance=provenance, leave_out=drop)
    lines = [json.loads(line) for line in (out / "provenance.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines} == {"element", "leaky", *ids_in(source)}
    assert [line["left_out"] for line in lines if "left_out" in line] == [
        "on the list of pairs to leave out"
    ]
    assert made.made is not None
    assert (made.made.records, made.made.written) == (19, 18)
    assert made.made.dropped == {
        "leak_filter: leaks": 1,
        "on the list of pairs to leave out": 1,
    }
    assert made.made.models == {"painter": 16, "writer": 1}
    card = (out / "README.md").read_text()
    assert "| leak\\_filter: leaks | 1 |" in card
    assert not made.simulated
    assert made.synthetic
    generated = json.loads((out / "croissant.json").read_text("utf-8"))["prov:wasGeneratedBy"]
    assert [one["prov:label"] for one in generated[0]["prov:wasAssociatedWith"]] == [
        "painter",
        "writer",
    ]
    assert verify(out).sound


def test_a_lab_model_in_the_provenance_marks_the_set_as_simulated(
    source: Path, tmp_path: Path
) -> None:
    provenance = write_provenance(tmp_path / "provenance.jsonl", model="lab/writer")
    made = kitchen.released(source, tmp_path / "out", provenance=provenance)
    assert made.simulated
    assert "**Simulated.**" in (tmp_path / "out" / "README.md").read_text()


def test_provenance_that_misses_a_released_pair_is_refused(source: Path, tmp_path: Path) -> None:
    path = write_provenance(tmp_path / "provenance.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5]))
    with pytest.raises(VlsbenchError, match=r"no line for 12 released pairs \(pair-004, "):
        kitchen.released(source, tmp_path / "out", provenance=path)
    for text, message in (
        ("{", "line 1 is not valid JSON"),
        ("[]\n", "line 1: must be a table"),
        (lines[0] * 2, "twice"),
        (
            '{"id": "a", "steps": [{"calls": [{}]}]}\n',
            r"record 1: missing key steps\[0\].calls\[0\].key",
        ),
    ):
        path.write_text(text)
        with pytest.raises(VlsbenchError, match=message):
            kitchen.released(source, tmp_path / "out", provenance=path)


def test_the_card_of_an_audit_is_summed_up(tmp_path: Path) -> None:
    audit = vlsbench.audit(
        "lab/mixed?n=40",
        measures=("judged",),
        judge="lab",
        controls=("lab/benign?n=40",),
        output=AuditOutput(out=tmp_path / "audit", progress=False),
    )
    made = kitchen.released(
        "lab/mixed?n=40", tmp_path / "out", card=tmp_path / "audit" / "card.json", content=None
    )
    assert made.leakage is not None
    assert made.leakage.simulated
    judged = audit.card.judged
    assert judged is not None
    as_judged = made.leakage.figures[-1]
    assert (as_judged.value, as_judged.n) == (judged.group.vsil.rate, judged.group.vsil.n)
    assert as_judged.low is not None
    assert as_judged.high is not None
    text = (tmp_path / "out" / "README.md").read_text()
    assert f"| {as_judged.low * 100:.1f} to {as_judged.high * 100:.1f} | {as_judged.n} |" in text
    assert "on 40 pairs (simulated)" in text
    with pytest.raises(VlsbenchError, match=r"card of lab/mixed\?n=40, not of lab/leaky"):
        kitchen.released(
            "lab/leaky", tmp_path / "other", card=tmp_path / "audit" / "card.json", content=None
        )


def test_agreement_of_a_review(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "agreement.json"
    people = {"Ann": (Role.REVIEWER, 16), "Ben": (Role.REVIEWER, 16), "Cleo": (Role.REVIEWER, 0)}
    people["Dan"] = (Role.ADJUDICATOR, 2)
    status = Status(
        bench="pairs",
        pairs=16,
        votes=2,
        people=tuple(PersonProgress(name, *does, 16) for name, does in people.items()),
        agreement=(
            QuestionAgreement(Question.MATCHED, 16, 0.9, 0.8125, 0.5, 1.0),
            QuestionAgreement(Question.CATEGORY_RIGHT, 0, None, None, None, None),
        ),
        keep=12,
        drop=4,
        open=0,
        disputed=0,
        stale=0,
    )
    path.write_text(json.dumps(asdict(status)))
    made = kitchen.released(source, tmp_path / "out", agreement=path)
    assert made.agreement is not None
    assert made.agreement.reviewers == 2
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| matched | 0.812 | 0.500 to 1.000 | 16 |" in text
    assert r"| category\_right | – | – | 0 |" in text
    everything = "".join(f.read_text("utf-8") for f in (tmp_path / "out").glob("*.*"))
    assert "Cleo" not in everything
    for text, message in (
        (json.dumps(asdict(replace(status, bench="bathroom"))), "review of bathroom, not of pairs"),
        (json.dumps(asdict(status) | {"agreement": [{"question": "x"}]}), r"json: agreement\[0\]"),
        ("[]", "agreement.json: must be a table"),
    ):
        path.write_text(text)
        with pytest.raises(VlsbenchError, match=message):
            kitchen.released(source, tmp_path / "other", agreement=path)
