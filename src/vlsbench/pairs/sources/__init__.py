"""The public benchmarks that vlsbench reads: one file each, sets that are one table together.

Importing this package registers them, in the order in which `vlsbench bench list` shows them.
"""

from vlsbench.pairs.sources import (  # isort: skip
    vlsbench as vlsbench,
    figstep as figstep,
    mm_safetybench as mm_safetybench,
    vlguard as vlguard,
    image_sets as image_sets,
    jailbreakv as jailbreakv,
    vlsafe as vlsafe,
    parquet_sets as parquet_sets,
    mssbench as mssbench,
    holisafe as holisafe,
    vlsu as vlsu,
    usb as usb,
    salad as salad,
    mis as mis,
    lingua as lingua,
    comicjailbreak as comicjailbreak,
    visualleakbench as visualleakbench,
    text_sets as text_sets,
)
