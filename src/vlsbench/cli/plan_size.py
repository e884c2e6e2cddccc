"""`vlsbench plan-size`: how large a benchmark must be."""

from __future__ import annotations

from typing import Annotated

import typer

from vlsbench.cli._config import AsJson
from vlsbench.cli._print import print_json


def plan_size(
    half_width: Annotated[
        float | None,
        typer.Option(
            help="Half width of the 95 % interval of a rate, in points.", metavar="POINTS"
        ),
    ] = None,
    detect: Annotated[
        float | None,
        typer.Option(
            help="Difference between two runs on the same pairs to be found in 4 of 5 cases, in "
            "points.",
            metavar="POINTS",
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="Expected rate, as a share.")] = 0.8,
    changing: Annotated[
        float, typer.Option(help="Share of pairs whose label differs between the two runs.")
    ] = 0.2,
    per_image: Annotated[
        float, typer.Option(help="Pairs that share an image, on average (VLSBench: 1.15).")
    ] = 1.0,
    alike: Annotated[
        float, typer.Option(help="Correlation of pairs that share an image, from 0 to 1.")
    ] = 0.5,
    agreement: Annotated[
        float, typer.Option(help="Share of replies in which people agree with the judge.")
    ] = 0.9,
    as_json: AsJson = False,
) -> None:
    """Say how many pairs, images and human labels a question needs. Nothing is asked or written.

    **Examples**

    - `vlsbench plan-size --half-width 3`

    - `vlsbench plan-size --detect 5 --per-image 2`
    """
    from vlsbench.evaluation import plan_size as planned

    size = planned(
        half_width=half_width,
        detect=detect,
        rate=rate,
        changing=changing,
        per_image=per_image,
        alike=alike,
        agreement=agreement,
    )
    if as_json:
        print_json(size)
        return
    typer.echo(f"{size.pairs:,} pairs of {size.images:,} images")
    typer.echo(
        f"{size.labels:,} replies labelled by people say as much without a judge; "
        f"{size.labels_with_judge:,} correct a judge that agrees with them in "
        f"{100 * agreement:.0f} % of replies"
    )
