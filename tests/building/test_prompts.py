"""Prompts change results: each one's digest is pinned to its version."""

from __future__ import annotations

import hashlib

import pytest

from vlsbench.building import (
    _detoxify,
    _draft,
    _draw,
    _elements,
    _final_filter,
    _leak_filter,
    _perceive,
    _roles,
    _twins,
)

PINNED = {
    "_elements": ("1", "c23c1bb6b355"),
    "_draft": ("1", "76b838ffdbb2"),
    "_perceive": ("1", "5145f0d9fd3d"),
    "_detoxify": ("1", "9c28f400f56d"),
    "_leak_filter": ("1", "ea79a79342dd"),
    "_draw": ("1", "c373dcad316d"),
    "_final_filter": ("1", "e43a7bb5c6bc"),
    "_twins": ("1", "c38e3c008e75"),
}
MODULES = (
    _elements,
    _draft,
    _perceive,
    _detoxify,
    _leak_filter,
    _draw,
    _final_filter,
    _twins,
)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_changed_prompt_has_a_new_version(module) -> None:
    text = module.PROMPT.replace("{rules}", _roles.RULES)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = module.__name__.rpartition(".")[2]
    assert (module.VERSION, digest) == PINNED[name], "raise VERSION and pin the new digest"


@pytest.mark.parametrize("module", [_elements, _draft, _perceive, _detoxify, _draw, _twins])
def test_whatever_has_text_made_states_the_rules(module) -> None:
    assert "{rules}" in module.PROMPT
