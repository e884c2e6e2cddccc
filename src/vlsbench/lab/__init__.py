"""The closed world: things, requests and a rule; benchmarks, models and a server with known truth.

Everything in it is made on demand, works offline and is harmless.
"""

from vlsbench.lab._benchmarks import BENCHMARKS as BENCHMARKS
from vlsbench.lab._benchmarks import benchmark as benchmark
from vlsbench.lab._benchmarks import write as write
from vlsbench.lab._draw import DRAWINGS as DRAWINGS
from vlsbench.lab._draw import draw as draw
from vlsbench.lab._faults import BATCH_FAULTS as BATCH_FAULTS
from vlsbench.lab._faults import FAULTS as FAULTS
from vlsbench.lab._faults import JUDGE_FAULTS as JUDGE_FAULTS
from vlsbench.lab._faults import REPLY_FAULTS as REPLY_FAULTS
from vlsbench.lab._faults import Setup as Setup
from vlsbench.lab._look import see as see
from vlsbench.lab._models import MODELS as MODELS
from vlsbench.lab._models import open_model as open_model
from vlsbench.lab._models import reply_of as reply_of
from vlsbench.lab._world import ACTS as ACTS
from vlsbench.lab._world import THINGS as THINGS
from vlsbench.lab._world import WORDS as WORDS
from vlsbench.lab._world import WORLD_VERSION as WORLD_VERSION
from vlsbench.lab._world import Act as Act
from vlsbench.lab._world import Asked as Asked
from vlsbench.lab._world import Thing as Thing
from vlsbench.lab._world import understand as understand
from vlsbench.lab._writer import paint_prompt as paint_prompt
from vlsbench.lab.server import running as running
from vlsbench.lab.server import serving as serving
from vlsbench.lab.server import stats as stats
