"""Judges: from a reply to a verdict, and whether a text, an image or both are harmful."""

from vlsbench.judge._asking import AGAIN as AGAIN
from vlsbench.judge._asking import Asking as Asking
from vlsbench.judge._asking import Caller as Caller
from vlsbench.judge._asking import Failed as Failed
from vlsbench.judge._asking import fence as fence
from vlsbench.judge._asking import read_yes_no as read_yes_no
from vlsbench.judge._asking import strict_object as strict_object
from vlsbench.judge._function import OFFLINE as OFFLINE
from vlsbench.judge._function import STRINGS as STRINGS
from vlsbench.judge._function import Brought as Brought
from vlsbench.judge._function import FunctionJudge as FunctionJudge
from vlsbench.judge._function import as_judge as as_judge
from vlsbench.judge._function import match_strings as match_strings
from vlsbench.judge._guards import FORMS as FORMS
from vlsbench.judge._guards import GUARDS as GUARDS
from vlsbench.judge._guards import GuardForm as GuardForm
from vlsbench.judge._guards import harm_form as harm_form
from vlsbench.judge._harm import HarmJudge as HarmJudge
from vlsbench.judge._judge import Judge as Judge
from vlsbench.judge._judge import Part as Part
from vlsbench.judge._judge import Question as Question
from vlsbench.judge._judge import decide as decide
from vlsbench.judge._judge import rubric_of as rubric_of
from vlsbench.judge._llm import JUDGE_PARAMS as JUDGE_PARAMS
from vlsbench.judge._llm import PROMPT_VERSION as PROMPT_VERSION
from vlsbench.judge._llm import JudgeContext as JudgeContext
from vlsbench.judge._llm import LLMJudge as LLMJudge
from vlsbench.judge._offline import BITS as BITS
from vlsbench.judge._offline import OFFLINE_VERSION as OFFLINE_VERSION
from vlsbench.judge._offline import Wording as Wording
from vlsbench.judge._offline import is_english as is_english
from vlsbench.judge._offline import judge_offline as judge_offline
from vlsbench.judge._offline import read_wording as read_wording
from vlsbench.judge._offline import word_hashes as word_hashes
from vlsbench.judge._offline import wording_features as wording_features
from vlsbench.judge._open import Judges as Judges
from vlsbench.judge._open import Judging as Judging
from vlsbench.judge._open import open_harm_judge as open_harm_judge
from vlsbench.judge._open import open_judge as open_judge
from vlsbench.judge._panel import Panel as Panel
from vlsbench.judge._panel import Vote as Vote
from vlsbench.judge._panel import majority as majority
from vlsbench.judge._panel import members as members
from vlsbench.judge._panel import panel_of as panel_of
from vlsbench.judge._rubric import OURS as OURS
from vlsbench.judge._rubric import SHIPPED as SHIPPED
from vlsbench.judge._rubric import Definitions as Definitions
from vlsbench.judge._rubric import Rubric as Rubric
from vlsbench.judge._rubric import RubricLabel as RubricLabel
from vlsbench.judge._rubric import Side as Side
from vlsbench.judge._rubric import read_rubric as read_rubric
from vlsbench.judge._stage import Case as Case
from vlsbench.judge._stage import JudgeStage as JudgeStage
from vlsbench.judge._stage import ask_judge as ask_judge
from vlsbench.judge._stage import probes_of as probes_of
from vlsbench.judge._verdict import Label as Label
from vlsbench.judge._verdict import Unscored as Unscored
from vlsbench.judge._verdict import Verdict as Verdict
from vlsbench.judge._verdict import is_scored as is_scored
from vlsbench.judge._verdict import verdict_without_judge as verdict_without_judge
from vlsbench.registry import judge as register

register("offline", free=True, summary="Judges the wording of a reply, English, offline.")(OFFLINE)
register("string-matching", free=True, summary="Calls a reply a refusal by phrases; a baseline.")(
    STRINGS
)
