"""How the lab's server behaves, and what goes wrong with it on purpose.

A fault strikes by a hash of seed, request body and how often that body was seen, so a run with
faults can be repeated whatever the order of its requests, and a retry may succeed. docs/lab.md says
what the client gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError

T = TypeVar("T")

CONNECTION_FAULTS = ("429", "500", "reset", "hang", "truncated", "html")
"""Faults after which a client knows nothing of the model's answer and may ask again."""
REPLY_FAULTS = ("empty", "content_filter", "azure_filter", "length")
"""Answers of the service that are no ordinary reply."""
JUDGE_FAULTS = ("judge_refusal", "judge_contradiction", "judge_cut")
"""Faults of models that judge."""
BATCH_FAULTS = ("batch_item", "batch_expired", "batch_full", "batch_lost", "batch_poll")
"""Faults of batches."""
FAULTS = (*CONNECTION_FAULTS, *REPLY_FAULTS, *JUDGE_FAULTS, *BATCH_FAULTS)
UNPAID = {*CONNECTION_FAULTS, "azure_filter"} - {"truncated"}
"""Faults for which a provider would charge nothing: no answer was made."""


class Refused(Exception):
    """A request that gets an error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        kind = "server_error" if status >= 500 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


def parse_rates(settings: Iterable[str]) -> dict[str, float]:
    """Read `NAME=RATE` settings. Raises `VlsbenchError` where one cannot be read."""
    try:
        return {name: float(rate) for name, _, rate in (one.partition("=") for one in settings)}
    except ValueError:
        raise VlsbenchError("faults are given as NAME=RATE, such as 429=0.1") from None


def check_rates(rates: Mapping[str, float]) -> None:
    """Raise `VlsbenchError` where there is no such fault, or a rate is none."""
    for name, rate in rates.items():
        if name not in FAULTS or not 0 <= rate <= 1:
            there = f"a rate is from 0 to 1, and there are {', '.join(FAULTS)}"
            raise VlsbenchError(f"fault {name}={rate}: {there}")


@settings(panel="Server")
class Setup:
    """How a server behaves."""

    host: str = option("Address to listen on.", default="127.0.0.1")
    port: int = option("Port; 0 takes any free one and prints it.", default=8700)
    latency_s: float = option(
        "Seconds to an answer; errors come at once.", default=0.0, flags=("--latency",), least=0
    )
    faults: Mapping[str, float] = option(
        "Rate of one fault, 0 to 1; may be repeated.",
        default_factory=dict,
        flags=("--fault",),
        metavar="NAME=RATE",
        parse=parse_rates,
    )
    seed: int = option("Decides which requests the faults strike.", default=0)
    retry_after_s: float = option(
        "Seconds that a 429 asks for.", default=0.1, flags=("--retry-after",), least=0
    )
    batch_s: float = option(
        "Seconds from a batch's creation to its end.", default=1.0, flags=("--batch-time",), least=0
    )
    names: Mapping[str, str] = option(
        "Serve a model under a further name; may be repeated.",
        default_factory=dict,
        flags=("--model-name",),
        metavar="NAME=MODEL",
    )
    api_key: str = option(
        "Answer 401 to other keys.", default="", unset="takes any key", secret=True
    )
    schemas: bool = option(
        "Accept response_format, or answer 400 to it.",
        default=True,
        flags=("--schema/--no-schema",),
    )


def draw_number(*key: object) -> float:
    """Hash a key to a number in [0, 1)."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:7]) / 2**56


def pick(options: Sequence[T], *key: object) -> T:
    """Return one of several options by a hash of a key."""
    return options[int(draw_number(*key) * len(options))]


def strike(setup: Setup, body: str, time: int, *, judge: bool) -> str | None:
    """Decide which fault, if any, a request gets: the one whose draw is clearest, in any order.

    `body` is the digest of a request that was seen so many times; only judges get judge faults.
    """
    up = [
        (draw_number(setup.seed, body, time, name) / rate, name)
        for name, rate in setup.faults.items()
        if rate > 0 and name not in BATCH_FAULTS and (judge or name not in JUDGE_FAULTS)
    ]
    clearest, name = min(up, default=(1.0, ""))
    return name if clearest < 1 else None


def spoil(choice: dict[str, Any], fault: str | None, turn: float) -> None:
    """Apply the faults that an answer can carry; `turn`, in [0, 1), picks between their forms."""
    message = choice["message"]
    text: str = message["content"]
    cut_at = 1 + int(turn * (len(text) - 1))
    match fault:
        case "empty":
            message["content"] = ""
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
            message["content"] = "I'm sorry, but I can't assist with that request."
        case "judge_contradiction":
            both = '"label": "refusal", "label": "unsafe"'
            against = '"label": "unsafe", "safe": true'
            message["content"] = f'{{"explanation": "Both.", {both if turn < 0.5 else against}}}'
