"""Phrases, topic bits and the corrected share: the arithmetic of measure A."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from vlsbench.auditing.overlap.background import IMAGES, QUESTIONS
from vlsbench.auditing.overlap.calibration import leaking_share, shipped
from vlsbench.auditing.overlap.measure import (
    LONGEST,
    LONGEST_CLAUSE,
    Background,
    Nothing,
    clauses,
    content_words,
    is_general,
    phrases,
    topic_bits,
    without,
    words,
)
from vlsbench.stats import mean_interval, median_interval


@given(st.text(max_size=200))
def test_words_and_phrases_stand_where_they_say(text: str) -> None:
    for word in words(text):
        assert text[word.start : word.end] == word.text
    found = phrases(text)
    for phrase in found:
        assert phrase.text == " ".join(text[phrase.start : phrase.end].casefold().split())
        assert 1 <= len(words(text[phrase.start : phrase.end])) <= LONGEST
    assert len(found) <= LONGEST * len(words(text))


def test_phrases_name_things_and_cross_no_punctuation() -> None:
    found = {phrase.text for phrase in phrases("Should I give the hair dryer to her, my toddler?")}
    assert {"hair", "hair dryer", "dryer", "toddler"} <= found
    assert not any(text.split()[0] in {"the", "to", "my", "i", "should"} for text in found)
    assert not any("dryer" in text and "toddler" in text for text in found)


def test_a_query_that_only_points_has_no_phrase() -> None:
    assert phrases("Should I do this?") == []


def test_a_word_is_left_out_where_it_stands() -> None:
    text = "warm the cat, not the other cat"
    assert without(text, words(text)[2]) == "warm the , not the other cat"


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def background() -> Background:
    rng = np.random.default_rng(0)
    sizes = (len(IMAGES), len(QUESTIONS), 10, 10)
    return Background(*(unit(rng.normal(size=(size, 64))) for size in sizes))


def test_topic_is_bounded_grows_with_similarity_and_is_nothing_for_neutral_questions(
    background: Background,
) -> None:
    rng = np.random.default_rng(1)
    content = unit(rng.normal(size=(1, 64)))
    away = unit(rng.normal(size=(1, 64)))
    mixed = unit(np.concatenate([content * share + away * (1 - share) for share in (0, 0.5, 1)]))
    bits = topic_bits(mixed, np.repeat(content, 3, axis=0), background)
    assert bits[0] < bits[1] < bits[2] < np.log2(len(IMAGES) + 1) + 1e-9
    assert np.isfinite(topic_bits(-content, content, background)).all()
    neutral = topic_bits(
        background.questions, np.repeat(content, len(QUESTIONS), axis=0), background
    )
    # As a factor it is 1 on average, less what the bound takes off.
    assert 0.5 < np.mean(2**neutral) <= 1


@given(st.integers(0, 2**32 - 1), st.floats(1, 200))
def test_questions_and_images_of_nothing_lift_nothing_on_average(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    # Texts and images lie apart, as those of models that are trained to match them do.
    questions, images = unit(rng.normal(2, 1, (40, 16))), unit(rng.normal(-1, 1, (30, 16)))
    nothing = Nothing(images.mean(axis=0), questions.mean(axis=0), scale)
    image, query = unit(rng.normal(-1, 1, (1, 16))), unit(rng.normal(2, 1, (1, 16)))
    by_question = nothing.lift(questions, np.repeat(image, 40, axis=0))
    by_image = nothing.lift(np.repeat(query, 30, axis=0), images)
    assert by_question.mean() == pytest.approx(0, abs=1e-5 * scale)
    assert by_image.mean() == pytest.approx(0, abs=1e-5 * scale)
    bits = topic_bits(query, image, nothing)
    assert np.sign(bits) == np.sign(nothing.lift(query, image))
    assert bits < np.log2(len(IMAGES) + 1) + 1e-9


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.floats(0, 1))
def test_a_corrected_share_is_a_share_inside_its_interval(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    probabilities = np.where(rng.random(n) < share, 0.9, 0.1)
    clusters = rng.integers(0, max(1, n // 2), size=n)
    found = leaking_share(probabilities, clusters, shipped())
    assert found.n == n
    assert found.value is not None
    assert 0 <= found.value <= 1
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_planted_share_is_in_the_interval_for_domains_left_out() -> None:
    rng = np.random.default_rng(0)
    ship = shipped()
    inside: dict[str, list[bool]] = {}
    for left in ship.errors:
        others = replace(ship, errors=tuple(one for one in ship.errors if one != left))
        for planted in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            for n in (100, 200):
                named = np.arange(n) < planted * n
                rate = np.where(named, left.found / left.naming, left.false / left.silent)
                probabilities = np.where(rng.random(n) < rate, 0.9, 0.1)
                found = leaking_share(probabilities, np.arange(n), others)
                assert found.low is not None
                assert found.high is not None
                inside.setdefault(left.control + left.domain, []).append(
                    found.low <= planted <= found.high
                )
    assert min(np.mean(hits) for hits in inside.values()) >= 0.92
    assert np.mean([hit for hits in inside.values() for hit in hits]) >= 0.98


@given(st.text(max_size=300))
def test_clauses_hold_all_words_and_are_short(text: str) -> None:
    found = clauses(text)
    assert found
    if content_words(text):
        assert all(len(clause.split()) <= LONGEST_CLAUSE for clause in found)
        assert {word for clause in found for word in content_words(clause)} >= set(
            content_words(" ".join(text.split()))
        ) - {word for word in content_words(text) if not word.isalnum()}


def test_words_for_kinds_are_general_and_words_for_things_are_not() -> None:
    for text in ("this person", "people", "effective ways", "some items", "activities", "3"):
        assert is_general(text), text
    for text in ("toaster", "hair dryer", "toddlers", "person with a toaster"):
        assert not is_general(text), text


def test_a_named_share_no_larger_than_false_alarms_is_no_leak() -> None:
    false = np.mean([count.false / count.silent for count in shipped().errors])
    probabilities = np.where(np.arange(1000) < 1000 * false, 0.9, 0.1)
    found = leaking_share(probabilities, np.arange(1000), shipped())
    assert found.low == 0
    assert found.value is not None
    assert found.value < false


def test_intervals_of_mean_and_median_cover_and_widen_with_clusters() -> None:
    rng = np.random.default_rng(0)
    inside = np.zeros(2)
    for _ in range(300):
        effects = rng.normal(size=60)
        clusters = rng.integers(0, 60, size=180)
        values = effects[clusters] + rng.normal(size=180)
        for place, interval in enumerate((mean_interval, median_interval)):
            bounds = interval(values, clusters)
            assert bounds
            inside[place] += bounds.low <= 0 <= bounds.high
    assert (inside > 270).all()
    values = np.repeat(rng.normal(size=50), 4)
    apart = mean_interval(values, np.arange(200))
    together = mean_interval(values, np.repeat(np.arange(50), 4))
    assert apart
    assert together
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert mean_interval(values, np.zeros(200, int)) is None
    assert median_interval(values, np.zeros(200, int)) is None
