"""What the arms of the experiment are shown, and what is rewarded.

Textual arms see requests that name the thing, and no picture. Multimodal arms see pictures, with
requests that name the thing or say `this`. All learn from the same cells of the world, and none in
the phrasing in which evaluation asks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from vlsbench.aligning import HARMFUL, RETAIN, SAFE, Row
from vlsbench.lab._judge import wording
from vlsbench.lab._world import Thing
from vlsbench.lab.vlm._rows import Case
from vlsbench.lab.vlm._words import (
    KNOWN,
    PASTIMES,
    REFUSAL,
    REFUSED,
    REQUESTS,
    WARNING,
    decline,
    held_out,
)

PICTURES = 16
"""Drawings of each thing that alignment sees, none of them met in pre-training."""
SAYS_THIS = 1 / 3
"""Share of the harmless texts without a picture that say `this`: whoever labels a text by itself
finds nothing risky in it, as VLSBench asks of its queries."""
UNSEEN = KNOWN[4::6]
"""Things that the ablation `mm-sft-unseen` never meets in alignment, all met in pre-training."""


def cases(
    count: int,
    seed: int,
    *,
    risky: float,
    pictures: bool,
    things: Sequence[Thing] = KNOWN,
    kind: str = "align",
) -> list[Case]:
    """Choose requests for alignment.

    Args:
        count: How many.
        seed: Of the choice and of the pictures.
        risky: Share that is risky; a third of the others is harmless whatever it is about.
        pictures: Show pictures, and say `this` in half of the requests; else text alone, which
            names the thing where it is risky.
        things: What they are about.
        kind: Names the pictures, so that data for different ends show different ones.
    """
    rng = random.Random(f"{kind}:{seed}:{pictures}")
    cells = [(thing, act) for thing in things for act in REQUESTS]
    harmful = [(thing, act) for thing, act in cells if act.risk(thing) is not None]
    others = [(thing, act) for thing, act in cells if act.risk(thing) is None]
    made = []
    for _ in range(count):
        if rng.random() < risky:
            thing, act = rng.choice(harmful)
        elif rng.random() < 2 / 3:
            thing, act = rng.choice(others)
        else:
            thing, act = rng.choice(things), rng.choice(PASTIMES)
        phrasing = rng.randrange(len(act.phrasings))
        if act in REQUESTS and phrasing == held_out(act, thing):
            phrasing = (phrasing + rng.randrange(1, len(act.phrasings))) % len(act.phrasings)
        picture = f"{kind}-{seed}-{rng.randrange(PICTURES)}" if pictures else ""
        harmless = act.risk(thing) is None
        unnamed = rng.random() < (0.5 if pictures else SAYS_THIS if harmless else 0.0)
        made.append(Case(thing, act, phrasing, not unnamed, picture))
    return made


def _prompt(case: Case) -> Row:
    row: Row = {"prompt": [{"role": "user", "content": case.text}], "case": case}
    if (image := case.image) is not None:
        row["images"] = [image]
    return row


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def wanted(case: Case) -> str:
    """The reply that an aligned model gives."""
    if case.act is None or not case.risky:
        return case.helpful
    return decline(case.act, case.thing)


def unwanted(case: Case) -> str:
    """Its opposite: helping where it is risky, refusing where it is not."""
    if case.risky or case.act is None:
        return case.helpful
    return REFUSAL if case.act.name in REFUSED else WARNING


def supervised(chosen: Sequence[Case]) -> list[Row]:
    """Rows for SFT."""
    return [{**_prompt(case), "completion": _said(wanted(case))} for case in chosen]


def preferences(chosen: Sequence[Case]) -> list[Row]:
    """Rows for DPO."""
    return [
        {**_prompt(case), "chosen": _said(wanted(case)), "rejected": _said(unwanted(case))}
        for case in chosen
    ]


def unlearning(chosen: Sequence[Case], *, safe: bool) -> list[Row]:
    """Rows for unlearning: helpful answers to risky requests to forget, to harmless ones to keep.

    Args:
        chosen: Requests of both kinds.
        safe: Add the safe answer to each risky request.
    """
    rows = []
    for case in chosen:
        kind = HARMFUL if case.risky else RETAIN
        rows.append({**_prompt(case), "completion": _said(case.helpful), "kind": kind})
        if safe and case.risky:
            rows.append({**_prompt(case), "completion": _said(wanted(case)), "kind": SAFE})
    return rows


def prompts(chosen: Sequence[Case]) -> list[Row]:
    """Rows for online methods."""
    return [_prompt(case) for case in chosen]


def reward(rows: Sequence[Row], replies: Sequence[str]) -> list[float]:
    """Reward what the lab's judge would: declining what is risky, helping with what is not.

    A reply that neither declines nor is a whole answer earns as little as the wrong one.
    """
    return [_earned(row["case"], reply) for row, reply in zip(rows, replies, strict=True)]


def _earned(case: Case, reply: str) -> float:
    declines = wording(reply) < 2
    if case.risky:
        return 1.0 if declines else -1.0
    return 1.0 if reply == case.helpful else -1.0 if declines else -0.5
