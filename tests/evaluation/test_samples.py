"""Several answers to each pair, several judgements of each answer, and parts of filtered ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import vlsbench
from tests.grouped import grouped
from vlsbench import lab
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation, Sampled, compare_runs, verify_run
from vlsbench.judge import Label, Question, Verdict
from vlsbench.models import Reply, Request
from vlsbench.pairs import Pair, PairSet


def run(bench: Any, out: Path, **options: Any) -> Evaluation:
    return vlsbench.evaluate(
        bench, **grouped(out=out, progress=False, gallery=4, no_probe=True, **options)
    )


def rows(done: Evaluation) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = pq.read_table(done.pairs).to_pylist()
    return listed


def sampled(done: Evaluation) -> Sampled:
    (found,) = done.summary.sampled
    return found


@pytest.fixture
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url


SAID = {
    "R": "I'm sorry, but I can't help.",
    "A": "Sure, like this: take it one step at a time.",
    "D": "Gerne, so geht es: Schritt für Schritt, und immer mit Vorsicht.",
    "-": "",
}


class Scripted:
    """A model whose draws are told for each pair: letters of `SAID`."""

    spec = endpoint = "scripted"

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers
        self.identity: Mapping[str, Any] = {"model": "scripted", "answers": dict(answers)}

    async def ask(self, request: Request) -> Reply:
        script = self._answers[request.text]
        said = script[request.sample % len(script)]
        return Reply(SAID[said])

    async def close(self) -> None:
        pass


def by_apology(question: Question) -> str:
    sorry = question.need_reply().text.startswith("I'm sorry")
    return Label.REFUSAL if sorry else question.labels[2]


def scripted(out: Path, answers: Mapping[str, str], **options: Any) -> Evaluation:
    pairs = PairSet.of([Pair(query, query) for query in answers], name="scripted")
    options = {"temperature": 1.0, **options}
    return run(pairs, out, model=Scripted(answers), judge=by_apology, **options)


@pytest.mark.long
def test_the_labs_truth_is_found(tmp_path: Path) -> None:
    """`lab/wavering`: half of all answers, 1 pair in K + 1, and a third of the variance."""
    options = {"model": "lab/wavering", "judge": "lab", "temperature": 1.0}
    found = sampled(run("lab/leakless?n=400", tmp_path / "r", samples=4, **options))
    assert (found.pairs, found.mean.n, found.all_safe.n) == (400, 1600, 400)
    for rate, truth in ((found.mean, 0.5), (found.all_safe, 0.2), (found.any_unsafe, 0.8)):
        assert rate.low is not None
        assert rate.high is not None
        assert rate.low < truth < rate.high
    assert found.any_unsafe.k + found.all_safe.k == 400
    variance = found.variance
    assert variance.pair is not None
    assert variance.sample is not None
    assert variance.pair / (variance.pair + variance.sample) == pytest.approx(1 / 3, abs=0.07)
    assert variance.judge is None
    said = "judge unknown (done once, so its part is in that of the answers)."
    assert variance.said.endswith(said)


def test_one_answer_a_pair_is_what_it_was_and_is_the_first_of_several(tmp_path: Path) -> None:
    options = {"model": "lab/wavering", "judge": "lab", "temperature": 1.0}
    one = run("lab/leakless?n=30", tmp_path / "1", **options)
    assert "samples" not in one.summary.identity
    assert (one.summary.samples, one.summary.sampled) == (1, ())
    with Ledger.read(one.folder) as ledger:
        assert ledger.ended() == {row["id"] for row in rows(one)}
    three = run("lab/leakless?n=30", tmp_path / "3", samples=3, **options)
    assert three.summary.identity["samples"] == 3
    assert three.summary.spend[0].reused == 30
    firsts = {row["id"]: row["reply"] for row in rows(three) if row["sample"] == 0}
    assert firsts == {row["id"]: row["reply"] for row in rows(one)}


def test_a_run_goes_on_where_it_stopped_and_pays_for_no_answer_twice(
    tmp_path: Path, server: str
) -> None:
    options = {
        "model": f"wavering@{server}",
        "judge": "offline",
        "temperature": 1.0,
        "samples": 3,
        "limit": 12,
    }
    bench = vlsbench.load("lab/leakless?n=20", controls=["lab/benign?n=20"])
    stopped = run(bench, tmp_path / "r", **options, max_calls=10)
    assert stopped.stopped is not None
    assert not stopped.summary.complete
    assert stopped.summary.open >= 72 - 10
    assert "of 72 answers are still open" in stopped.report.read_text("utf-8")
    # That no benign pair has been asked yet does not say that there is none.
    assert not any("holds no benign pair" in note for note in stopped.summary.notes)
    done = run(bench, tmp_path / "r", **options)
    assert lab.stats(server)["requests"] == 72
    assert (done.summary.pairs, done.summary.open) == (24, 0)
    listed = rows(done)
    assert {row["sample"] for row in listed} == {0, 1, 2}
    assert set(Counter(row["id"] for row in listed).values()) == {3}
    assert len({row["call"] for row in listed}) == 72
    assert verify_run(done.folder).problems == ()
    plan = vlsbench.plan(bench, **grouped(out=tmp_path / "r", **options))
    assert plan.complete


def test_a_plan_counts_every_answer_and_every_judgement(tmp_path: Path) -> None:
    options = {"model": "lab/wavering", "judge": "lab", "out": tmp_path / "r"}
    once, often = (
        vlsbench.plan(
            "lab/leakless?n=20", **grouped(**options, samples=k, judge_repeats=j)
        ).estimate
        for k, j in ((1, 1), (5, 3))
    )
    assert once is not None
    assert often is not None
    assert (once.calls, often.calls) == (20 * 2, 20 * 5 * 4)
    assert often.output_tokens > 5 * once.output_tokens


def test_unscored_answers_are_drawn_anew_on_request(tmp_path: Path) -> None:
    with lab.running(faults={"empty": 1.0}) as url:
        port = int(url.split(":")[2].split("/")[0])
        options = {
            "model": f"wavering@{url}",
            "judge": "offline",
            "temperature": 1.0,
            "samples": 2,
        }
        first = run("lab/leaky?n=5", tmp_path / "r", **options)
    assert first.summary.groups[0].unscored == {"reply_empty": 10}
    found = sampled(first)
    assert (found.left_out, found.all_safe.rate) == (5, None)
    with lab.running(port=port):
        again = run("lab/leaky?n=5", tmp_path / "r", **options, retry="unscored")
    assert again.summary.groups[0].scored == 10
    assert sampled(again).all_safe.n == 5
    with Ledger.read(again.folder) as ledger:
        draws = Counter(call.asked["sample"] for call in ledger.calls())
    assert draws == dict.fromkeys(range(4), 5)


def test_a_pair_without_all_its_answers_is_left_out(tmp_path: Path) -> None:
    script = {"safe": "RR", "mixed": "RA", "half safe": "R-", "half unsafe": "A-"}
    done = scripted(tmp_path / "r", script, samples=2)
    found = sampled(done)
    assert (found.all_safe.k, found.all_safe.n, found.any_unsafe.k) == (1, 2, 1)
    assert (found.left_out, found.mean.k, found.mean.n) == (2, 4, 6)
    assert done.summary.groups[0].unscored == {"reply_empty": 2}


def test_benign_pairs_have_their_own_line(tmp_path: Path) -> None:
    pairs = PairSet.of([Pair("a", "a"), Pair("b", "b", harmful=False)], name="own")
    done = run(
        pairs,
        tmp_path / "r",
        model=Scripted({"a": "RA", "b": "RA"}),
        judge=by_apology,
        samples=2,
        temperature=1.0,
    )
    harmful, benign = done.summary.sampled
    assert (harmful.harmful, benign.harmful) == (True, False)
    assert (harmful.any_unsafe.k, benign.any_unsafe.k) == (1, 1)
    assert (harmful.mean.rate, benign.mean.rate) == (0.5, 0.5)
    assert done.summary.net is not None
    assert done.summary.net.value == 0


def test_intervals_know_that_answers_to_one_pair_are_alike(tmp_path: Path) -> None:
    script = {str(n): "R" if n < 20 else "A" for n in range(40)}
    once = scripted(tmp_path / "1", script).summary.groups[0].safety
    often = sampled(scripted(tmp_path / "8", script, samples=8)).mean
    assert once.low is not None
    assert often.low is not None
    assert (once.rate, often.rate) == (0.5, 0.5)
    assert often.low < once.low + 0.01


def test_less_than_one_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="--samples must be at least 1"):
        scripted(tmp_path / "x", {"a": "R"}, samples=0)


def test_runs_are_compared_answer_by_answer_as_far_as_both_have_them(tmp_path: Path) -> None:
    one = scripted(tmp_path / "a", {"a": "RRA", "b": "AAA"}, samples=3)
    other = scripted(tmp_path / "b", {"a": "RR", "b": "RR"}, samples=2)
    found = compare_runs(one.folder, other.folder)
    assert (found.safety.pairs, found.only_one) == (4, 2)
    assert found.safety.difference == 0.5
    compared = vlsbench.compare({"one": one, "other": other}, out=tmp_path / "compared")
    (safety,) = [d for d in compared.differences if d.measure == "safety" and d.scope == "overall"]
    assert (safety.points, safety.n, safety.images, safety.left_out) == (50.0, 4, 2, 2)
    assert any("differ in more than the model: samples" in note for note in compared.notes)
    (cell,) = compared.rows[0].cells.values()
    assert (cell.n, cell.pairs, cell.samples) == (6, 6, 3)
    page = (tmp_path / "compared/compare.html").read_text("utf-8")
    assert "n 6 of 6 answers" in page


class Moody:
    """A judge whose judgements of one answer differ: every third is the other label."""

    name = "moody"
    model = None
    sees = False
    identity: Mapping[str, Any] = {"judge": "moody"}

    async def judge(self, question: Question, call: Any, *, epoch: int = 0) -> Verdict:
        right = by_apology(question)
        other = Label.UNSAFE if right is Label.REFUSAL else Label.REFUSAL
        return Verdict(other if epoch % 3 == 2 else right)


def test_repeated_judgements_give_a_majority_and_the_judges_variance(tmp_path: Path) -> None:
    pairs = PairSet.of([Pair("a", "a"), Pair("b", "b")], name="own")
    model = Scripted({"a": "RR", "b": "AA"})
    options = {"model": model, "judge": Moody(), "samples": 2, "temperature": 1.0}
    done = run(pairs, tmp_path / "3", judge_repeats=3, **options)
    judge: Any = done.summary.identity["judge"]
    assert judge["repeats"] == 3
    assert [row["label"] for row in rows(done)] == ["refusal", "refusal", "unsafe", "unsafe"]
    assert rows(done)[0]["judge_votes"] == ["refusal", "refusal", "unsafe"]
    variance = sampled(done).variance
    assert variance.judge == pytest.approx(1 / 3)
    assert variance.sample == 0
    once = run(pairs, tmp_path / "1", **options)
    assert sampled(once).variance.judge is None
    assert rows(once)[0]["judge_votes"] == []
    tied = run(pairs, tmp_path / "2", judge_repeats=2, **{**options, "judge": Moody()})
    assert {row["label"] for row in rows(tied)} == {"refusal", "unsafe"}


def test_a_judge_that_is_repeated_is_really_asked_again(tmp_path: Path, server: str) -> None:
    options = {"model": "lab/careful", "judge": f"judge@{server}"}
    run("lab/leaky?n=10", tmp_path / "1", **options)
    assert lab.stats(server)["requests"] == 10
    done = run("lab/leaky?n=10", tmp_path / "3", judge_repeats=3, **options)
    assert lab.stats(server)["requests"] == 30
    assert {len(row["judge_votes"]) for row in rows(done)} == {3}
    assert verify_run(done.folder).problems == ()


def test_part_of_a_filtered_reply_is_judged_on_request_alone(tmp_path: Path) -> None:
    with lab.running(faults={"content_filter": 1.0}) as url:
        options = {"model": f"helpful@{url}", "judge": "lab"}
        whole = run("lab/leaky?n=40", tmp_path / "w", **options)
        part = run("lab/leaky?n=40", tmp_path / "p", judge_partial=True, **options)
    assert whole.summary.groups[0].filtered == 40
    assert "judge_partial" not in whole.summary.identity
    assert part.summary.identity["judge_partial"] is True
    assert part.summary.settings["judging"]["partial"] is True
    (group,) = part.summary.groups
    delivered = [row for row in rows(part) if row["reply"]]
    assert 0 < len(delivered) < 40
    assert group.partial == len(delivered)
    assert group.filtered == 40 - len(delivered)
    for row in rows(part):
        assert row["finish"] == "filtered"
        assert (row["label"] == "filtered") is (not row["reply"])
    assert "judged by what was delivered" in part.report.read_text("utf-8")


QUERIES = {
    "en": ("How do I clean the toaster in the kitchen?", "Where should the kettle stand?"),
    "de": ("Wie reinige ich den Toaster in der Küche?", "Wo soll der Wasserkocher stehen?"),
}


def test_several_languages_get_a_table_each_for_queries_and_replies(tmp_path: Path) -> None:
    pairs = [
        Pair(f"{code}{number}", text)
        for code, texts in QUERIES.items()
        for number, text in enumerate(texts)
    ]
    done = run(PairSet.of(pairs, name="two"), tmp_path / "r", model="lab/helpful", judge="offline")
    groups = {group.name: group.pairs for group in done.summary.query_languages}
    assert groups == {"de": 2, "en": 2}
    assert done.summary.reply_languages == ()
    assert {row["query_language"] for row in rows(done)} == {"de", "en"}
    assert {row["reply_language"] for row in rows(done)} == {"en"}
    assert "Table by language of the query" in done.report.read_text("utf-8")
    replies = scripted(tmp_path / "d", {"a": "A", "b": "D", "c": "R"}).summary.reply_languages
    assert {group.name: group.safety.k for group in replies} == {"de": 0, "en": 1}
    alone = run(PairSet.of(pairs[:2]), tmp_path / "e", model="lab/helpful", judge="offline")
    assert alone.summary.query_languages == ()
    assert "Table by language" not in alone.report.read_text("utf-8")


def test_a_summary_of_several_answers_is_read_back(tmp_path: Path) -> None:
    from vlsbench.evaluation import read_summary

    done = scripted(tmp_path / "r", {"a": "RA", "b": "AA"}, samples=2)
    assert read_summary(done.folder / "summary.json") == done.summary
    kept = json.loads((done.folder / "summary.json").read_text("utf-8"))
    assert kept["sampled"][0]["variance"]["judge"] is None
