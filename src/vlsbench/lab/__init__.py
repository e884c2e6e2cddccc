"""The closed world: things, requests and a rule; benchmarks, models and a server with known truth.

Everything in it is made on demand, works offline and is harmless.
"""

from vlsbench.lab._benchmarks import BENCHMARKS, benchmark, write
from vlsbench.lab._draw import draw
from vlsbench.lab._faults import FAULTS, JUDGE_FAULTS, REPLY_FAULTS, parse_rates
from vlsbench.lab._look import see
from vlsbench.lab._models import MODELS, open_model
from vlsbench.lab._server import Setup, running, serving, stats
from vlsbench.lab._world import ACTS, THINGS, WORLD_VERSION, Act, Asked, Thing, understand

__all__ = [
    "ACTS",
    "BENCHMARKS",
    "FAULTS",
    "JUDGE_FAULTS",
    "MODELS",
    "REPLY_FAULTS",
    "THINGS",
    "WORLD_VERSION",
    "Act",
    "Asked",
    "Setup",
    "Thing",
    "benchmark",
    "draw",
    "open_model",
    "parse_rates",
    "running",
    "see",
    "serving",
    "stats",
    "understand",
    "write",
]
