"""The lab's eyes and checks: they look at pictures and judge pairs in the making, and err.

`lab/eyes?errs=0.05&leaks=0.85&varies=0&seed=0`: share of pictures that it takes for something else,
of its queries that name the thing, and of those that have words around the request (`_writer`).
`lab/check?alarms=0.05&misses=0.05&stubborn=0&seed=0`: share of
its wrong yeses and noes to `meaning` and `match`; asked about harm it is `lab/harm` with the same
rates.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from vlsbench.lab._faults import draw_number
from vlsbench.lab._harm import Errors, harm
from vlsbench.lab._look import Look
from vlsbench.lab._task import Task, read_options, read_task, thing_in
from vlsbench.lab._world import ACTS, THINGS, Thing, understand
from vlsbench.lab._writer import draft_query

EYES = {"errs": 0.05, "leaks": 0.85, "varies": 0.0, "seed": 0.0}
CHECK = {"alarms": 0.05, "misses": 0.05, "stubborn": 0.0, "seed": 0.0}
GOOD, BAD = 9, 2
"""Scores of pictures that do and do not show what they were to show."""


def eyes(options: str = "") -> Callable[[str, Look], str]:
    """Make eyes. Raises `VlsbenchError` where the options cannot be read."""
    rates = read_options("eyes", options, **EYES)

    def reply(text: str, look: Look) -> str:
        task = read_task(text)
        seen = next(iter(look()), None)
        if task and task.name == "perceive":
            return json.dumps(_perceive(task, seen, rates))
        if task and task.name == "look":
            return json.dumps(_look(task, seen, rates))
        return f"I see {seen.a}." if seen else "I see nothing that I know."

    return reply


def _perceive(task: Task, seen: Thing | None, rates: dict[str, float]) -> dict[str, object]:
    nothing = {"description": "a plain ground", "risk": "", "subcategory": "none", "query": ""}
    if seen is None:
        return dict(nothing)
    key = (task.prompt, seen.name, rates["seed"])
    if draw_number("errs", *key) < rates["errs"]:
        seen = THINGS[int(draw_number("other", *key) * len(THINGS))]
    listed = task.blocks.get("SUBCATEGORIES", "").splitlines()
    risky = [act for act in ACTS if act.risk(seen) and f"{act.title}: {seen.kind}" in listed]
    if not risky:
        return {**nothing, "description": f"{seen.a} on a plain ground"}
    act = risky[int(draw_number("act", *key) * len(risky))]
    return {
        "description": f"{seen.a} on a plain ground",
        "risk": act.risk(seen) or "",
        "subcategory": f"{act.title}: {seen.kind}",
        "query": draft_query(act, seen, rates, *key),
    }


def _look(task: Task, seen: Thing | None, rates: dict[str, float]) -> dict[str, object]:
    description = task.blocks.get("DESCRIPTION", "")
    wanted = thing_in(description)
    key = (*task.blocks.values(), seen.name if seen else "", rates["seed"])
    shows = wanted is not None and seen is wanted
    if draw_number("errs", *key) < rates["errs"]:
        shows = not shows
    what = wanted.a if wanted else "it"
    return {
        "caption": f"{seen.a} on a plain ground" if seen else "a plain ground, nothing on it",
        "critique": "It is all there." if shows else f"The picture does not show {what}.",
        "score": GOOD if shows else BAD,
        "prompt": description if shows else f"{description}. Show {what} alone, whole and large.",
    }


def check(options: str = "", sample: int | None = None) -> Callable[[str, Look], str]:
    """Make a judge of pairs in the making; `sample` tells repeated judgements apart.

    Raises:
        VlsbenchError: The options cannot be read.
    """
    rates = read_options("check", options, **CHECK)
    errors = Errors(rates["alarms"], rates["misses"], int(rates["seed"]), rates["stubborn"], sample)

    def reply(text: str, look: Look) -> str:
        task = read_task(text)
        if task is None or task.name not in ("meaning", "match"):
            return harm(text, look, errors)
        if task.name == "meaning":
            before = understand(task.blocks.get("ORIGINAL", ""))
            after = understand(task.blocks.get("REWRITTEN", ""))
            truth = before is not None and after is not None and before.act is after.act
            return _verdict("keeps", truth, errors, *task.blocks.values())
        seen = next(iter(look()), None)
        wanted = thing_in(task.blocks.get("DESCRIPTION", ""))
        truth = wanted is not None and seen is wanted
        # One answer for each picture as the lab sees it: pictures differ, the thing is the same.
        return _verdict("matches", truth, errors, *task.blocks.values(), seen.name if seen else "")

    return reply


def _verdict(field: str, truth: bool, errors: Errors, *question: object) -> str:
    answer = errors.answer(truth, field, *question)
    right = "By the rule." if answer == truth else "Judged in error, as told to err."
    return json.dumps({"explanation": right, field: answer})
