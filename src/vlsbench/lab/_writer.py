"""The lab's models that make pairs: they write, rewrite, look and draw, and err as they are told.

`lab/writer` lists risky things, drafts queries about them and finds benign twins; `lab/rewriter`
words queries so that they tell less; `lab/eyes` says what an image shows; `lab/painter` draws the
thing that a prompt names. docs/lab.md has their rates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from vlsbench.errors import VlsbenchError
from vlsbench.lab._draw import GROUNDS, IMAGE_SIDE, blank, draw
from vlsbench.lab._faults import draw_number, pick
from vlsbench.lab._look import Look
from vlsbench.lab._world import ACTS, THINGS, WORDS, Act, Asked, Thing, thing_in, understand
from vlsbench.lab.task import Rates, Task, act_titled, read_task

WRITER = {"leaks": 0.85, "misjudges": 0.1, "repeats": 0.1, "varies": 0.0, "seed": 0.0}
"""Share of queries that name the thing, of elements and twins whose risk is misjudged, of elements
that are listed twice, and of queries with words around the request."""
REWRITER = {"leaves": 0.2, "drifts": 0.1, "empties": 0.1, "varies": 0.0, "seed": 0.0}
"""Share of rewrites that still name the thing, that ask for something else, that ask for nothing,
and that have words around the request."""
EYES = {"errs": 0.05, "leaks": 0.85, "varies": 0.0, "seed": 0.0}
"""Share of images that are taken for something else, of queries that name the thing, and of those
with words around the request."""
PAINTER = {"wrong": 0.2, "missing": 0.1, "seed": 0.0}
"""Share of images that show another thing, and of those that show nothing at all."""
MOST_SIDE = 256
"""Pixels; a larger image of the lab shows nothing more."""
GOOD, BAD = 9, 2
"""Scores of images that do and do not show what they were to show."""
Made = Mapping[str, object] | None
"""The answer to a task, as JSON; None where its material is not of this world."""


def writer(text: str, look: Look, rates: Rates) -> str:
    """List risky things, draft a query about one, or find a benign twin."""
    makers = {"elements": _elements, "draft": _draft, "twin": _twin}
    return _made(text, makers, rates) or (
        "I write drafts: send me a task of a build, its material between fences."
    )


def rewriter(text: str, look: Look, rates: Rates) -> str:
    """Word a query so that it tells less."""
    return _made(text, {"detoxify": _rewrites}, rates) or (
        "I rewrite queries: send me one between fences, with what its picture shows."
    )


def eyes(text: str, look: Look, rates: Rates) -> str:
    """Say what an image shows, or whether it shows what it was to show."""
    seen = next(iter(look()), None)
    makers: dict[str, Callable[[Task, Rates], Made]] = {
        "perceive": lambda task, rates: _perceive(task, seen, rates),
        "look": lambda task, rates: _look(task, seen, rates),
    }
    nothing = f"I see {seen.a}." if seen else "I see nothing that I know."
    return _made(text, makers, rates) or nothing


def _made(text: str, makers: Mapping[str, Callable[[Task, Rates], Made]], rates: Rates) -> str:
    task = read_task(text)
    made = makers[task.name](task, rates) if task and task.name in makers else None
    return json.dumps(made) if made else ""


def _query(act: Act, thing: Thing, rates: Rates, *key: object) -> str:
    """Word a query about a thing, naming it at the rate `leaks`."""
    named = rates.happens("leaks", *key)
    phrasing = pick(act.phrasings, "phrasing", *key)
    return _varied(phrasing.format(it=f"the {thing.name}" if named else "this"), rates, *key)


def _varied(query: str, rates: Rates, *key: object) -> str:
    """Put an opener and a closer around a query at the rate `varies`, for variety."""
    if not rates.happens("varies", *key):
        return query
    opener, closer = (pick(WORDS[f"{end}s"], end, *key) for end in ("opener", "closer"))
    return f"{opener} {query} {closer}"


def _elements(task: Task, rates: Rates) -> Made:
    act = act_titled(task.blocks.get("CATEGORY", ""))
    if act is None:
        return None
    cell = (act.name, task.blocks.get("SUBCATEGORY", ""), rates.seed)
    of_kind = [thing for thing in THINGS if thing.kind == cell[1]]
    listed: list[str] = []
    for thing in sorted(of_kind, key=lambda thing: draw_number("order", *cell, thing.name)):
        # What is safe gets in by misjudging, what is risky stays out by it.
        misjudged = rates.happens("misjudges", *cell, thing.name)
        if (act.risk(thing) is not None) != misjudged:
            listed.append(thing.a)
            if rates.happens("repeats", *cell, thing.name):
                listed.append(thing.a.title())
    return {"elements": listed[: task.count]}


def _draft(task: Task, rates: Rates) -> Made:
    act = act_titled(task.blocks.get("CATEGORY", ""))
    thing = thing_in(task.blocks.get("ELEMENT", ""))
    if act is None or thing is None:
        return None
    key = (task.prompt, act.name, thing.name, rates.seed)
    return {"description": _described(thing, *key), "query": _query(act, thing, rates, *key)}


def _twin(task: Task, rates: Rates) -> Made:
    asked = understand(task.blocks.get("QUERY", ""))
    if asked is None:
        return None
    key = (task.prompt, *task.blocks.values(), rates.seed)
    misjudged = rates.happens("misjudges", *key)
    fits = [thing for thing in THINGS if (asked.act.risk(thing) is None) != misjudged]
    return {"description": _described(pick(fits, "twin", *key), *key)}


def _described(thing: Thing, *key: object) -> str:
    return f"{thing.a} on a {pick(sorted(GROUNDS), 'ground', *key)} background"


def _rewrites(task: Task, rates: Rates) -> Made:
    asked = understand(task.blocks.get("QUERY", ""))
    if asked is None:
        return None
    thing = asked.thing or thing_in(task.blocks.get("DESCRIPTION", ""))
    return {"queries": [_rewrite(task, asked, thing, at, rates) for at in range(task.count)]}


def _rewrite(task: Task, asked: Asked, thing: Thing | None, number: int, rates: Rates) -> str:
    key = (task.blocks["QUERY"], task.blocks.get("DESCRIPTION", ""), number, rates.seed)
    turn = draw_number("rewrite", *key)
    leaves = rates.values["leaves"]
    drifts = leaves + rates.values["drifts"]
    if drifts <= turn < drifts + rates.values["empties"]:
        return pick(WORDS["nothing"], "nothing", *key)
    act, it = asked.act, "this"
    if thing and turn < leaves:
        it = f"the {thing.name}"
    elif turn < drifts:
        act = pick([act for act in ACTS if act is not asked.act], "drift", *key)
    phrasing = int(draw_number("phrasing", *key) * len(asked.act.phrasings))
    return _varied(act.ask(phrasing, it), rates, *key)


def _perceive(task: Task, seen: Thing | None, rates: Rates) -> Made:
    nothing = {"description": "a plain ground", "risk": "", "subcategory": "none", "query": ""}
    if seen is None:
        return nothing
    key = (task.prompt, seen.name, rates.seed)
    if rates.happens("errs", *key):
        seen = pick(THINGS, "other", *key)
    listed = task.blocks.get("SUBCATEGORIES", "").splitlines()
    risky = [act for act in ACTS if act.risk(seen) and f"{act.title}: {seen.kind}" in listed]
    nothing["description"] = f"{seen.a} on a plain ground"
    if not risky:
        return nothing
    act = pick(risky, "act", *key)
    return {
        **nothing,
        "risk": act.risk(seen),
        "subcategory": f"{act.title}: {seen.kind}",
        "query": _query(act, seen, rates, *key),
    }


def _look(task: Task, seen: Thing | None, rates: Rates) -> Made:
    description = task.blocks.get("DESCRIPTION", "")
    wanted = thing_in(description)
    key = (*task.blocks.values(), seen.name if seen else "", rates.seed)
    shows = (wanted is not None and seen is wanted) != rates.happens("errs", *key)
    what = wanted.a if wanted else "it"
    return {
        "caption": f"{seen.a} on a plain ground" if seen else "a plain ground, nothing on it",
        "critique": "It is all there." if shows else f"The picture does not show {what}.",
        "score": GOOD if shows else BAD,
        "prompt": description if shows else f"{description}. Show {what} alone, whole and large.",
    }


def side_of(size: str) -> int:
    """Read `WIDTHxHEIGHT`; the lab draws squares. Raises `VlsbenchError` where it is none."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise VlsbenchError(f"size {size!r}: write WIDTHxHEIGHT")
    return max(32, min(int(width), int(height), MOST_SIDE))


def paint_prompt(
    prompt: str, seed: int, side: int = IMAGE_SIDE, values: Mapping[str, float] = PAINTER
) -> bytes:
    """Draw what a prompt names, as a PNG of `side` by `side` pixels, the same each time."""
    key = (prompt, seed, values["seed"])
    thing, turn = thing_in(prompt), draw_number("paint", *key)
    if thing is None or turn < values["missing"]:
        return blank(pick(sorted(GROUNDS.values()), "ground", *key), side)
    if turn < values["missing"] + values["wrong"]:
        thing = pick([other for other in THINGS if other is not thing], "wrong", *key)
    return draw(thing.name, f"{prompt}:{seed}", side)
