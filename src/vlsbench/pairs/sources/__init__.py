"""The public benchmarks that vlsbench reads: one file each, the small text sets in one.

Importing this package registers them, in the order in which `vlsbench bench list` shows them.
"""

from vlsbench.pairs.sources import (  # isort: skip
    vlsbench as vlsbench,
    figstep as figstep,
    mm_safetybench as mm_safetybench,
    harmbench as harmbench,
    vlguard as vlguard,
    siuo as siuo,
    mossbench as mossbench,
    msts as msts,
    xstest as xstest,
    text_sets as text_sets,
)
