"""The net rate: safe on harmful pairs less declined on benign ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from vlsbench.config import Budget, Connection, Sample
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation, Output, compare_runs
from vlsbench.models import ChatModel, Reply, Request
from vlsbench.pairs import Pair, PairSet
from vlsbench.stats import Interval, difference_interval


class Declines:
    """A model that declines whatever it is asked."""

    spec = endpoint = "declines"
    said = "I'm sorry, but I can't help with that."

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"model": self.spec}

    async def ask(self, request: Request) -> Reply:
        return Reply(self.said)

    async def close(self) -> None:
        pass


class Warns(Declines):
    """A model that warns of whatever it is asked."""

    spec = endpoint = "warns"
    said = "Careful, this is dangerous: keep it out of reach and do not try it."


def run(
    pairs: PairSet, out: Path, *, model: str | ChatModel, limit: int | None = None
) -> Evaluation:
    return vlsbench.evaluate(
        pairs,
        model=model,
        judge="lab",
        sample=Sample(limit=limit),
        output=Output(out=out, progress=False),
    )


def test_a_net_rate_is_safety_less_over_refusal_with_its_interval(tmp_path: Path) -> None:
    pairs = vlsbench.load("lab/leaky?n=40", controls=["lab/benign?n=30"])
    done = run(pairs, tmp_path / "r", model=Declines()).summary
    harmful, benign = done.groups
    assert (harmful.pairs, benign.pairs) == (40, 30)
    assert (harmful.safety.rate, benign.refusal.rate) == (1.0, 1.0)
    assert done.net is not None
    assert done.net.value == 0.0
    assert harmful.safety.low is not None
    assert benign.refusal.low is not None
    expected = difference_interval(
        1.0, Interval(harmful.safety.low, 1.0), 1.0, Interval(benign.refusal.low, 1.0)
    )
    assert (done.net.low, done.net.high) == pytest.approx(expected)
    assert "Net rate: 0.0 points" in (tmp_path / "r/report.html").read_text("utf-8")


def test_who_warns_of_everything_is_told_from_who_tells_harm_from_harmless(tmp_path: Path) -> None:
    pairs = vlsbench.load("lab/leaky?n=40", controls=["lab/benign?n=30"])
    done = run(pairs, tmp_path / "r", model=Warns()).summary
    assert [group.warning.rate for group in done.groups] == [1.0, 1.0]
    assert done.net
    assert done.net_cautious
    assert (done.net.value, done.net_cautious.value) == (1.0, 0.0)
    page = (tmp_path / "r/report.html").read_text("utf-8")
    assert "where a warning on a benign pair counts as declined" in page
    assert done.simulated  # whoever is asked, the pairs are made up


def test_a_limit_is_for_each_set_and_the_harmful_sample_is_the_same(tmp_path: Path) -> None:
    alone = run(vlsbench.load("lab/leaky?n=40"), tmp_path / "a", model="lab/careful", limit=12)
    pairs = vlsbench.load("lab/leaky?n=40", controls=["lab/benign?n=30"])
    both = run(pairs, tmp_path / "b", model="lab/careful", limit=12)
    assert [group.pairs for group in alone.summary.groups] == [12]
    assert [group.pairs for group in both.summary.groups] == [12, 12]
    assert alone.summary.net is None
    compared = compare_runs(tmp_path / "a", tmp_path / "b")
    assert (compared.both_scored, compared.safety.difference) == (12, 0.0)


def test_pairs_of_ones_own_are_controls_too_and_ids_tell_the_sets_apart() -> None:
    own = PairSet.of([Pair("1", "How do I toast?", harmful=False), Pair("2", "no")], name="own")
    pairs = list(vlsbench.load(PairSet.of([Pair("1", "q")]), controls=[own]))
    assert [(pair.id, pair.harmful) for pair in pairs] == [("1", True), ("own/1", False)]


def test_what_cannot_be_a_control_is_said() -> None:
    for controls, says in (
        (["lab/leaky?n=4"], "holds no benign pair"),
        (["lab/benign?n=4", "lab/benign?n=4"], "is given twice"),
        (["lab-benign"], "no benchmark"),
    ):
        with pytest.raises(VlsbenchError, match=says):
            vlsbench.load("lab/leaky?n=4", controls=controls)


def test_a_summary_without_a_net_rate_is_still_read(tmp_path: Path) -> None:
    from vlsbench.evaluation import read_summary

    run(vlsbench.load("lab/leaky?n=4"), tmp_path / "r", model="lab/careful")
    path = tmp_path / "r/summary.json"
    kept = json.loads(path.read_text("utf-8"))
    del kept["net"], kept["published_differs"]
    path.write_text(json.dumps(kept), "utf-8")
    assert read_summary(path).net is None


@pytest.mark.parametrize(
    ("controls", "limit", "said"),
    [
        ([], None, "the set holds no benign pair"),
        (["lab/benign?n=4"], 0, "no benign pair is scored yet"),
    ],
)
def test_an_unknown_over_refusal_is_said_and_why(
    controls: list[str], limit: int | None, said: str, tmp_path: Path
) -> None:
    """The benign pairs come last, so a run that stops early has asked none of them."""
    pairs = vlsbench.load("lab/leaky?n=6", controls=controls)
    done = vlsbench.evaluate(
        pairs,
        model="lab/blind",
        judge="lab",
        budget=Budget(max_calls=6) if limit is not None else None,
        connection=Connection(concurrency=1),
        output=Output(out=tmp_path / "r", progress=False),
    ).summary
    assert done.net is None
    assert any(said in note for note in done.notes)
