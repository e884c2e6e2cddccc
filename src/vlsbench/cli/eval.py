"""`vlsbench eval`: run a model over a benchmark and judge what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vlsbench.cli._ending import end_if_stopped
from vlsbench.cli._options import (
    BENCHMARK,
    OUTPUT,
    AsJson,
    Columns,
    Concurrency,
    Data,
    JudgePrice,
    Limit,
    MaxCalls,
    MaxCost,
    Price,
    Quiet,
    Retries,
    SkipBad,
    Timeout,
)

if TYPE_CHECKING:
    from vlsbench.evaluation import Estimate, Plan

VIEWS = ("full", "text", "blank", "swap", "caption", "image")

_RUN = "The run"
_MODEL = "Target"
_JUDGE = "Judge"
_IMAGES = "Images"


def _one_of(*allowed: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and value not in allowed:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(allowed)}")
        return value

    return check


def _temperature(value: str) -> str:
    if value != "none":
        try:
            float(value)
        except ValueError:
            raise typer.BadParameter("a number, or 'none' to leave it to the server") from None
    return value


def _complete_bench(text: str) -> list[str]:
    from vlsbench.pairs import list_sources

    names = [*list_sources(), "lab/leaky", "lab/leakless", "lab/benign"]
    return [name for name in names if name.startswith(text)]


def evaluate(
    bench: Annotated[
        str,
        typer.Argument(
            metavar="BENCH",
            help="A name (`vlsbench bench list`), `lab/leaky`, or the path of a set of your own.",
            autocompletion=_complete_bench,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="openai/NAME, NAME@http://host:port/v1, inspect/PROVIDER/NAME, or lab/NAME.",
            rich_help_panel=_MODEL,
        ),
    ],
    judge: Annotated[
        str,
        typer.Option(
            help="The same forms, or `rules` (offline, by wording), or `lab`.",
            rich_help_panel=_JUDGE,
        ),
    ],
    view: Annotated[
        str,
        typer.Option(
            help="What of a pair is shown: " + ", ".join(VIEWS) + ".",
            callback=_one_of(*VIEWS),
            rich_help_panel=_RUN,
        ),
    ] = "full",
    data: Data = None,
    columns: Columns = None,
    leave_out: Annotated[
        Path | None,
        typer.Option(
            help="Run it without the pairs of a list that `vlsbench audit --drop-leaking` wrote.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    skip_bad: SkipBad = False,
    limit: Limit = None,
    seed: Annotated[
        int, typer.Option(help="Of the sample and of the swap view.", rich_help_panel=BENCHMARK)
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder [default: runs/ and a name made of what it is].",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another run whose answers may be taken over; runs beside --out always are.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    retry: Annotated[
        str | None,
        typer.Option(
            help="`unscored`: ask again for the pairs that ended without a label.",
            callback=_one_of("unscored"),
            rich_help_panel=_RUN,
        ),
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=0, help="Pairs in the report's gallery.", rich_help_panel=_RUN)
    ] = 60,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would be done and spent, and stop.", rich_help_panel=_RUN
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Length limit of a reply.", rich_help_panel=_MODEL)
    ] = 2048,
    temperature: Annotated[
        str,
        typer.Option(
            help="Of the target; `none` leaves it to the server.",
            callback=_temperature,
            rich_help_panel=_MODEL,
        ),
    ] = "0",
    system: Annotated[
        str, typer.Option(help="System prompt of the target.", rich_help_panel=_MODEL)
    ] = "",
    judge_context: Annotated[
        str | None,
        typer.Option(
            help="What tells the judge about the picture: image, description (the cheap judge), "
            "both [default: image where the view shows it, else both].",
            callback=_one_of("image", "description", "both"),
            rich_help_panel=_JUDGE,
            show_default=False,
        ),
    ] = None,
    judge_format: Annotated[
        str,
        typer.Option(
            help="schema: the server holds the judge to its format; text: the prompt alone; auto.",
            callback=_one_of("auto", "schema", "text"),
            rich_help_panel=_JUDGE,
        ),
    ] = "auto",
    judge_max_tokens: Annotated[
        int, typer.Option(min=1, help="Length limit of a verdict.", rich_help_panel=_JUDGE)
    ] = 2048,
    judge_temperature: Annotated[
        str,
        typer.Option(
            help="`none` leaves it to the server.", callback=_temperature, rich_help_panel=_JUDGE
        ),
    ] = "0",
    image_transport: Annotated[
        str,
        typer.Option(
            help="data: inside the request; file: as file:// (vLLM on this machine).",
            callback=_one_of("data", "file"),
            rich_help_panel=_IMAGES,
        ),
    ] = "data",
    max_image_side: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink larger images (pixels).", rich_help_panel=_IMAGES),
    ] = None,
    max_image_bytes: Annotated[
        int | None,
        typer.Option(min=1024, help="Shrink heavier images.", rich_help_panel=_IMAGES),
    ] = None,
    concurrency: Concurrency = 32,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
    price: Price = None,
    judge_price: JudgePrice = None,
    timeout: Timeout = 300.0,
    retries: Retries = 6,
) -> None:
    """Run a model over a benchmark and judge its replies.

    The same command again goes on where it stopped, and costs nothing where it is done.

    **Examples**

    - `vlsbench eval vlsbench --model openai/gpt-4o --judge openai/gpt-4o`

    - `vlsbench eval figstep:tiny --model llava@http://localhost:8000/v1 --judge rules`

    - `vlsbench eval lab/leakless --model lab/blind --judge lab`

    - `vlsbench eval vlsbench --leave-out audits/vlsbench/drop.csv --model openai/gpt-4o
      --judge openai/gpt-4o`

    - `vlsbench eval ./my.jsonl --columns query=prompt --model openai/gpt-4o --judge openai/gpt-4o
      --limit 50 --max-cost 2`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 3 stopped early and resumable,
    130 interrupted and resumable.
    """
    from vlsbench import evaluation
    from vlsbench.cli._tables import print_plan, print_summary
    from vlsbench.pairs import parse_columns

    console = Console(stderr=True)

    def before(plan: Plan, guess: Estimate) -> bool:
        if not quiet or dry_run:
            print_plan(console, plan, guess)
        return not dry_run

    try:
        done = evaluation.evaluate(
            bench,
            model=model,
            judge=judge,
            view=view,
            data=data,
            columns=parse_columns(columns) if columns else None,
            leave_out=leave_out,
            skip_bad=skip_bad,
            limit=limit,
            seed=seed,
            out=out,
            reuse=reuse or (),
            retry_unscored=retry == "unscored",
            concurrency=concurrency,
            max_calls=max_calls,
            max_cost=max_cost,
            price=price,
            judge_price=judge_price,
            max_tokens=max_tokens,
            temperature=None if temperature == "none" else float(temperature),
            system=system,
            judge_context=judge_context,
            judge_format=judge_format,
            judge_max_tokens=judge_max_tokens,
            judge_temperature=None if judge_temperature == "none" else float(judge_temperature),
            timeout_s=timeout,
            retries=retries,
            image_transport="file" if image_transport == "file" else "data",
            max_image_side=max_image_side,
            max_image_bytes=max_image_bytes,
            gallery=gallery,
            progress=not quiet,
            before=before,
        )
    except evaluation.Declined:
        return
    if as_json:
        typer.echo(json.dumps(asdict(done.summary)))
    else:
        print_summary(Console(), done)
    end_if_stopped(console, done.stopped)
