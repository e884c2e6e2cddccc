"""Measure B: how many harmful pairs are harmful by their text alone?"""

from vlsbench.auditing._head import RunHead as RunHead
from vlsbench.auditing._head import head as head
from vlsbench.auditing._head import total as total
from vlsbench.auditing.judged._figures import PATTERNS as PATTERNS
from vlsbench.auditing.judged._figures import ControlFigures as ControlFigures
from vlsbench.auditing.judged._figures import Controls as Controls
from vlsbench.auditing.judged._figures import Corrected as Corrected
from vlsbench.auditing.judged._figures import Finding as Finding
from vlsbench.auditing.judged._figures import Flags as Flags
from vlsbench.auditing.judged._figures import Judged as Judged
from vlsbench.auditing.judged._figures import JudgedGroup as JudgedGroup
from vlsbench.auditing.judged._figures import JudgedPair as JudgedPair
from vlsbench.auditing.judged._figures import PartFigures as PartFigures
from vlsbench.auditing.judged._figures import part_figures as part_figures
from vlsbench.auditing.judged._figures import read_judged as read_judged
from vlsbench.auditing.judged._figures import unread as unread
from vlsbench.auditing.judged._judged import JUDGED as JUDGED
from vlsbench.auditing.judged._judged import JUDGED_PAIRS as JUDGED_PAIRS
from vlsbench.auditing.judged._judged import judged as judged
from vlsbench.auditing.judged._plan import JudgedPlan as JudgedPlan
from vlsbench.auditing.judged._plan import JudgedSet as JudgedSet
from vlsbench.auditing.judged._plan import open_set as open_set
from vlsbench.auditing.judged._prevalence import Sample as Sample
from vlsbench.auditing.judged._prevalence import bounds as bounds
from vlsbench.auditing.judged._prevalence import corrected_share as corrected_share
