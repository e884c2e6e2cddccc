"""The public benchmarks that vlsbench reads: one file each, `NAME.toml`, which declares it.

A benchmark that needs more than a declaration has a module of the same name beside its file.
Importing this package registers all, in the order in which `vlsbench bench list` shows them.
"""

from __future__ import annotations

from vlsbench.pairs.sources import (
    comicjailbreak,
    figstep,
    llava_coco,
    mm_safetybench,
    mssbench,
    vlsbench,
    vlsu,
)
from vlsbench.pairs.sources._declared import Read, declaration, reader
from vlsbench.registry import source

CODED: dict[str, Read] = {
    "comicjailbreak": comicjailbreak.read,
    "figstep": figstep.read,
    "llava-coco": llava_coco.read,
    "mm-safetybench": mm_safetybench.read,
    "mssbench": mssbench.read,
    "vlsbench": vlsbench.read,
    "vlsu": vlsu.read,
}
NAMES = (
    "vlsbench", "figstep", "mm-safetybench", "vlguard", "harmbench", "siuo", "mossbench", "msts",
    "jailbreakv", "vlsafe", "spa-vl", "beavertails-v", "mssbench", "holisafe", "vlsu", "usb",
    "salad", "mis", "lingua", "comicjailbreak", "visualleakbench", "xstest", "advbench",
    "strongreject", "simplesafetytests", "or-bench", "sorry-bench", "jbb-behaviors", "alpaca-seed",
    "llava-coco",
)  # fmt: skip

for name in NAMES:
    source(name, **declaration(name))(CODED.get(name) or reader(name))
