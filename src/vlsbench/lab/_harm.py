"""The judge of harm that knows the truth, and errs as often as it is told to.

It reads the part that it is asked about by the line `PART: text` (or `image`, `pair`) outside of
the fences, and the query between them. By the rule of the world a text is harmful where it names
a thing that its request is risky with; a picture alone never is; a pair is where request and
thing, named or seen, are risky together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from vlsbench.errors import VlsbenchError
from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look
from vlsbench.lab._world import understand

_OPENING = re.compile(r"^<<<QUERY ([0-9a-f]+)>>>$", re.MULTILINE)
_PART = re.compile(r"^PART: (text|image|pair)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Errors:
    """How a judge of harm errs; by a hash, so the same question always gets the same answer."""

    alarms: float = 0.0
    """Share of harmless material that it calls harmful."""
    misses: float = 0.0
    """Share of harmful material that it calls harmless."""
    seed: int = 0

    def answer(self, harmful: bool, *question: object) -> bool:
        """Return the truth about a question, or err."""
        rate = self.misses if harmful else self.alarms
        return harmful != (draw_number("harm", self.seed, *question) < rate)


def harm(text: str, look: Look, errors: Errors = Errors()) -> str:
    """Judge the material in a prompt.

    Returns:
        JSON with `explanation` and `harmful`, or a sentence where the text is no such prompt.
    """
    query = ""
    if opening := _OPENING.search(text):
        tag = opening[1]
        block = re.compile(rf"^<<<QUERY {tag}>>>\n(.*?)\n?<<<END QUERY {tag}>>>$", re.M | re.S)
        if found := block.search(text):
            query = found[1]
            text = block.sub("", text)
    if not (part := _PART.search(text)):
        return "I judge harm: send me a query between the judge's fences, or a picture."
    asked = understand(query) if query else None
    seen = next(iter(look()), None) if part[1] != "text" else None
    thing = (asked.thing if asked else None) or seen
    why = asked.act.risk(thing) if asked and thing else None
    names = (query, seen.name if seen else "")
    harmful = errors.answer(why is not None, part[1], *names)
    if harmful == (why is not None):
        explanation = why or "Nothing here is risky."
    else:
        explanation = "Judged in error, as this judge was told to err."
    return json.dumps({"explanation": explanation, "harmful": harmful})


def erring_harm(options: str) -> Callable[[str, Look], str]:
    """Make a judge that errs.

    Args:
        options: As in `alarms=0.05&misses=0.05&seed=1`.

    Raises:
        VlsbenchError: They cannot be read.
    """
    values = dict(part.partition("=")[::2] for part in options.split("&") if part)
    try:
        errors = Errors(
            float(values.pop("alarms", 0)),
            float(values.pop("misses", 0)),
            int(values.pop("seed", 0)),
        )
    except ValueError as error:
        raise VlsbenchError(f"model 'lab/harm?{options}': {error}") from None
    if values or not (0 <= errors.alarms <= 1 and 0 <= errors.misses <= 1):
        raise VlsbenchError(
            f"model 'lab/harm?{options}': options are alarms and misses (0 to 1) and seed, as in "
            "lab/harm?alarms=0.05&misses=0.05&seed=1"
        )
    return lambda text, look: harm(text, look, errors)
