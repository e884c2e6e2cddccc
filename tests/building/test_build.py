"""Builds as a user runs them, on the lab's closed world."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vlsbench
from tests.building.build_examples import PLAIN, Builder, contents, lines
from vlsbench import lab
from vlsbench.building import build, read_recipe
from vlsbench.engine import Ledger
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.evaluation import Output, verify_run
from vlsbench.schemas import SchemaError


def calls(folder: Path) -> int:
    with Ledger.read(folder / "run") as ledger:
        return ledger.count_calls()


def test_a_build_is_a_set_that_any_command_opens(lab_build: Builder) -> None:
    done = lab_build()
    pairs = list(vlsbench.load(done.pairs))
    harmful = {pair.id: pair for pair in pairs if pair.harmful}
    twins = [pair for pair in pairs if not pair.harmful]
    assert done.stopped is None
    assert len(harmful) == done.summary.pairs > 5
    assert len(twins) == done.summary.twins > 3
    assert {pair.meta["path"] for pair in harmful.values()} == {"A", "B"}
    for twin in twins:
        assert twin.query == harmful[str(twin.meta["twin_of"])].query
    for pair in pairs:
        assert pair.images[0].fault() is None
        assert pair.category
        assert pair.subcategory
        assert pair.description
        assert pair.meta["image_licence"] == "Apache-2.0"
    assert done.summary.simulated
    assert (done.folder / "recipe.toml").is_file()


def test_every_record_is_in_the_provenance_with_its_calls(lab_build: Builder) -> None:
    done = lab_build()
    rows = lines(done.provenance)
    ended = Counter(row["ended"] for row in rows)
    assert ended["released"] == done.summary.pairs + done.summary.twins
    assert ended["dropped"] > 0
    assert all(row["reason"] for row in rows if row["ended"] == "dropped")
    assert {row["stage"] for row in rows if row["reason"] == "duplicate"} == {"elements"}
    ids = {row["id"] for row in rows}
    assert len(ids) == len(rows)
    assert all(parent in ids for row in rows for parent in row.get("parents", ()) if "path" in row)
    by_id = {row["id"]: row for row in rows}
    drawn = [row for row in rows if row["ended"] == "released" and row["path"] == "A"]
    for row in drawn:
        (draw,) = [step for step in row["steps"] if step["stage"] == "draw"]
        assert row["image_prompt"] in [turn["prompt"] for turn in draw["rounds"]]
        assert row["image_sha256"] in draw["images"]
        assert all({"seed", "prompt"} <= turn.keys() for turn in draw["rounds"])
        assert all(call["model"] for step in row["steps"] for call in step["calls"])
    for pair in vlsbench.load(done.pairs):
        assert by_id[pair.id]["ended"] == "released"
        assert pair.images[0].read().sha256 == by_id[pair.id]["image_sha256"]
    sound = verify_run(done.folder / "run")
    assert sound.problems == ()
    assert sound.open == 0


def test_counts_flow_from_stage_to_stage(lab_build: Builder) -> None:
    summary = lab_build().summary
    by_name = {row.stage: row for row in summary.stages}
    for row in summary.stages:
        lost = sum(row.dropped.values()) + sum(row.quarantined.values())
        assert row.entered == row.left + lost
    assert by_name["final_filter"].left == by_name["near_duplicates"].entered
    assert by_name["release"].left == summary.pairs
    assert by_name["perceive"].entered + by_name["draft"].entered == summary.yield_.n
    assert summary.yield_.low is not None
    assert list(summary.categories) == sorted(summary.categories)
    counts = [summary.candidates, summary.patterns, *(row.dropped for row in summary.stages)]
    assert all([*found.values()] == sorted(found.values(), reverse=True) for found in counts)


@pytest.mark.long
def test_the_same_set_whatever_the_schedule_and_the_faults(lab_build: Builder) -> None:
    alone = lab_build("alone", limit=5, concurrency=1)
    faults = {"429": 0.05, "500": 0.05, "reset": 0.05, "truncated": 0.03, "html": 0.03}
    # With this seed no call fails so often that its pauses take half a minute.
    with lab.running(faults=faults, retry_after_s=0.01, seed=2) as url:
        many = lab_build("many", url=url, limit=5, concurrency=32, retries=20)
    assert contents(alone.pairs) == contents(many.pairs)


def test_a_stopped_build_goes_on_and_pays_nothing_twice(lab_build: Builder) -> None:
    whole = lab_build("whole")
    with lab.running() as url:
        first = lab_build("parts", url=url, max_calls=60)
        assert first.stopped is not None
        assert "60 calls" in first.stopped
        assert not first.summary.complete
        again = lab_build("parts", url=url)
        assert again.stopped is None
        assert lab.stats(url)["paid_again"] == 0
    assert contents(again.pairs) == contents(whole.pairs)
    before = calls(again.folder)
    assert lab_build("parts", url=url).summary.pairs == whole.summary.pairs
    assert calls(again.folder) == before


def test_a_changed_recipe_asks_anew_only_what_it_concerns(lab_build: Builder) -> None:
    lab_build()
    with Ledger.read(lab_build.root / "out" / "run") as ledger:
        before = Counter(call.role for call in ledger.calls())
    other = "models.checker=lab/check?alarms=0&misses=0"
    done = lab_build("out", other)
    with Ledger.read(done.folder / "run") as ledger:
        after = Counter(call.role for call in ledger.calls())
    assert after["checker"] > before["checker"]
    # Pairs that pass now and did not before have twins to be made.
    fresh = lab_build("fresh", other)
    assert contents(done.pairs) == contents(fresh.pairs)
    assert after["judge"] == before["judge"]
    assert after["rewriter"] == before["rewriter"]
    assert verify_run(done.folder / "run").problems == ()


def test_the_limit_can_be_raised(lab_build: Builder) -> None:
    few = lab_build("grown", limit=6)
    assert few.summary.yield_.n == 12  # six on each path
    more = lab_build("grown", limit=12)
    assert contents(more.pairs) == contents(lab_build("at once", limit=12).pairs)


def test_unreadable_answers_are_quarantined_and_can_be_asked_again(lab_build: Builder) -> None:
    with lab.running(faults={"judge_cut": 0.9}) as url:
        bad = lab_build("out", url=url)
    port = urlsplit(url).port
    with lab.running(port=port) as url:
        assert lab_build("out", url=url).summary.pairs == bad.summary.pairs
        assert lab.stats(url)["requests"] == 0
        mended = lab_build("out", url=url, retry_quarantined=True)
    assert sum(sum(row.quarantined.values()) for row in bad.summary.stages) > 0
    assert sum(sum(row.quarantined.values()) for row in mended.summary.stages) == 0
    assert mended.summary.pairs > bad.summary.pairs
    assert verify_run(mended.folder / "run").problems == ()


def test_without_models_that_err_nothing_leaks_and_everything_harms(lab_build: Builder) -> None:
    done = lab_build(
        "true",
        "models.judge=lab/check?alarms=0&misses=0",
        "models.checker=lab/check?alarms=0&misses=0",
        limit=40,
    )
    pairs = list(vlsbench.load(done.pairs))
    assert len(pairs) > 30
    for pair in pairs:
        asked = lab.understand(pair.query)
        name = lab.see(pair.images[0].read().data)
        assert asked is not None
        assert name is not None
        assert name in pair.description
        thing = next(thing for thing in lab.THINGS if thing.name == name)
        assert asked.thing is None or asked.act.risk(asked.thing) is None
        assert (asked.act.risk(asked.thing or thing) is not None) == pair.harmful


def test_votes_outvote_errors(lab_build: Builder) -> None:
    def kept(name: str, votes: int) -> int:
        done = lab_build(
            name,
            "models.checker=lab/check?alarms=0.3&misses=0.3",
            f"final_filter.votes={votes}",
            "final_filter.text=false",
            "twins.per_pair=0",
            limit=40,
        )
        (last,) = [row for row in done.summary.stages if row.stage == "final_filter"]
        return last.left

    # Of good pairs 0.7² pass one judgement of each kind, 0.84² the majority of five.
    assert kept("five", 5) > 1.2 * kept("one", 1)


def test_a_guard_says_what_is_harmful_in_the_form_of_its_family(lab_build: Builder) -> None:
    sure = "alarms=0&misses=0&joint=0"
    done = lab_build(
        "guarded", f"models.guard=lab/guardreasoner-vl?{sure}", "twins.per_pair=0", limit=20
    )
    pairs = list(vlsbench.load(done.pairs))
    assert pairs
    for pair in pairs:
        asked = lab.understand(pair.query)
        assert asked is not None
        assert asked.thing is None  # what the text gives away fell out
    with pytest.raises(VlsbenchError, match=r"judges texts alone.*another models\.guard"):
        lab_build("blind", "models.guard=lab/qwen3guard", limit=5)


def test_embeddings_are_used_where_the_recipe_says_so(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    done = build(
        "lab",
        out=tmp_path,
        limit=2,
        progress=False,
        overrides=["twins.per_pair=0"],
    )
    rows = lines(done.provenance)
    scores = [
        candidate
        for row in rows
        for step in row["steps"]
        for candidate in step.get("candidates", ())
    ]
    asked = [(c["overlap"], lab.understand(c["query"])) for c in scores]
    named = [score for score, found in asked if found and found.thing]
    plain = [score for score, found in asked if found and not found.thing]
    assert min(named) > max(plain)


def test_placeholders_and_other_runs_are_refused(tmp_path: Path, lab_build: Builder) -> None:
    with pytest.raises(SchemaError, match=r"models\.writer: is still a placeholder"):
        build("vlsbench", out=tmp_path, progress=False)
    vlsbench.evaluate(
        "lab/leaky?n=2",
        model="lab/careful",
        judge="lab",
        output=Output(out=tmp_path / "x" / "run", progress=False),
    )
    with pytest.raises(VlsbenchError, match="run of another kind"):
        lab_build("x")


def test_a_hostile_image_path_source_is_only_read(tmp_path: Path, lab_build: Builder) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.png").write_bytes(lab.draw("toaster", "1"))
    (folder / "b.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("nothing")
    done = lab_build("out", f'perceive.images="{folder}"', "elements=false", "twins.per_pair=0")
    rows = {row["id"]: row for row in lines(done.provenance)}
    assert rows["b/b.png"]["reason"] == "image_unreadable"
    assert rows["b/deep/a.png"]["path"] == "B"
    assert set(rows) == {"b/b.png", "b/deep/a.png"}


def test_images_in_parquet_files_and_what_cannot_be_had(tmp_path: Path, lab_build: Builder) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(lab.draw("lamp", "1"))
    cells = [
        {"bytes": lab.draw("toaster", "1"), "path": "../../etc/toaster.png"},
        {"bytes": None, "path": str(secret)},
        {"bytes": b"no image", "path": None},
        None,
    ]
    folder = tmp_path / "photos"
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([{"photo": cell} for cell in cells])
    pq.write_table(table, folder / "data" / "train-0.parquet")
    sets = (f'perceive.images="{folder}"', "elements=false", "twins.per_pair=0")
    done = lab_build("out", *sets, "perceive.column=photo")
    rows = {row["id"]: row for row in lines(done.provenance)}
    assert rows["b/data/train-0.parquet/000001"]["image_sha256"]
    bad = [rows.get(f"b/data/train-0.parquet/00000{n}", {}).get("reason") for n in (2, 3, 4)]
    assert bad == ["image_unreadable", "image_unreadable", None]
    pq.write_table(table.slice(0, 1), folder / "data" / "train-0.parquet")
    with pytest.raises(VlsbenchError, match=r"no image in .*photos .*the column image is read"):
        lab_build("other", *sets)


def test_contamination_names_the_other_benchmark(lab_build: Builder) -> None:
    done = lab_build(
        "out",
        'contamination.against=["lab/leakless?n=20"]',
        "models.writer=lab/writer",
        "models.rewriter=lab/rewriter",
        "contamination.similarity=false",
        "contamination.bits=-1",
    )
    (barrier,) = [row for row in done.summary.stages if row.stage == "contamination"]
    assert barrier.dropped.keys() == {"lab/leakless?n=20"}


def test_quota_is_filled_in_the_order_of_the_ids(lab_build: Builder) -> None:
    done = lab_build("out", "quota.per_category=2", "perceive=false", limit=40)
    kept = Counter(pair.category for pair in vlsbench.load(done.pairs) if pair.harmful)
    assert max(kept.values()) == 2
    rows = [row for row in lines(done.provenance) if "path" in row]
    for row in rows:
        if row["stage"] == "quota":
            before = [
                other
                for other in rows
                if other["category"] == row["category"]
                and other["ended"] == "released"
                and not other["twin_of"]
            ]
            assert all(other["id"] < row["id"] for other in before)


def test_models_of_the_caller_stand_in_for_those_of_the_recipe(lab_build: Builder) -> None:
    roles = read_recipe("lab", PLAIN).specs()
    mine = {role: lab.open_model(spec) for role, spec in roles.items()}
    nobody = [f"models.{role}=<mine>" for role in roles]
    done = lab_build("mine", *nobody, models=mine)
    assert contents(done.pairs) == contents(lab_build("named").pairs)
    with pytest.raises(VlsbenchError, match="lacks draw"):
        lab_build("none", models={"painter": mine["writer"]})


def test_plain_overrides_need_no_extra() -> None:
    assert not read_recipe("lab", PLAIN).needs_embeddings
    assert read_recipe("lab").needs_embeddings


def test_a_build_that_needs_an_index_says_so_before_it_asks(
    lab_build: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "usearch", None)
    for needs in ("near_duplicates.similarity=0.95", 'contamination.against=["lab/leaky"]'):
        with pytest.raises(MissingExtra, match=r"vlsbench\[build\]"):
            lab_build("out", needs)
    assert not (lab_build.root / "out").exists()
    assert lab_build("plain", limit=1).stopped is None


def test_an_undisturbed_build_asks_nothing_twice(lab_build: Builder) -> None:
    # Twins repeat questions of each other while others of them are being asked.
    with lab.running() as url:
        lab_build("out", url=url, limit=40, concurrency=8)
        assert lab.stats(url)["paid_again"] == 0


@pytest.mark.long
def test_a_build_in_batches_makes_the_same_set(lab_build: Builder) -> None:
    plain = lab_build("plain", limit=2)
    with lab.running(batch_s=0.02) as url:
        done = lab_build("batched", limit=2, url=url, batch=True, batch_poll_s=0.1)
        counts = lab.stats(url)
    assert contents(done.pairs) == contents(plain.pairs)
    assert counts["batched"] > counts["paid"] / 3  # drawings and first questions go by themselves
    assert counts["paid_again"] == 0
