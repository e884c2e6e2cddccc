"""What the audit says of the sweep's sets, beside the truth: measures A (overlap) and B (judged).

Measure B's judge errs: `JUDGE` calls a twentieth of what is harmless harmful, and the other way
round. One that never errs would only show that the world is closed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.lab.vlm._rows import Case
from vlsbench.lab.vlm._sets import mixed, told_by_text
from vlsbench.lab.vlm._words import KNOWN, REQUESTS, held_out
from vlsbench.pairs import Pair, PairSet, find_source

ERRORS = 0.05
"""Share of harmless texts that measure B's judge calls harmful, and of harmful ones it misses."""
ASKED = 2
"""Phrasings of each (request, thing) among the controls: enough to know the judge's errors by."""
JUDGE = f"lab/harm?alarms={ERRORS:g}&misses={ERRORS:g}"


@dataclass(frozen=True, slots=True)
class Leak:
    """A leak rate of one set, with its 95 % interval over pairs."""

    value: float | None
    low: float | None = None
    high: float | None = None
    """None where the figure is exact, or nothing could be measured."""


def truth(shares: Sequence[float], seed: int) -> tuple[Leak, ...]:
    """Return the share of each set's pairs whose text alone tells the risk, by the rule."""
    return tuple(Leak(told_by_text(mixed(share, seed))) for share in shares)


def measure_a(shares: Sequence[float], seed: int) -> tuple[Leak, ...]:
    """Measure by overlap what the queries name of the pictures.

    Raises:
        MissingExtra: MiniLM cannot be run.
    """
    from vlsbench.auditing import Channel, overlap

    found = []
    for share in shares:
        figures = overlap(mixed(share, seed)).group.channel(Channel.CONTENT)
        leaking = figures.leaking if figures else None
        found.append(Leak(leaking.value, leaking.low, leaking.high) if leaking else Leak(None))
    return tuple(found)


def measure_b(shares: Sequence[float], seed: int) -> tuple[Leak, ...]:
    """Measure with an erring judge how many of the risky pairs are so by their text alone.

    The judge's errors are known from texts that name a thing, in phrasings that the sets do not
    use, and taken out as the audit does.

    Raises:
        VlsbenchError: The judge was stopped.
    """
    from vlsbench.auditing import judged
    from vlsbench.evaluation import Output

    with tempfile.TemporaryDirectory() as folder:
        found = []
        for share in shares:
            # Runs beside each other share what was asked: most questions are put once.
            result = judged(
                mixed(share, seed),
                judge=f"{JUDGE}&seed={seed}",
                controls=[_controls(risky=False)],
                positive_controls=[_controls(risky=True)],
                output=Output(out=Path(folder) / f"{share:g}", progress=False),
            )
            if not result.complete:
                raise VlsbenchError(f"measure B was stopped ({result.stopped}); run it again")
            rate = result.group.corrected
            found.append(Leak(rate.value, rate.low, rate.high))
    return tuple(found)


def _controls(*, risky: bool) -> PairSet:
    name = "harmful" if risky else "harmless"
    return PairSet(
        f"lab-vlm-{name}", partial(_texts, risky), source=find_source("lab")[0], variant=name
    )


def _texts(risky: bool) -> list[Pair]:
    cases = [
        Case(thing, act, (held_out(act, thing) + 1 + further) % len(act.phrasings), named=True)
        for act in REQUESTS
        for thing in KNOWN
        for further in range(ASKED)
        if (act.risk(thing) is not None) == risky
    ]
    return [
        Pair(
            id=f"control-{number:04d}",
            query=case.text,
            images=(),
            category=case.act.title if case.act else "",
            harmful=risky,
            source="lab",
        )
        for number, case in enumerate(cases)
    ]
