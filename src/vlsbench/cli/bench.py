"""`vlsbench bench`: which benchmarks there are, what they hold, and how to get them."""

from __future__ import annotations

import typer

app = typer.Typer(help="List, show and fetch benchmarks.", no_args_is_help=True)
