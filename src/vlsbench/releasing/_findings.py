"""What other commands found about a set, cut down to what a dataset card shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsbench.auditing import Card, read_card
from vlsbench.auditing import caveats as caveats_of
from vlsbench.errors import VlsbenchError
from vlsbench.releasing._types import Agreement, Figure, Leakage
from vlsbench.stats import Rate


def leakage(path: Path, bench: str) -> Leakage:
    """Read the `card.json` of an audit.

    Args:
        path: The file.
        bench: The set that is released.

    Raises:
        VlsbenchError: It is no leakage card, or one of another set.
    """
    card = read_card(path)
    if card.bench != bench and not card.bench.startswith(f"{bench} without "):
        raise VlsbenchError(
            f"{path} is the leakage card of {card.bench}, not of {bench}: run `vlsbench audit` on "
            "the set that is released"
        )
    return Leakage(_figures(card), card.pairs, card.made, card.simulated, caveats_of(card))


def _figures(card: Card) -> tuple[Figure, ...]:
    found = []
    if card.overlap and (leak := card.leak):
        name = "queries that name what their picture shows (measure A, corrected)"
        found.append(Figure(name, leak.value, leak.low, leak.high, leak.n))
    if card.judged:
        vsil, corrected = card.judged.group.vsil, card.judged.group.corrected
        name = "harmful pairs that are harmful by their text alone (measure B, corrected)"
        found.append(Figure(name, corrected.value, corrected.low, corrected.high, vsil.n))
        found.append(_rate("the same, as judged", vsil))
    if card.behaviour and (gain := card.behaviour.gain):
        name = f"safety rate gained by seeing the picture, {card.behaviour.model} (measure C)"
        found.append(Figure(name, gain.value, gain.low, gain.high, gain.n))
    return tuple(found)


def _rate(name: str, rate: Rate) -> Figure:
    return Figure(name, rate.rate, rate.low, rate.high, rate.n)


def agreement(path: Path, bench: str) -> Agreement:
    """Read the agreement of reviewers from what `vlsbench review status --json` prints.

    Args:
        path: The file.
        bench: The set that is released.

    Raises:
        VlsbenchError: The file is not of that form, or is of the review of another set.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = tuple(_alpha(question) for question in content["agreement"])
        people = sum(one["role"] == "reviewer" and one["done"] > 0 for one in content["people"])
        reviewed = str(content["bench"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise VlsbenchError(
            f"{path}: not what `vlsbench review status {bench} --json` prints ({error!r})"
        ) from None
    if reviewed != bench:
        raise VlsbenchError(f"{path} is of the review of {reviewed}, not of {bench}")
    return Agreement(found, people)


def _alpha(question: Mapping[str, Any]) -> Figure:
    def number(name: str) -> float | None:
        value = question[name]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{name} is no number")
        return None if value is None else float(value)

    n = question["n"]
    if not isinstance(n, int) or n < 0:
        raise ValueError("n is no count")
    name = str(question["question"])
    return Figure(name, number("alpha"), number("low"), number("high"), n, "alpha")
