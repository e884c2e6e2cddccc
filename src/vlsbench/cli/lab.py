"""`vlsbench lab`: the closed world, offline."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="The closed-world lab: models and a server with known truth.", no_args_is_help=True
)
