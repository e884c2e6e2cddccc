"""A real vision-language model that is small enough to be trained while one waits, and the paper's
experiment with it.

Needs the extra `align`.
"""

from vlsbench.lab.vlm._experiment import Reproduction as Reproduction
from vlsbench.lab.vlm._experiment import reproduce as reproduce
from vlsbench.lab.vlm._make import make_model as make_model
from vlsbench.lab.vlm._pretrain import Pretraining as Pretraining
from vlsbench.lab.vlm._pretrain import pretrain as pretrain
from vlsbench.lab.vlm.design import ARMS as ARMS
from vlsbench.lab.vlm.design import FIRST_SEED as FIRST_SEED
from vlsbench.lab.vlm.design import QUICK as QUICK
from vlsbench.lab.vlm.design import QUICK_DESIGN as QUICK_DESIGN
from vlsbench.lab.vlm.design import Arm as Arm
from vlsbench.lab.vlm.design import Design as Design
