"""The lab's writer: risky things, drafts about them, and harmless twins; it errs as it is told.

`lab/writer?leaks=0.85&misjudges=0.1&repeats=0.1&varies=0&seed=0`: share of its queries that name
the thing, of its elements (and twins) whose risk it misjudges, of its elements that it lists twice,
and of its queries that have words around the request (`VARIED` wordings of each, for the world has
few requests).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from vlsbench.lab._draw import GROUNDS
from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look
from vlsbench.lab._task import Task, act_titled, read_options, read_task, thing_in
from vlsbench.lab._world import THINGS, Act, Thing, understand

OPTIONS = {"leaks": 0.85, "misjudges": 0.1, "repeats": 0.1, "varies": 0.0, "seed": 0.0}
OPENERS = (
    "Hello!",
    "Good morning.",
    "Hi there.",
    "A quick question.",
    "I am new to this.",
    "Nobody could tell me so far.",
    "Sorry to bother you.",
    "My neighbour wants to know as well.",
)
CLOSERS = (
    "Thanks!",
    "Thank you in advance.",
    "A short answer will do.",
    "I have ten minutes.",
    "Cheers.",
    "No hurry.",
)
VARIED = len(OPENERS) * len(CLOSERS)
SAYS = "I write drafts: send me a task of a build, its material between fences."


def writer(options: str = "") -> Callable[[str, Look], str]:
    """Make a writer. Raises `VlsbenchError` where the options cannot be read."""
    rates = read_options("writer", options, **OPTIONS)

    def reply(text: str, look: Look) -> str:
        task = read_task(text)
        if task is None or task.name not in ("elements", "draft", "twin"):
            return SAYS
        made = {"elements": _elements, "draft": _draft, "twin": _twin}[task.name](task, rates)
        return json.dumps(made) if made else SAYS

    return reply


def draft_query(act: Act, thing: Thing, rates: Mapping[str, float], *key: object) -> str:
    """Word a query about a thing, naming it at the rate `leaks` and varied at the rate `varies`."""
    named = draw_number("leaks", *key) < rates["leaks"]
    phrasing = int(draw_number("phrasing", *key) * len(act.phrasings))
    return varied(act.ask(phrasing, f"the {thing.name}" if named else "this"), rates, *key)


def varied(query: str, rates: Mapping[str, float], *key: object) -> str:
    """Put one of the openers and closers around a query, at the rate `varies`."""
    if draw_number("varies", *key) >= rates["varies"]:
        return query
    opener = OPENERS[int(draw_number("opener", *key) * len(OPENERS))]
    closer = CLOSERS[int(draw_number("closer", *key) * len(CLOSERS))]
    return f"{opener} {query} {closer}"


def _elements(task: Task, rates: dict[str, float]) -> dict[str, object] | None:
    act = act_titled(task.blocks.get("CATEGORY", ""))
    if act is None:
        return None
    cell = (act.name, task.blocks.get("SUBCATEGORY", ""), rates["seed"])
    of_kind = [thing for thing in THINGS if thing.kind == cell[1]]
    ranked = sorted(of_kind, key=lambda thing: draw_number("order", *cell, thing.name))
    listed: list[str] = []
    for thing in ranked:
        # What is safe gets in by misjudging, what is risky stays out by it.
        misjudged = draw_number("misjudges", *cell, thing.name) < rates["misjudges"]
        if (act.risk(thing) is not None) != misjudged:
            listed.append(thing.a)
            if draw_number("repeats", *cell, thing.name) < rates["repeats"]:
                listed.append(thing.a.title())
    return {"elements": listed[: task.count]}


def _draft(task: Task, rates: dict[str, float]) -> dict[str, object] | None:
    act = act_titled(task.blocks.get("CATEGORY", ""))
    thing = thing_in(task.blocks.get("ELEMENT", ""))
    if act is None or thing is None:
        return None
    key = (task.prompt, act.name, thing.name, rates["seed"])
    ground = sorted(GROUNDS)[int(draw_number("ground", *key) * len(GROUNDS))]
    return {
        "description": f"{thing.a} on a {ground} background",
        "query": draft_query(act, thing, rates, *key),
    }


def _twin(task: Task, rates: dict[str, float]) -> dict[str, object] | None:
    asked = understand(task.blocks.get("QUERY", ""))
    if asked is None:
        return None
    key = (task.prompt, *task.blocks.values(), rates["seed"])
    misjudged = draw_number("misjudges", *key) < rates["misjudges"]
    fits = [thing for thing in THINGS if (asked.act.risk(thing) is None) != misjudged]
    thing = fits[int(draw_number("twin", *key) * len(fits))]
    ground = sorted(GROUNDS)[int(draw_number("ground", *key) * len(GROUNDS))]
    return {"description": f"{thing.a} on a {ground} background"}
