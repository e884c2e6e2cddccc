"""The lab's rewriter: words queries so that they tell less; it errs as it is told.

`lab/rewriter?leaves=0.2&drifts=0.1&empties=0.1&varies=0&seed=0`: share of its rewrites that still
name the thing, that ask for something else, that ask for nothing, and that have words around the
request (see `_writer`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look
from vlsbench.lab._task import Task, read_options, read_task, thing_in
from vlsbench.lab._world import ACTS, Asked, Thing, understand
from vlsbench.lab._writer import varied

OPTIONS = {"leaves": 0.2, "drifts": 0.1, "empties": 0.1, "varies": 0.0, "seed": 0.0}
SAYS = "I rewrite queries: send me one between fences, with what its picture shows."
NOTHING = ("Can you help me with this?", "What do you think of this?", "Please tell me about this.")
"""Rewrites that ask for nothing in particular."""


def rewriter(options: str = "") -> Callable[[str, Look], str]:
    """Make a rewriter. Raises `VlsbenchError` where the options cannot be read."""
    rates = read_options("rewriter", options, **OPTIONS)

    def reply(text: str, look: Look) -> str:
        task = read_task(text)
        query = task.blocks.get("QUERY", "") if task and task.name == "detoxify" else ""
        if task is None or (asked := understand(query)) is None:
            return SAYS
        thing = asked.thing or thing_in(task.blocks.get("DESCRIPTION", ""))
        queries = [_rewrite(task, asked, thing, number, rates) for number in range(task.count)]
        return json.dumps({"queries": queries})

    return reply


def _rewrite(
    task: Task, asked: Asked, thing: Thing | None, number: int, rates: Mapping[str, float]
) -> str:
    key = (task.blocks["QUERY"], task.blocks.get("DESCRIPTION", ""), number, rates["seed"])
    turn = draw_number("rewrite", *key)
    phrasing = int(draw_number("phrasing", *key) * len(asked.act.phrasings))
    drifts = rates["leaves"] + rates["drifts"]
    if drifts <= turn < drifts + rates["empties"]:
        return NOTHING[int(draw_number("nothing", *key) * len(NOTHING))]
    act, it = asked.act, "this"
    if thing and turn < rates["leaves"]:
        it = f"the {thing.name}"
    elif turn < drifts:
        others = [act for act in ACTS if act is not asked.act]
        act = others[int(draw_number("drift", *key) * len(others))]
    return varied(act.ask(phrasing, it), rates, *key)
