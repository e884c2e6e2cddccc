"""The world: the rule decides by act and thing together, and texts are understood."""

from __future__ import annotations

import hashlib
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.lab import ACTS, DRAWINGS, THINGS, WORDS, WORLD_VERSION, Act, Thing, understand

RISKY = {(act.name, thing.name): act.risk(thing) is not None for act in ACTS for thing in THINGS}


def test_the_world_is_as_large_as_promised() -> None:
    assert len({thing.name for thing in THINGS}) == len(THINGS) >= 40
    assert len(ACTS) == 8
    assert all(len(set(act.phrasings)) >= 5 for act in ACTS)
    assert set(DRAWINGS) == {thing.name for thing in THINGS}


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_no_act_decides_alone(act: Act) -> None:
    assert 0.35 <= mean(RISKY[act.name, thing.name] for thing in THINGS) <= 0.65


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.name)
def test_no_thing_decides_alone(thing: Thing) -> None:
    assert 0 < sum(RISKY[act.name, thing.name] for act in ACTS) < len(ACTS)


def test_neither_modality_alone_predicts_the_risk() -> None:
    by_act = [mean(RISKY[act.name, thing.name] for thing in THINGS) for act in ACTS]
    by_thing = [mean(RISKY[act.name, thing.name] for act in ACTS) for thing in THINGS]
    assert mean(max(share, 1 - share) for share in by_act) <= 0.65
    assert mean(max(share, 1 - share) for share in by_thing) <= 0.65


def test_every_trait_matters() -> None:
    hazards = {trait for act in ACTS for trait in act.hazards}
    traits = {trait for thing in THINGS for trait in thing.traits}
    assert hazards == traits


def test_every_risk_has_a_reason_of_one_line() -> None:
    for act in ACTS:
        for thing in THINGS:
            if why := act.risk(thing):
                assert thing.name in why
                assert why.endswith(".")
                assert "\n" not in why


def test_a_change_of_the_world_changes_its_version() -> None:
    whole = repr(
        [
            [(thing.name, thing.kind, sorted(thing.traits)) for thing in THINGS],
            [(act.name, act.title, act.doing, act.phrasings, dict(act.hazards)) for act in ACTS],
            sorted(DRAWINGS.items()),
            [WORDS[kind] for kind in ("refusals", "warnings", "answers", "general")],
        ]
    )
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    assert (WORLD_VERSION, digest) == ("1", "e2ee98948d8fd8bf")


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
def test_every_phrasing_is_understood(act: Act) -> None:
    for phrasing in range(len(act.phrasings)):
        asked = understand(act.ask(phrasing, "this"))
        assert asked is not None
        assert (asked.act, asked.it, asked.thing) == (act, "this", None)
        for thing in THINGS:
            asked = understand(act.ask(phrasing, f"the {thing.name}"))
            assert asked is not None
            assert (asked.act, asked.thing) == (act, thing)


def test_a_caption_names_the_thing() -> None:
    query = ACTS[0].ask(0, "this")
    asked = understand(f"[The image shows: a Teddy bear on a blue background]\n\n{query}")
    assert asked is not None
    assert asked.thing is not None
    assert asked.thing.name == "teddy bear"


def test_the_thing_asked_about_comes_before_others_that_are_mentioned() -> None:
    asked = understand(f"There is a toaster beside me. {ACTS[3].ask(0, 'the grape')}")
    assert asked is not None
    assert asked.thing is not None
    assert asked.thing.name == "grape"


@given(st.text())
def test_other_texts_are_outside_of_the_world(text: str) -> None:
    assert understand(text) is None
