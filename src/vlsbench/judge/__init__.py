"""Judges: from a reply to a verdict, and whether a text, an image or both are harmful."""

from vlsbench.judge._asking import (
    AGAIN,
    Asking,
    Caller,
    Failed,
    JudgeFormat,
    fence,
    strict_object,
)
from vlsbench.judge._before import verdict_without_judge
from vlsbench.judge._function import OFFLINE, Brought, as_judge
from vlsbench.judge._guards import FORMS, harm_form
from vlsbench.judge._harm import HarmJudge
from vlsbench.judge._judge import Judge, Part, Question
from vlsbench.judge._llm import JUDGE_PARAMS, JudgeContext, JudgeProtocol, LLMJudge
from vlsbench.judge._majority import MajorityJudge, majority
from vlsbench.judge._offline import (
    BITS,
    OFFLINE_VERSION,
    Wording,
    judge_offline,
    read_wording,
    wording_features,
)
from vlsbench.judge._open import Judging, open_harm_judge, open_judge
from vlsbench.judge._stage import Case, JudgeStage, ask_judge
from vlsbench.judge._verdict import Label, Unscored, Verdict
from vlsbench.registry import judge as register

__all__ = [
    "AGAIN",
    "BITS",
    "FORMS",
    "JUDGE_PARAMS",
    "OFFLINE",
    "OFFLINE_VERSION",
    "Asking",
    "Brought",
    "Caller",
    "Case",
    "Failed",
    "HarmJudge",
    "Judge",
    "JudgeContext",
    "JudgeFormat",
    "JudgeProtocol",
    "JudgeStage",
    "Judging",
    "LLMJudge",
    "Label",
    "MajorityJudge",
    "Part",
    "Question",
    "Unscored",
    "Verdict",
    "Wording",
    "as_judge",
    "ask_judge",
    "fence",
    "harm_form",
    "judge_offline",
    "majority",
    "open_harm_judge",
    "open_judge",
    "read_wording",
    "strict_object",
    "verdict_without_judge",
    "wording_features",
]

register("offline", free=True)(OFFLINE)
