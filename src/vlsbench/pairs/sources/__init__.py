"""The public benchmarks that vlsbench reads: one file each, the small text sets in one."""

from __future__ import annotations

from vlsbench.pairs._source import Source
from vlsbench.pairs.sources.figstep import figstep
from vlsbench.pairs.sources.harmbench import harmbench
from vlsbench.pairs.sources.mm_safetybench import mm_safetybench
from vlsbench.pairs.sources.mossbench import mossbench
from vlsbench.pairs.sources.msts import msts
from vlsbench.pairs.sources.siuo import siuo
from vlsbench.pairs.sources.text_sets import (
    advbench,
    alpaca_seed,
    llava_coco,
    simplesafetytests,
    strongreject,
)
from vlsbench.pairs.sources.vlguard import vlguard
from vlsbench.pairs.sources.vlsbench import vlsbench
from vlsbench.pairs.sources.xstest import xstest

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        vlsbench,
        figstep,
        mm_safetybench,
        harmbench,
        vlguard,
        siuo,
        mossbench,
        msts,
        xstest,
        advbench,
        strongreject,
        simplesafetytests,
        alpaca_seed,
        llava_coco,
    )
}
"""Name → source, in the order in which `vlsbench bench list` shows them."""

__all__ = ["SOURCES"]
