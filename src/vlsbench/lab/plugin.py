"""What the lab registers, as any plug-in does: its benchmarks, models and judges."""

from vlsbench.lab import _benchmarks as _benchmarks
from vlsbench.lab._models import open_model
from vlsbench.lab._served import serve
from vlsbench.registry import judge, model

model("lab", simulated=True, free=True, serve=serve)(open_model)
judge("lab", simulated=True, model="lab/judge", harm="lab/harm")(open_model)
