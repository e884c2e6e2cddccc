"""The settings of `vlsbench build`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from vlsbench.config import Connection, Limits, Option


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """The settings of `vlsbench build`, and the keys of its configuration file."""

    PANEL: ClassVar[str] = "Recipe"

    recipe: Annotated[
        str,
        Option(
            "A TOML file, or a recipe that ships: lab, vlsbench, custom.",
            metavar="RECIPE",
            argument=True,
        ),
    ]
    overrides: Annotated[
        tuple[str, ...],
        Option(
            "Override a value of the recipe; may be repeated.",
            flags=("--set",),
            metavar="SECTION.KEY=VALUE",
            whole=True,
        ),
    ] = ()
    limit: Annotated[
        int | None,
        Option(
            "Begin this many drafts on each path at most, for a trial; may be raised later.",
            least=1,
            metavar="N",
        ),
    ] = None
    lab: Annotated[
        str | None,
        Option(
            "Where the recipe's lab/ models are, as http://127.0.0.1:8700/v1; `in-process` asks "
            "them without HTTP.",
            unset="a server of its own",
            metavar="URL",
        ),
    ] = None
    retry_quarantined: Annotated[
        bool, Option("Ask again about records of which no answer could be read.")
    ] = False
    out: Annotated[
        Path | None,
        Option(
            "The build's folder.",
            flags=("--out", "-o"),
            unset="builds/ and a name made of its recipe",
            metavar="DIR",
        ),
    ] = None
    budget: Limits = field(default_factory=Limits)
    connection: Connection = field(default_factory=Connection)
