"""Prompts change results: each one's digest is pinned to its version."""

from __future__ import annotations

import hashlib
import json

import pytest

from vlsbench.building import RULES, STAGES
from vlsbench.building.roles import TaskStage

PINNED = {
    "elements": ("1", "c23c1bb6b355"),
    "draft": ("1", "76b838ffdbb2"),
    "perceive": ("1", "5145f0d9fd3d"),
    "detoxify": ("1", "9c28f400f56d"),
    "leak_filter": ("1", "ea79a79342dd"),
    "draw": ("1", "c373dcad316d"),
    "final_filter": ("1", "e43a7bb5c6bc"),
    "twin": ("1", "c38e3c008e75"),
    "twin_filter": ("1", "e43a7bb5c6bc"),
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_changed_prompt_has_a_new_version(stage: TaskStage) -> None:
    text = stage.task.prompt.replace("{rules}", RULES)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert (stage.task.version, digest) == PINNED[stage.name], "raise the version and pin both"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_whatever_has_text_made_states_the_rules(stage: TaskStage) -> None:
    judges = stage.name in {"leak_filter", "final_filter", "twin_filter"}
    assert ("{rules}" in stage.task.prompt) is not judges


def test_explanations_are_kept_as_they_came_and_what_goes_on_has_single_spaces() -> None:
    tasks = {stage.name: stage.task for stage in STAGES}
    loose, tidy = "One line.\n\n  Two  spaces.", "One line. Two spaces."

    def read(stage: str, **answer: object) -> dict[str, object]:
        return tasks[stage].read(json.dumps(answer))

    for name, field in (("leak_filter", "keeps"), ("final_filter", "matches")):
        answer = {"explanation": loose, field: True}
        assert read(name, **answer) == answer
    look = {"caption": loose, "critique": loose, "score": 5}
    assert read("draw", **look, prompt=loose) == {**look, "prompt": tidy}
    assert read("draft", description=loose, query=loose) == {"description": tidy, "query": tidy}
    assert read("detoxify", queries=[loose, " "]) == {"queries": (tidy,)}
