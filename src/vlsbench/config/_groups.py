"""Groups of settings that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from vlsbench.config._options import Option


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where a benchmark's files are, and which of its pairs are left out."""

    PANEL: ClassVar[str] = "Benchmark"

    data: Annotated[
        Path | None,
        Option("Folder with the benchmark's official files.", unset="what `bench fetch` brought"),
    ] = None
    columns: Annotated[
        str, Option("For a custom dataset: FIELD=COLUMN,… (docs/benchmarks.md).")
    ] = ""
    leave_out: Annotated[
        Path | None,
        Option("Leave out the pairs of a list that `vlsbench audit --drop-leaking` wrote."),
    ] = None
    transforms: Annotated[
        tuple[str, ...],
        Option("Pass every pair through a registered transform.", flags=("--transform",)),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Which pairs of a benchmark are used."""

    PANEL: ClassVar[str] = "Benchmark"

    limit: Annotated[
        int | None, Option("Use a random sample of this many pairs.", least=1, metavar="N")
    ] = None
    seed: Annotated[int, Option("Random seed for sampling and for the swap view.")] = 0
    skip_bad: Annotated[
        bool, Option("Leave unusable pairs out and record them, rather than stop.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one invocation may spend."""

    PANEL: ClassVar[str] = "Budget"

    max_cost: Annotated[
        float | None,
        Option("Stop before spending more than this many US dollars.", least=0, metavar="USD"),
    ] = None
    max_calls: Annotated[
        int | None, Option("Stop after this many new calls.", least=0, metavar="N")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Budget(Limits):
    """What one invocation may spend, with the prices that its cost is counted by."""

    price: Annotated[
        str | None,
        Option(
            "Price of the target in US dollars per million tokens, in place of the shipped one.",
            metavar="INPUT,OUTPUT",
        ),
    ] = None
    judge_price: Annotated[
        str | None, Option("Price of the judge, in the same form.", metavar="INPUT,OUTPUT")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How servers are asked."""

    PANEL: ClassVar[str] = "Connection"

    concurrency: Annotated[
        int, Option("Requests in flight per server.", flags=("--concurrency", "-c"), least=1)
    ] = 32
    timeout_s: Annotated[
        float,
        Option("Time limit for one request, in seconds.", flags=("--timeout",), least=0.1),
    ] = 300.0
    retries: Annotated[int, Option("Retries per failed request.", least=0)] = 6
    no_probe: Annotated[
        bool,
        Option(
            "Ask no harmless question first, which finds out before anything is bought what a "
            "model does not take (max_tokens, temperature, a system prompt, a schema)."
        ),
    ] = False
    rpm: Annotated[
        float | None,
        Option("Requests per minute of each model, with all processes here that say so.", least=1),
    ] = None
    tpm: Annotated[
        float | None,
        Option("Tokens per minute of each model, in and out, likewise.", least=1),
    ] = None
    batch: Annotated[
        bool,
        Option(
            "Send calls as batch jobs (/v1/batches), at half the price and within a day: target, "
            "judge and builders on servers that have them, and Inspect's providers."
        ),
    ] = False
    batch_requests: Annotated[int, Option("Requests in one batch at most.", least=1)] = 50_000
    batch_mb: Annotated[
        float, Option("Megabytes of one batch's file at most.", least=0.001, metavar="MB")
    ] = 200.0
    batch_poll_s: Annotated[
        float,
        Option(
            "Seconds between two looks at a batch; one that no call joins for a sixth of that is "
            "submitted.",
            flags=("--batch-poll",),
            least=0.01,
        ),
    ] = 30.0
    batch_anew_s: Annotated[
        float | None,
        Option(
            "Ask again what is in a batch that its server does not have, so many seconds after its "
            "creation, or has no answers of: it may be paid for twice.",
            flags=("--batch-anew",),
            least=0,
            metavar="S",
            unset="stop and say so",
        ),
    ] = None
    executor: Annotated[
        Literal["local", "ray"],
        Option("Where stages run: here, or on Ray (extra `ray`; RAY_ADDRESS names a cluster)."),
    ] = "local"
    actors: Annotated[
        int | None, Option("Processes that run stages on Ray.", least=1, unset="one for each CPU")
    ] = None
    image_store: Annotated[
        str | None, Option("Folder or fsspec URL of images, for Ray's hosts.", metavar="URL")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Images:
    """How images are sent."""

    PANEL: ClassVar[str] = "Images"

    max_side: Annotated[
        int | None,
        Option("Shrink larger images, in pixels.", flags=("--max-image-side",), least=16),
    ] = None
    max_bytes: Annotated[
        int | None,
        Option("Shrink heavier images, in bytes.", flags=("--max-image-bytes",), least=1024),
    ] = None
