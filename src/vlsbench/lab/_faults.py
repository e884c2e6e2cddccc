"""What can go wrong with a server, on purpose: which fault strikes which request.

A fault strikes by a hash of seed, request body and how often that body was seen, so a run with
faults can be repeated whatever the order of its requests, and a retry may succeed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from vlsbench.errors import VlsbenchError

T = TypeVar("T")

CONNECTION_FAULTS = MappingProxyType(
    {
        "429": "429 with Retry-After",
        "500": "500 with a JSON error",
        "503": "503 with a JSON error",
        "reset": "connection reset before any answer",
        "hang": "no answer until the client goes away, or for 60 s",
        "truncated": "200 whose JSON is cut in the middle",
        "short": "200 that closes before its Content-Length is reached",
        "html": "200 with an HTML error page",
        "html502": "502 with an HTML error page",
    }
)
"""Faults after which a client knows nothing of the model's answer and may ask again."""
REPLY_FAULTS = MappingProxyType(
    {
        "empty": 'content ""',
        "null": "content null",
        "content_filter": "finish_reason content_filter, content cut or empty",
        "azure_filter": "400 with code content_filter",
        "length": "finish_reason length, the last third (or less) of the content cut",
    }
)
"""Answers of the service that are no ordinary reply."""
JUDGE_FAULTS = MappingProxyType(
    {
        "judge_refusal": "an apology in place of JSON",
        "judge_refusal_field": "message.refusal set, content null",
        "judge_contradiction": "JSON with two labels, or with a field against the label",
        "judge_cut": "JSON cut in the middle, finish_reason length",
        "judge_prose": "good JSON in a Markdown fence with prose around it",
        "judge_unknown_label": "JSON with a label that nobody asked for",
    }
)
"""Faults of the `judge` model alone."""
BATCH_FAULTS = MappingProxyType(
    {
        "batch_item": "one request of a batch gets a 500 in place of an answer",
        "batch_expired": "a batch expires with its second half unanswered",
        "batch_cancelled": "a batch is cancelled with its second half unanswered",
        "batch_full": "a batch fails, for too many tokens are queued",
        "batch_lost": "a batch is created, and the connection reset before the answer",
        "batch_poll": "500 to a question about a batch, its files or the list",
    }
)
"""Faults of batches alone."""
FAULTS: Mapping[str, str] = MappingProxyType(
    {**CONNECTION_FAULTS, **REPLY_FAULTS, **JUDGE_FAULTS, **BATCH_FAULTS}
)
"""Name → what the client gets."""
SORRY = "I'm sorry, but I can't assist with that request."
UNPAID = frozenset(CONNECTION_FAULTS) - {"truncated", "short"} | {"azure_filter"}
"""Faults for which a provider would charge nothing: no answer was made."""


def draw_number(*key: object) -> float:
    """Hash a key to a number in [0, 1)."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def pick(options: Sequence[T], *key: object) -> T:
    """Return one of several options by a hash of a key."""
    return options[int(draw_number(*key) * len(options))]


def strike(
    rates: Mapping[str, float], seed: int, body: str, time: int, *, judge: bool
) -> str | None:
    """Decide which fault, if any, a request gets: the one whose draw is clearest, in any order.

    `body` is the digest of a request that was seen so many times; only judges get judge faults.
    """
    up = [
        (draw_number(seed, body, time, name) / rate, name)
        for name, rate in rates.items()
        if rate > 0 and name not in BATCH_FAULTS and (judge or name not in JUDGE_FAULTS)
    ]
    clearest, name = min(up, default=(1.0, ""))
    return name if clearest < 1 else None


def parse_rates(settings: Iterable[str]) -> dict[str, float]:
    """Read `NAME=RATE` settings. Raises `VlsbenchError` where one cannot be read."""
    try:
        rates = {name: float(rate) for name, _, rate in (one.partition("=") for one in settings)}
    except ValueError:
        raise VlsbenchError("faults are given as NAME=RATE, such as 429=0.1") from None
    return check_rates(rates)


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Return rates as they are, or raise `VlsbenchError`: a fault or a rate there is not."""
    for name, rate in rates.items():
        if name not in FAULTS:
            raise VlsbenchError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise VlsbenchError(f"fault {name}: the rate {rate} is not between 0 and 1")
    return dict(rates)


def spoil(choice: dict[str, Any], fault: str | None, turn: float) -> None:
    """Apply the faults that an answer can carry; `turn`, in [0, 1), picks between their forms."""
    message = choice["message"]
    text: str = message["content"]
    cut_at = 1 + int(turn * (len(text) - 1))
    match fault:
        case "empty":
            message["content"] = ""
        case "null":
            message["content"] = None
        case "content_filter":
            message["content"] = "" if turn < 0.5 else text[:cut_at]
            choice["finish_reason"] = "content_filter"
        case "length":
            # The larger part is left, so that the label of a lab reply can still be told.
            message["content"] = text[: max(cut_at, 2 * len(text) // 3)]
            choice["finish_reason"] = "length"
        case "judge_cut":
            message["content"] = text[:cut_at]
            choice["finish_reason"] = "length"
        case "judge_refusal":
            message["content"] = SORRY
        case "judge_refusal_field":
            message.update(content=None, refusal=SORRY)
        case "judge_prose":
            message["content"] = f"Here is my verdict:\n\n```json\n{text}\n```\nI hope that helps."
        case "judge_unknown_label":
            message["content"] = json.dumps({"explanation": "A new label.", "label": "fine"})
        case "judge_contradiction":
            both = '"label": "refusal", "label": "unsafe"'
            against = '"label": "unsafe", "safe": true'
            message["content"] = f'{{"explanation": "Both.", {both if turn < 0.5 else against}}}'
