"""What the lab registers, as any plug-in does: its benchmarks, models and judges."""

from vlsbench.lab import _benchmarks as _benchmarks
from vlsbench.lab._models import open_model
from vlsbench.registry import judge, model

model(
    "lab",
    simulated=True,
    free=True,
    summary="Rule-made models of the closed world, lab/careful, lab/blind, …; offline.",
)(open_model)
judge(
    "lab",
    simulated=True,
    model="lab/judge",
    harm="lab/harm",
    summary="Judges replies and material of the closed world, whose truth it knows; offline.",
)(open_model)
