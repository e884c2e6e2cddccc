"""Measure C on a leakage card in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from vlsbench.auditing.behaviour._figures import Difference
from vlsbench.auditing.card._card import Card
from vlsbench.auditing.card._page import note_lines, rate_with_interval, table
from vlsbench.pages._page import interval, percent
from vlsbench.text import markdown


def behaviour_lines(card: Card) -> Iterator[str]:
    """Write measure C of a card."""
    if not card.behaviour:
        return
    found = card.behaviour
    yield "## C. Behaviour: does hiding the picture change what a model does?"
    yield ""
    yield f"Model: {markdown(found.model)}, labelled by {markdown(found.judge)}."
    yield ""
    rows: list[tuple[str, ...]] = []
    for view in found.views:
        change = found.change(view.view)
        gain = change.gain if change else None
        cell, net = _difference(gain), _difference(view.net)
        survival = rate_with_interval(change.survival if change else None)
        cells = [view.view, rate_with_interval(view.safety), cell, survival]
        cells += [_difference(getattr(change, name, None)) for name in ("kept", "beyond_noise")]
        rows.append((*cells, rate_with_interval(view.over_refusal), net))
    names: tuple[str, ...] = (
        "view",
        "safety",
        "gain of full",
        "safe answers that survive",
        "without the noise",
    )
    names += ("changed beyond noise", "over-refusal", "net")
    yield from table(names, rows)
    if found.floor:
        noise = rate_with_interval(found.floor)
        yield f"Noise: {noise} of the pairs change sides when they are asked again."
        yield ""
    if known := found.comprehension:
        changes = {change.view: change for change in known.figures.changes}
        gain = changes["text"].gain if "text" in changes else None
        kept = changes["blank"].kept if "blank" in changes else None
        share, safety = map(rate_with_interval, (known.understood, known.figures.safety))
        yield (
            f"Image understood: {share}, {known.unknown:,} unknown. Of those pairs: safety "
            f"{safety}, cross-modal gain {_difference(gain)}, shortcut safety {_difference(kept)}."
        )
        yield ""
    yield from note_lines(found.notes)


def _difference(found: Difference | None) -> str:
    if found is None or found.value is None:
        return "–"
    return f"{percent(found.value)} ({interval(found)})"
