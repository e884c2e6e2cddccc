"""Say how many pairs, images and human labels a question needs."""

from __future__ import annotations

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, say
from vlsbench.evaluation import SizeConfig
from vlsbench.text import counted


@command(SizeConfig)
def plan_size(config: SizeConfig, *, as_json: bool) -> None:
    """Say how many pairs, images and human labels a question needs. Nothing is asked or written.

    **Examples**

    - `vlsbench plan-size --half-width 3`

    - `vlsbench plan-size --detect 5 --per-image 2`
    """
    from vlsbench.evaluation import plan_size as planned

    size = planned(config)
    if as_json:
        print_json(size)
        return
    what = "a difference of" if config.detect else "a 95 % interval of ±"
    aim = f"for {what} {config.detect or config.half_width or 0:g} points"
    given = f"where {config.rate:g} of the pairs have the label (--rate)"
    if config.detect:
        given = (
            f"found in 4 of 5 cases, where {config.changing:g} of the labels change (--changing)"
        )
    say(
        f"{aim}, {given}: {counted(size.pairs, 'pair')} of {counted(size.images, 'image')}",
        f"human labels: {size.labels:,}, or fewer that correct a judge (`vlsbench calibrate`)",
    )
