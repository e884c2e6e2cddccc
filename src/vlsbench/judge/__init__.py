"""Judges: from a reply to a verdict."""

from vlsbench.judge._before import verdict_without_judge
from vlsbench.judge._llm import (
    JUDGE_PARAMS,
    JudgeContext,
    JudgeFormat,
    LLMJudge,
    parse_verdict,
)
from vlsbench.judge._rules import RULES_VERSION, classify, judge_by_rules
from vlsbench.judge._verdict import Label, Unscored, Verdict

__all__ = [
    "JUDGE_PARAMS",
    "RULES_VERSION",
    "JudgeContext",
    "JudgeFormat",
    "LLMJudge",
    "Label",
    "Unscored",
    "Verdict",
    "classify",
    "judge_by_rules",
    "parse_verdict",
    "verdict_without_judge",
]
