"""Options that `eval` and `audit` share: one declaration, one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BENCHMARK = "Benchmark"
OUTPUT = "Output"
SPEND = "Spending and speed"

Data = Annotated[
    Path | None,
    typer.Option(help="Folder with the benchmark's official files.", rich_help_panel=BENCHMARK),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="For a set of your own: field=column,… (docs/benchmarks.md).",
        rich_help_panel=BENCHMARK,
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Leave unusable pairs out, and record which.",
        rich_help_panel=BENCHMARK,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="A random sample of N pairs.", rich_help_panel=BENCHMARK),
]

AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the figures as JSON on standard output.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No plan, no progress.", rich_help_panel=OUTPUT)
]

Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        "-c",
        min=1,
        help="Requests in flight at one server.",
        rich_help_panel=SPEND,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(min=0, help="US dollars to spend at most, now.", rich_help_panel=SPEND),
]
MaxCalls = Annotated[
    int | None, typer.Option(min=0, help="Calls to make at most, now.", rich_help_panel=SPEND)
]
Price = Annotated[
    str | None,
    typer.Option(
        help="INPUT,OUTPUT of the target in dollars per million tokens.", rich_help_panel=SPEND
    ),
]
JudgePrice = Annotated[
    str | None, typer.Option(help="The same for the judge.", rich_help_panel=SPEND)
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds for one request.", rich_help_panel=SPEND)
]
Retries = Annotated[
    int, typer.Option(min=0, help="After faults of a request.", rich_help_panel=SPEND)
]
