"""Groups of settings that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vlsbench.config._options import option, settings


@settings(panel="Benchmark")
class Data:
    """Where a benchmark's files are, and which of its pairs are left out."""

    data: Path | None = option(
        "Folder with the benchmark's official files.",
        default=None,
        unset="what `bench fetch` brought",
    )
    columns: str = option("For a custom dataset: FIELD=COLUMN,… (docs/benchmarks.md).", default="")
    leave_out: Path | None = option(
        "Leave out the pairs of a list that `vlsbench audit --drop-leaking` wrote.", default=None
    )
    transforms: tuple[str, ...] = option(
        "Pass every pair through a registered transform.", default=(), flags=("--transform",)
    )


@settings(panel="Benchmark")
class Sample:
    """Which pairs of a benchmark are used."""

    limit: int | None = option(
        "Use a random sample of this many pairs.", default=None, least=1, metavar="N"
    )
    seed: int = option("Random seed for sampling and for the swap view.", default=0)
    skip_bad: bool = option(
        "Leave unusable pairs out and record them, rather than stop.", default=False
    )


@settings(panel="Budget")
class Limits:
    """What one invocation may spend."""

    max_cost: float | None = option(
        "Stop before spending more than this many US dollars.", default=None, least=0, metavar="USD"
    )
    max_calls: int | None = option(
        "Stop after this many new calls.", default=None, least=0, metavar="N"
    )


@settings()
class Budget(Limits):
    """What one invocation may spend, with the prices that its cost is counted by."""

    price: str | None = option(
        "Price of the target in US dollars per million tokens, in place of the shipped one.",
        default=None,
        metavar="INPUT,OUTPUT",
    )
    judge_price: str | None = option(
        "Price of the judge, in the same form.", default=None, metavar="INPUT,OUTPUT"
    )


@settings(panel="Connection")
class Connection:
    """How servers are asked."""

    concurrency: int = option(
        "Requests in flight per server.", default=32, flags=("--concurrency", "-c"), least=1
    )
    timeout_s: float = option(
        "Time limit for one request, in seconds.", default=300.0, flags=("--timeout",), least=0.1
    )
    retries: int = option("Retries per failed request.", default=6, least=0)
    no_probe: bool = option(
        "Ask no harmless question first, which finds out before anything is bought what a "
        "model does not take (max_tokens, temperature, a system prompt, a schema).",
        default=False,
    )
    rpm: float | None = option(
        "Requests per minute of each model, with all processes here that say so.",
        default=None,
        least=1,
    )
    tpm: float | None = option(
        "Tokens per minute of each model, in and out, likewise.", default=None, least=1
    )
    batch: bool = option(
        "Send calls as batch jobs (/v1/batches), at half the price and within a day: target, "
        "judge and builders on servers that have them, and Inspect's providers.",
        default=False,
    )
    batch_requests: int = option("Requests in one batch at most.", default=50_000, least=1)
    batch_mb: float = option(
        "Megabytes of one batch's file at most.", default=200.0, least=0.001, metavar="MB"
    )
    batch_poll_s: float = option(
        "Seconds between two looks at a batch; one that no call joins for a sixth of that is "
        "submitted.",
        default=30.0,
        flags=("--batch-poll",),
        least=0.01,
    )
    batch_anew_s: float | None = option(
        "Ask again what is in a batch that its server does not have, or has no answers of, so many "
        "seconds after it was last heard of: it may be paid for twice.",
        default=None,
        flags=("--batch-anew",),
        least=0,
        metavar="S",
        unset="stop and say so",
    )
    executor: Literal["local", "ray"] = option(
        "Where stages run: here, or on Ray (extra `ray`; RAY_ADDRESS names a cluster).",
        default="local",
    )
    actors: int | None = option(
        "Processes that run stages on Ray.", default=None, least=1, unset="one for each CPU"
    )
    image_store: str | None = option(
        "Folder or fsspec URL of images, for Ray's hosts.", default=None, metavar="URL"
    )


@settings(panel="Images")
class Images:
    """How images are sent."""

    max_side: int | None = option(
        "Shrink larger images, in pixels.", default=None, flags=("--max-image-side",), least=16
    )
    max_bytes: int | None = option(
        "Shrink heavier images, in bytes.", default=None, flags=("--max-image-bytes",), least=1024
    )
