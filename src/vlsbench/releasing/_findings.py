"""What other commands found about a set, cut down to what a dataset card shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlsbench.auditing import Card, read_card
from vlsbench.auditing import caveats as caveats_of
from vlsbench.errors import VlsbenchError
from vlsbench.releasing._about import Agreement, Figure, Leakage
from vlsbench.reviewing import Role, Status
from vlsbench.schemas import read_json


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
        SchemaError: The file is not of that form; names the key.
        VlsbenchError: It is of the review of another set.
    """
    status = read_json(path, Status)
    if status.bench != bench:
        raise VlsbenchError(f"{path} is of the review of {status.bench}, not of {bench}")
    found = tuple(
        Figure(str(one.question), one.alpha, one.low, one.high, one.n, "alpha")
        for one in status.agreement
    )
    people = sum(one.role is Role.REVIEWER and one.done > 0 for one in status.people)
    return Agreement(found, people)
