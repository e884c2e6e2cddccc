"""Settings of tests, written flat: put into the groups that the functions take."""

from __future__ import annotations

from typing import Any

from vlsbench.config import Budget, Connection, Images, Limits, Sample
from vlsbench.evaluation import Output
from vlsbench.judge import Judging
from vlsbench.models import Params

NAMES = {
    "judge_context": "context",
    "judge_max_tokens": "max_tokens",
    "judge_temperature": "temperature",
    "judge_repeats": "repeats",
    "judge_partial": "partial",
    "max_image_side": "max_side",
    "max_image_bytes": "max_bytes",
}
GROUPS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    "sample": (Sample, ("limit", "seed", "skip_bad")),
    "params": (Params, ("max_tokens", "temperature", "extra")),
    "judging": (
        Judging,
        (
            *("judge_context", "judge_max_tokens", "judge_temperature"),
            *("judge_repeats", "judge_partial", "rubric", "vote"),
        ),
    ),
    "images": (Images, ("max_image_side", "max_image_bytes")),
    "budget": (Budget, ("max_calls", "max_cost", "price", "judge_price")),
    "connection": (
        Connection,
        (
            *("concurrency", "timeout_s", "retries", "no_probe", "rpm", "tpm"),
            *("batch", "batch_requests", "batch_mb", "batch_poll_s", "batch_anew_s"),
            *("executor", "actors", "image_store"),
        ),
    ),
    "output": (Output, ("out", "reuse", "retry", "gallery", "progress")),
}


def grouped(*groups: str, **flat: Any) -> dict[str, Any]:
    """Return keyword arguments: `limit=5` as `sample=Sample(limit=5)`, others as they are.

    `groups` names those that the function takes; all by default.
    """
    found: dict[str, Any] = {}
    for name in groups or GROUPS:
        kind, members = GROUPS[name]
        given = {NAMES.get(m, m): flat.pop(m) for m in members if m in flat}
        if given:
            found[name] = kind(**given)
    return {**found, **flat}


def limits(**flat: Any) -> dict[str, Any]:
    """The same for `build`, which takes prices from its recipe."""
    found: dict[str, Any] = {}
    for name, kind, members in (
        ("budget", Limits, ("max_calls", "max_cost")),
        ("connection", Connection, GROUPS["connection"][1]),
    ):
        if given := {m: flat.pop(m) for m in members if m in flat}:
            found[name] = kind(**given)
    return {**found, **flat}
