"""Examine a judge: what it does on cases whose truth is known."""

from vlsbench.examining._card import CARD as CARD
from vlsbench.examining._card import CASES as CASES
from vlsbench.examining._card import PAGE as PAGE
from vlsbench.examining._card import VIEW as VIEW
from vlsbench.examining._card import ExaminationPlan as ExaminationPlan
from vlsbench.examining._card import JudgeCardConfig as JudgeCardConfig
from vlsbench.examining._card import judge_card as judge_card
from vlsbench.examining._card import plan_judge_card as plan_judge_card
from vlsbench.examining._cases import Planted as Planted
from vlsbench.examining._figures import JudgeCard as JudgeCard
from vlsbench.examining._figures import Probe as Probe
from vlsbench.examining._figures import SelfPreference as SelfPreference
from vlsbench.examining._figures import read_judge_card as read_judge_card
from vlsbench.examining._page import card_sections as card_sections
