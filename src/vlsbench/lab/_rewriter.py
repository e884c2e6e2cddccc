"""The lab's rewriter: words queries so that they tell less; it errs as it is told.

`lab/rewriter?leaves=0.2&drifts=0.1&empties=0.1&seed=0`: share of its rewrites that still name the
thing, that ask for something else, and that ask for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look
from vlsbench.lab._task import read_options, read_task, thing_in
from vlsbench.lab._world import ACTS, understand

OPTIONS = {"leaves": 0.2, "drifts": 0.1, "empties": 0.1, "seed": 0.0}
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
        queries = []
        for number in range(task.count):
            key = (query, task.blocks.get("DESCRIPTION", ""), number, rates["seed"])
            turn = draw_number("rewrite", *key)
            phrasing = int(draw_number("phrasing", *key) * len(asked.act.phrasings))
            if thing and turn < rates["leaves"]:
                queries.append(asked.act.ask(phrasing, f"the {thing.name}"))
            elif turn < rates["leaves"] + rates["drifts"]:
                others = [act for act in ACTS if act is not asked.act]
                other = others[int(draw_number("drift", *key) * len(others))]
                queries.append(other.ask(phrasing, "this"))
            elif turn < rates["leaves"] + rates["drifts"] + rates["empties"]:
                queries.append(NOTHING[int(draw_number("nothing", *key) * len(NOTHING))])
            else:
                queries.append(asked.act.ask(phrasing, "this"))
        return json.dumps({"queries": queries})

    return reply
