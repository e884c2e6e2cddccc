"""What other commands found about a set, cut down to what a dataset card shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlsbench.auditing import Card, read_card
from vlsbench.auditing import caveats as caveats_of
from vlsbench.errors import VlsbenchError
from vlsbench.releasing._types import Agreement, Figure, Leakage


def leakage(path: Path, bench: str) -> Leakage:
    """Read the `card.json` of an audit.

    Args:
        path: The file.
        bench: The set that is released.

    Raises:
        VlsbenchError: It is not a leakage card, or is the card of another set.
    """
    card = read_card(path)
    if card.bench != bench and not card.bench.startswith(f"{bench} without "):
        raise VlsbenchError(
            f"{path} is the leakage card of {card.bench}, not of {bench}: run `vlsbench audit` on "
            "the set that is released"
        )
    return Leakage(tuple(_figures(card)), card.pairs, card.made, card.simulated, caveats_of(card))


def _figures(card: Card) -> Iterator[Figure]:
    if card.overlap and (leak := card.leak):
        name = "queries that name what their image shows (measure A, corrected)"
        yield Figure(name, leak.value, leak.low, leak.high, leak.n)
    if card.judged:
        rate, corrected = card.judged.group.vsil, card.judged.group.corrected
        name = "harmful pairs that are harmful by their text alone (measure B, corrected)"
        yield Figure(name, corrected.value, corrected.low, corrected.high, rate.n)
        yield Figure("the same, as judged", rate.rate, rate.low, rate.high, rate.n)
    if card.behaviour and (gain := card.behaviour.gain):
        name = f"safety rate gained by seeing the image, {card.behaviour.model} (measure C)"
        yield Figure(name, gain.value, gain.low, gain.high, gain.n)


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
    value, low, high = (
        None if question[name] is None else float(question[name])
        for name in ("alpha", "low", "high")
    )
    return Figure(str(question["question"]), value, low, high, int(question["n"]), "alpha")
