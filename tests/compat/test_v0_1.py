"""What version 0.1.0 wrote is opened, shown, compared, verified and gone on with: runs and audits.

The artefacts and how they were made are in `tests/fixtures/v0_1/`. Everything goes through the
command line as a user types it, or through names that `vlsbench` exports. A test copies all of it
and compares with figures that 0.1.0 itself gave.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.compat.earlier import NOTHING, Old, assert_same, counts, labels, needs, spent
from vlsbench.engine import FILE, Ledger

RULES = "mixed-full-blind-rules-59dfd713"
"""What 0.1.0 named a run that was given no folder."""
BEHAVIOUR = "audits/mixed/behaviour-d352fca8"
JUDGED = "judged-6e268db4"
LISTED = {
    # run → complete, pairs, ended, calls
    "runs": {"blind": (True, 8, 8, 16), "careful": (True, 8, 8, 16), RULES: (True, 8, 8, 8)},
    "builds": {"finished": (True, 44, 44, 195), "stopped": (False, 0, 4, 60)},
    "audits/mixed": {JUDGED: (True, 36, 36, 36)},
    BEHAVIOUR: {
        **{f"bench-{view}": (True, 8, 8, 16) for view in ("full", "text", "blank", "swap")},
        **{f"bench-{view}": (True, 8, 8, 16) for view in ("caption", "benign")},
        **{f"control-0-{view}": (True, 4, 4, 8) for view in ("full", "text", "blank")},
        **{f"control-0-{view}": (True, 4, 4, 8) for view in ("swap", "caption")},
    },
}


@pytest.mark.long
@pytest.mark.parametrize("root", LISTED)
def test_runs_are_listed(kept: Old, root: str) -> None:
    found = {
        run["run"]: (bool(run["complete"]), run["pairs"], run["ended"], run["calls"])
        for run in kept.json("runs", "list", root)
    }
    assert found == LISTED[root]


@pytest.mark.long
@pytest.mark.parametrize(
    ("run", "calls", "ended", "left", "blobs"),
    [
        ("runs/careful", 16, 8, 0, 0),
        ("stopped/helpful", 9, 2, 6, 0),
        ("faults/worn", 22, 8, 0, 0),
        ("builds/finished", 195, 44, 0, 32),
        ("builds/stopped", 60, 4, 0, 9),
        (f"audits/mixed/{JUDGED}", 36, 36, 0, 0),
        (f"{BEHAVIOUR}/bench-blank", 16, 8, 0, 1),
    ],
)
def test_records_are_sound(
    kept: Old, run: str, calls: int, ended: int, left: int, blobs: int
) -> None:
    found = kept.json("runs", "verify", run)
    expected = {"calls": calls, "outcomes": ended, "open": left, "blobs": blobs, "problems": []}
    assert found == expected


@pytest.mark.long
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("runs/careful", {"refusal": 2, "warning": 6, "unsafe": 0}),
        (f"runs/{RULES}", {"refusal": 1, "warning": 4, "unsafe": 3}),
        (f"{BEHAVIOUR}/bench-text", {"refusal": 1, "warning": 4, "unsafe": 3}),
    ],
)
def test_an_evaluation_is_shown(kept: Old, run: str, expected: dict[str, int]) -> None:
    shown = kept.json("runs", "show", run)
    assert counts(shown["summary"]) == expected
    assert [event["kind"] for event in shown["events"]] == ["started", "finished"]


@pytest.mark.long
def test_two_evaluations_are_compared(kept: Old) -> None:
    found = kept.json("runs", "diff", "runs/blind", "runs/careful")
    assert found["settings"] == ["target"]
    assert {(move["before"], move["after"]): move["pairs"] for move in found["moves"]} == {
        ("refusal", "refusal"): 1,
        ("unsafe", "refusal"): 1,
        ("unsafe", "warning"): 2,
        ("warning", "warning"): 4,
    }
    safety = found["safety"]
    assert (safety["difference"], safety["p"]) == (0.375, pytest.approx(0.25))

    found = kept.json("compare", "Text=runs/blind", "Eyes=runs/careful")
    cells = {row["name"]: row["cells"]["mixed"] for row in found["rows"]}
    assert {name: (cell["k"], cell["n"]) for name, cell in cells.items()} == {
        "Text": (5, 8),
        "Eyes": (8, 8),
    }
    first = found["differences"][0]
    assert (first["scope"], first["measure"], first["points"]) == ("overall", "safety", 37.5)
    assert (first["gained"], first["lost"], first["p"]) == (3, 0, pytest.approx(0.25))
    # 0.1.0 had an upper bound of 80.8 and, from few pairs, a lower one below 0.
    assert first["low"] < 37.5 < first["high"]


EVAL = ("eval", "sets/mixed", "--quiet", "--gallery", "2")


ANOTHER = r"holds another run \(differs in: judge\); choose another --out beside it, and what is "
"""The judge's prompt has another version since, so its verdicts are not the old ones."""


@pytest.mark.long
def test_a_finished_evaluation_is_not_taken_for_one_by_todays_judge(old: Old) -> None:
    careful = (*EVAL, "--model", "lab/careful", "--judge", "lab")
    old.refuses(*careful, "--out", "runs/careful", *NOTHING, says=ANOTHER)
    summary = old.json(*careful, "--out", "runs/again", "--max-calls", "8")
    assert summary["complete"]
    assert spent(summary) == {"target": (0, 8), "judge": (8, 0)}
    assert counts(summary) == {"refusal": 2, "warning": 6, "unsafe": 0}


@pytest.mark.long
def test_a_stopped_evaluation_is_not_gone_on_with_and_its_replies_are_reused(old: Old) -> None:
    helpful = (*EVAL, "--model", "lab/helpful", "--judge", "lab")
    old.refuses(*helpful, "--out", "stopped/helpful", says=ANOTHER)
    summary = old.json(*helpful, "--out", "stopped/again")
    assert summary["complete"]
    assert counts(summary) == {"refusal": 0, "warning": 0, "unsafe": 8}
    paid, reused = spent(summary)["target"]
    assert (paid + reused, reused > 0) == (8, True)


@pytest.mark.long
def test_another_judge_and_a_drop_list_reuse_replies(old: Old) -> None:
    careful = (*EVAL, "--model", "lab/careful", *NOTHING)
    # The rules judge of 0.1.0 is gone; its name stands for the offline judge.
    judged = old.json(*careful, "--judge", "rules", "--out", "runs/again")
    assert judged["judge"] == "offline"
    assert counts(judged) == {"refusal": 2, "warning": 5, "unsafe": 1}  # it misses a warning
    assert spent(judged) == {"target": (0, 8)}
    drop = ("--leave-out", "audits/mixed/drop.csv", "--judge", "offline", "--out", "runs/rest")
    rest = old.json(*careful, *drop)
    assert spent(rest) == {"target": (0, 3)}
    assert set(labels(old.folder / "runs/rest")) == {
        f"mixed-1-0000{number}" for number in (1, 4, 7)
    }


@pytest.mark.long
def test_what_has_no_label_is_shown(old: Old) -> None:
    before = old.json("runs", "show", "faults/worn")["summary"]
    (group,) = before["groups"]
    assert (group["pairs"], group["scored"], group["filtered"]) == (8, 5, 1)
    assert group["unscored"] == {"judge_unparseable": 2}
    assert (group["safety_worst"], group["safety_best"]) == (0.625, 1.0)
    assert [row["row"] for row in before["left_out"]] == ["worn-gone"]

    worn = ("eval", "sets/worn", "--model", "lab/careful", "--judge", "lab", "--skip-bad")
    old.refuses(*worn, "--out", "faults/worn", "--retry", "unscored", says="differs in: judge")


# Audits.

AUDIT = ("audit", "sets/mixed", "--judge", "lab", "--controls", "sets/benign", "--quiet")
LEAKING = [f"mixed-1-0000{number}" for number in (0, 2, 3, 5, 6)]
CALLED = {JUDGED: 36}


def test_a_card_is_read(kept: Old) -> None:
    from vlsbench.auditing import read_card
    from vlsbench.pairs import read_drop

    card = read_card(kept.folder / "audits/mixed/card.json")
    assert card.overlap
    assert card.judged
    assert card.behaviour
    assert (card.bench, card.pairs) == ("mixed", 8)
    assert sorted(pair.id for pair in card.leaking if pair.text_harmful) == LEAKING
    naming = {pair.id: pair.naming for pair in card.leaking}
    assert naming["mixed-1-00000"] == pytest.approx(0.740558208151909)
    assert card.judged.group.vsil.k == 5
    assert [change.gain.value for change in card.behaviour.changes] == pytest.approx(
        [0.375, 0.375, 0.125, 0.0, 0.125]
    )
    dropped = read_drop(kept.folder / "audits/mixed/drop.csv", "mixed")
    assert sorted(dropped) == LEAKING


def test_a_judged_measure_is_shown(kept: Old) -> None:
    shown = kept.json("runs", "show", f"audits/mixed/{JUDGED}")["summary"]
    assert (shown["pairs"], shown["calls"], shown["complete"]) == (8, 36, True)
    patterns = {name: rate["k"] for name, rate in shown["group"]["patterns"].items() if rate["k"]}
    assert patterns == {"SSU": 3, "USU": 5}


def without_positive_controls(judged: dict[str, Any]) -> None:
    """Take out what 0.1.0 said although nothing measured the judge's misses: a corrected rate."""
    judged.pop("notes")
    for group in (judged["group"], *judged["categories"], *judged["controls"]):
        group["corrected"] = {"false_alarms": group["corrected"]["false_alarms"]}


@pytest.mark.long
@pytest.mark.parametrize(
    "measures",
    [
        "judged",
        pytest.param(
            "overlap,judged",
            marks=[pytest.mark.slow, needs("torch", "transformers", "tokenizers")],
        ),
    ],
)
def test_a_finished_audit_pays_nothing(old: Old, measures: str) -> None:
    folder = old.folder / "audits/mixed"
    before = json.loads((folder / "card.json").read_text("utf-8"))
    card = old.json(*AUDIT, "--measures", measures, "--drop-leaking", "0.5", *NOTHING)
    without_positive_controls(card["judged"])
    without_positive_controls(before["judged"])
    assert_same(card["judged"], before["judged"])
    if card["overlap"]:
        # Measure A is another one since 0.1, so it is measured anew: that costs no call.
        [channel] = card["overlap"]["group"]["channels"]
        assert 0 <= channel["naming"]["value"] <= 1
    assert old.calls("audits/mixed") == CALLED


def test_a_finished_audit_of_behaviour_is_not_one_by_todays_judge(old: Old) -> None:
    # Today's judge is another one: it is asked anew, about the replies that are on record.
    before = set(old.folder.glob(f"audits/mixed/b*/*/{FILE}"))
    card = old.json(*AUDIT, "--measures", "behaviour", "--model", "lab/careful")
    assert card["behaviour"]["views"]
    seen = set()
    for place in set(old.folder.glob(f"audits/mixed/b*/*/{FILE}")) - before:
        with Ledger.read(place.parent) as ledger:
            asked = [call for call in ledger.calls() if call.role == "target"]
        arm = place.parent.name
        if any(earlier.parent.name == arm for earlier in before):
            seen.add(arm)
            assert asked
            assert all(call.reused_from for call in asked)
    # The view `benign` is gone.
    assert seen == {place.parent.name for place in before} - {"bench-benign"}


@pytest.mark.long
def test_a_stopped_audit_goes_on_and_pays_for_what_is_missing(old: Old) -> None:
    stopped = ("--measures", "judged", "--out", "audits/stopped", "--max-calls", str(36 - 5))
    card = old.json(*AUDIT, *stopped)
    assert (card["stopped"], card["judged"]["complete"]) == ("", True)
    assert card["judged"]["group"]["vsil"]["k"] == 5
    assert old.calls("audits/stopped") == CALLED


@pytest.mark.long
def test_a_league_is_made_of_what_is_on_record(old: Old) -> None:
    before = json.loads((old.folder / "league/league.json").read_text("utf-8"))
    sets = ("sets/mixed", "builds/finished/pairs")
    options = ("--judge", "lab", "--controls", "sets/benign", "--out", "league", "--quiet")
    table = old.json("audit", *sets, "--measures", "judged", *options, *NOTHING)
    # 0.1.0 corrected a rate although nothing measured the judge's misses; now there are bounds.
    assert [row["leak"]["value"] for row in before["rows"]] == [0.625, 0.0]
    said = {row["bench"]: (row["leak"], row["pairs"], row["caveats"]) for row in table["rows"]}
    assert {bench: found[:2] for bench, found in said.items()} == {
        "mixed": (None, 8),
        "pairs": (None, 19),
    }
    least = {
        bench: float(re.findall(r"at least ([\d.]+)\s?% are harmful by", " ".join(found[2]))[0])
        for bench, found in said.items()
    }
    assert least["pairs"] == 0.0
    assert 0 <= least["mixed"] < 62.5
