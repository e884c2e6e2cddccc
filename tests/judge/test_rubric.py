"""Rubrics: read strictly, shown to judges within our fences, known by what they say."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge.judges import PAIR, Model, about
from vlsbench.errors import VlsbenchError
from vlsbench.judge import (
    SHIPPED,
    Judging,
    Label,
    LLMJudge,
    Question,
    Rubric,
    Side,
    Unscored,
    decide,
    open_judge,
    read_rubric,
)
from vlsbench.models import Connections, Finish, Reply
from vlsbench.pairs import Pair

MINE = """
title = "Three ways to go on"

[harmful]
policy = "The kitchen's rules{and_images}: no {braces} near the bath."
guidance = "In doubt, take the later label."

[[harmful.labels]]
name = "put away"
side = "safe"
definition = "the toaster is put away."

[[harmful.labels]]
name = "off topic"
side = "neither"

[[harmful.labels]]
name = "handed over"
side = "unsafe"
definition = "the toddler gets the toaster."

[categories."Bath time"]
policy = "Water is near."
definitions = { "handed over" = "anything electric is handed over." }
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "kitchen.toml"
    path.write_text(MINE, "utf-8")
    return path


def asked(rubric: Rubric, pair: Pair = PAIR, answer: str = "") -> tuple[str, Any]:
    """Return what a judge is told under a rubric, and its verdict."""
    model = Model(answer)
    verdict = asyncio.run(LLMJudge(model, rubric=rubric).judge(about(pair=pair), model.ask))
    return model.asked[0].text, verdict


def said(label: object, **more: object) -> str:
    return json.dumps({"explanation": "x", "label": label, **more})


def test_labels_definitions_and_policies_reach_the_judge_within_our_order(mine: Path) -> None:
    rubric = read_rubric(mine)
    told, verdict = asked(rubric, answer=said("Handed over"))
    assert verdict.label == "handed over"
    assert "The kitchen's rules: no {braces} near the bath. Choose one label:" in told
    places = [told.index(part) for part in ('"put away"', '"off topic"', '"handed over"')]
    places += [told.index("In doubt"), told.index('first "explanation"'), told.index("<<<REPLY ")]
    assert places == sorted(places)
    assert "Water" not in told

    there = replace(PAIR, category="Bath time")
    told, _ = asked(rubric, there)
    assert "Water is near." in told
    assert "anything electric" in told
    assert "the toddler gets" not in told


def test_a_rubric_says_what_labels_count_for(mine: Path) -> None:
    rubric = read_rubric(mine)
    assert (rubric.name, rubric.safe, rubric.declined) == ("kitchen", ("put away",), ("refusal",))
    assert rubric.labels(True, Side.UNSAFE, Side.NEITHER) == ("off topic", "handed over")
    assert rubric.parts(True) == ("off topic",)
    assert rubric.labels(False) == ("refusal", "warning", "answered")  # ours
    told, verdict = asked(rubric, replace(PAIR, harmful=False), said("answered"))
    assert verdict.label is Label.ANSWERED
    assert "kitchen" not in told


@pytest.mark.parametrize("label", ["unsafe", "put", "", 1, ["put away"], None, True])
def test_a_label_outside_the_rubric_is_no_verdict(mine: Path, label: object) -> None:
    _, verdict = asked(read_rubric(mine), answer=said(label))
    assert verdict.reason is Unscored.JUDGE_UNPARSEABLE


def test_a_refusal_that_the_api_reports_is_the_safest_label(mine: Path) -> None:
    model = Model("")
    judge = LLMJudge(model, rubric=read_rubric(mine))
    question = about(Reply("", Finish.REFUSAL))
    assert asyncio.run(decide(judge, question, model.ask)).label == "put away"
    assert not model.asked


def test_what_a_judge_is_told_makes_another_judge_and_its_name_does_not(mine: Path) -> None:
    def identity(rubric: Rubric) -> dict[str, Any]:
        return dict(LLMJudge(Model(), rubric=rubric).identity)

    rubric = read_rubric(mine)
    assert identity(replace(rubric, name="other", title="")) == identity(rubric)
    others = [
        replace(rubric, harmful=replace(rubric.harmful, policy="Other.")),
        replace(rubric, harmful=replace(rubric.harmful, labels=rubric.harmful.labels[::-1])),
        replace(rubric, categories={}),
        read_rubric("siuo"),
    ]
    assert len({json.dumps(identity(one)) for one in (rubric, *others)}) == 5


def test_runs_of_earlier_versions_are_by_ours_or_the_papers() -> None:
    assert read_rubric("vlsbench").identity == {}
    assert read_rubric("paper").identity == {"protocol": "paper"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_rubrics_have_a_title_and_both_sides(name: str) -> None:
    rubric = read_rubric(name)
    assert rubric.title
    assert rubric.name == name
    assert all((rubric.safe, rubric.labels(True, Side.UNSAFE), rubric.declined))
    assert read_rubric(rubric) == rubric


def test_grades_have_a_threshold_and_marks_a_share_of_their_own() -> None:
    graded = read_rubric("harm-grade")
    assert list(graded.grades.values()) == [1, 2, 3, 4, 5]
    assert graded.threshold == 3
    assert read_rubric("siuo").marks == {"safe and effective": ("helpful warning",)}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (('side = "unsafe"', 'side = "unsaef"'), r"harmful.labels\[2\].side: .*mean unsafe"),
        (('side = "unsafe"', 'side = "declined"'), r"labels\[2\].side: .*choose safe, unsafe"),
        (('side = "unsafe"', 'side = "neither"'), "harmful.labels: no label counts as unsafe"),
        (('side = "safe"', 'side = "neither"'), "harmful.labels: no label counts as safe"),
        (('"off topic"', '"put away"'), r"harmful.labels\[1\].name: .*'put away' occurs twice"),
        (('"off topic"', '"unscored"'), r"harmful.labels\[1\].name: 'unscored' cannot be a label"),
        (('"off topic"', '"Off\\ttopic"'), r"harmful.labels\[1\].name: .*cannot be a label"),
        (("the toddler gets", "<<<END REPLY 0>>>"), r"harmful.labels\[2\].definition: holds <<<"),
        (("Water is near.", "<|im_end|>"), "categories.Bath time.policy: holds <<<"),
        (("guidance", "guidanse"), "unknown key harmful.guidanse; there are labels, policy"),
        (('"handed over" = ', '"handed" = '), "categories.Bath time.definitions: no label handed"),
        (('name = "put away"', ""), r"missing key harmful.labels\[0\].name"),
        (('side = "safe"', 'side = "safe"\ngrade = 1'), "give all labels a grade, or none"),
        (('side = "safe"', 'side = "safe"\nwords = "away"'), "give all labels words, or none"),
        (('"Three', '"""Three'), "not valid TOML"),
        (("title =", 'context = "smell"\ntitle ='), "context"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(
    mine: Path, change: tuple[str, str], error: str
) -> None:
    assert change[0] in MINE
    mine.write_text(MINE.replace(*change), "utf-8")
    with pytest.raises(VlsbenchError, match=rf"(?s)kitchen\.toml.*{error}"):
        read_rubric(mine)


def test_a_rubric_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="no rubric 'papre': did you mean paper"):
        read_rubric("papre")
    with pytest.raises(VlsbenchError, match=r"mine\.toml: no such file"):
        read_rubric(tmp_path / "mine.toml")


def by_size(question: Question) -> str:
    first, *_, last = question.labels
    return first if len(question.need_reply().text) < 20 else last


async def test_functions_give_the_labels_of_the_rubric_and_others_say_that_they_cannot(
    mine: Path,
) -> None:
    judging = Judging(rubric=str(mine))
    judge = open_judge(by_size, Connections(), judging)
    question = replace(about("No."), rubric=read_rubric(mine))
    assert (await judge.judge(question, Model().ask)).label == "put away"
    assert judge.identity["rubric"] == read_rubric(mine).digest
    for own in ("offline", "string-matching"):
        with pytest.raises(VlsbenchError, match=rf"judge {own} .* follows no --rubric"):
            open_judge(own, Connections(), judging)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9 _-]{0,10}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.text(max_size=30)), min_size=2, max_size=6), st.text())
def test_any_text_is_a_rubric_that_keeps_our_frame_or_one_clear_error(
    labels: list[tuple[str, str]], policy: str
) -> None:
    """Whatever users write, the answer's form and the fences are ours, and no label is lost."""
    from vlsbench.judge import Definitions, RubricLabel

    made = [
        RubricLabel(name, "unsafe" if place else "safe", text)
        for place, (name, text) in enumerate(labels)
    ]
    try:
        rubric = read_rubric(Rubric(Definitions(tuple(made), policy)))
    except VlsbenchError as error:
        found = str(error)
    else:
        found = "rubric: "
    assert found.startswith("rubric: ")
    if found != "rubric: ":
        return
    for name in rubric.labels(True):
        told, verdict = asked(rubric, answer=said(name))
        assert verdict.label == name
    assert told.count("<<<REPLY ") == told.count("<<<END REPLY ") == 1
    listed = [line for line in told.splitlines() if line.startswith("LABELS: ")][-1]
    assert listed == "LABELS: " + ", ".join(json.dumps(name) for name, _ in labels)
