"""Judges: from a reply to a verdict, and whether a text, an image or both are harmful."""

from vlsbench.judge._asking import (
    AGAIN,
    Asking,
    Caller,
    Failed,
    JudgeFormat,
    Parsed,
    failure,
    fence,
    strict_object,
)
from vlsbench.judge._before import verdict_without_judge
from vlsbench.judge._guards import FORMS, MODERATIONS, Moderations, harm_judge
from vlsbench.judge._harm import Finding, HarmJudge, Material, Part, PromptedHarmJudge
from vlsbench.judge._llm import JUDGE_PARAMS, JudgeContext, LLMJudge, parse_verdict
from vlsbench.judge._rules import RULES_VERSION, classify, judge_by_rules
from vlsbench.judge._verdict import Label, Unscored, Verdict
from vlsbench.registry import judge as register

__all__ = [
    "AGAIN",
    "FORMS",
    "JUDGE_PARAMS",
    "MODERATIONS",
    "RULES_VERSION",
    "Asking",
    "Caller",
    "Failed",
    "Finding",
    "HarmJudge",
    "JudgeContext",
    "JudgeFormat",
    "LLMJudge",
    "Label",
    "Material",
    "Moderations",
    "Parsed",
    "Part",
    "PromptedHarmJudge",
    "Unscored",
    "Verdict",
    "classify",
    "failure",
    "fence",
    "harm_judge",
    "judge_by_rules",
    "parse_verdict",
    "strict_object",
    "verdict_without_judge",
]

register("rules", free=True)(judge_by_rules)
