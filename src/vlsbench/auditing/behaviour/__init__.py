"""Measure C: does hiding the image change what a model does?"""

from vlsbench.auditing.behaviour._behaviour import BEHAVIOUR as BEHAVIOUR
from vlsbench.auditing.behaviour._behaviour import compare_views as compare_views
from vlsbench.auditing.behaviour._figures import Behaviour as Behaviour
from vlsbench.auditing.behaviour._figures import CategoryBehaviour as CategoryBehaviour
from vlsbench.auditing.behaviour._figures import Difference as Difference
from vlsbench.auditing.behaviour._figures import NotRun as NotRun
from vlsbench.auditing.behaviour._figures import ViewChange as ViewChange
from vlsbench.auditing.behaviour._figures import ViewFigures as ViewFigures
from vlsbench.auditing.behaviour._figures import change as change
from vlsbench.auditing.behaviour._figures import view_figures as view_figures
from vlsbench.auditing.behaviour._plan import VIEWS as VIEWS
from vlsbench.auditing.behaviour._plan import Arm as Arm
from vlsbench.auditing.behaviour._plan import plan_behaviour as plan_behaviour
