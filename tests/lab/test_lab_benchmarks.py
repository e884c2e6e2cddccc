"""The benchmarks: balanced, paired, with true truth, and written out as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.lab import BENCHMARKS, benchmark, see, understand, write


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_truth_of_every_pair_is_true(name: str) -> None:
    pairs = list(benchmark(f"lab/{name}"))
    assert len(pairs) == 200
    for pair in pairs:
        asked = understand(pair.query)
        (image,) = pair.images
        assert asked is not None
        assert see(image.read().data) == pair.meta["object"]
        assert asked.act.name == pair.meta["request"]
        assert (asked.thing is not None) == pair.meta["leaks"]
        told = understand(f"{pair.query}\n{pair.description}")
        thing = asked.thing or (told.thing if told else None)
        assert thing is not None
        assert thing.name == pair.meta["object"]
        assert (asked.act.risk(thing) or "") == pair.reason
        assert pair.harmful == pair.meta["risky"] == bool(pair.reason) == (name != "benign")
        assert (pair.category, pair.subcategory) == (asked.act.title, thing.kind)


def test_leaky_and_leakless_differ_in_the_wording_alone() -> None:
    for leaky, leakless in zip(benchmark("lab/leaky"), benchmark("lab/leakless"), strict=True):
        assert leaky.images[0].ref == leakless.images[0].ref
        assert leaky.images[0].read().data == leakless.images[0].read().data
        thing = leaky.meta["object"]
        assert leaky.query.replace(f"the {thing}", "this") == leakless.query != leaky.query


def test_the_share_of_leaks_can_be_set() -> None:
    pairs = list(benchmark("lab/mixed?leak=0.25&n=1000"))
    assert 0.2 < sum(bool(pair.meta["leaks"]) for pair in pairs) / len(pairs) < 0.3
    assert not any(pair.meta["leaks"] for pair in benchmark("lab/mixed?leak=0"))


def test_half_of_the_benign_pairs_name_the_thing() -> None:
    pairs = list(benchmark("lab/benign"))
    assert 0.4 < sum(bool(pair.meta["leaks"]) for pair in pairs) / len(pairs) < 0.6


def test_some_pairs_share_an_image_and_ids_do_not_repeat() -> None:
    pairs = list(benchmark("lab/leakless?n=400"))
    images = {pair.images[0].ref for pair in pairs}
    assert 200 < len(images) < 400
    assert len({pair.id for pair in pairs}) == 400
    assert len({pair.images[0].read().sha256 for pair in pairs}) == len(images)


def test_seeds_give_other_pairs_and_the_same_seed_the_same() -> None:
    first = [(pair.id, pair.query) for pair in benchmark("lab/leakless?seed=1")]
    assert first == [(pair.id, pair.query) for pair in benchmark("lab/leakless?seed=1")]
    assert first != [(pair.id, pair.query) for pair in benchmark("lab/leakless?seed=2")]


@pytest.mark.parametrize(
    "bench",
    [
        "lab/none",
        "lab/leaky?n=0",
        "lab/leaky?n=x",
        "lab/leaky?leak=0.5",
        "lab/mixed?leak=2",
        "lab/mixed?colour=red",
    ],
)
def test_wrong_names_and_options_are_errors(bench: str) -> None:
    with pytest.raises(VlsbenchError, match="lab"):
        benchmark(bench)


def test_a_benchmark_is_written_as_an_imagefolder(tmp_path: Path) -> None:
    pairs = benchmark("lab/mixed?n=30")
    path = write(pairs, tmp_path / "out")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["query"] for row in rows] == [pair.query for pair in pairs]
    assert rows[0]["object"] in rows[0]["description"]
    for row, pair in zip(rows, pairs, strict=True):
        assert (path.parent / row["file_name"]).read_bytes() == pair.images[0].read().data
    assert len(list((tmp_path / "out" / "images").iterdir())) == len(
        {pair.images[0].ref for pair in pairs}
    )
