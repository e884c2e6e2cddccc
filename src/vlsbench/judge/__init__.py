"""Judges: from a reply to a verdict."""

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
from vlsbench.judge._llm import (
    JUDGE_PARAMS,
    JudgeContext,
    LLMJudge,
    parse_verdict,
)
from vlsbench.judge._rules import RULES_VERSION, classify, judge_by_rules
from vlsbench.judge._verdict import Label, Unscored, Verdict

__all__ = [
    "AGAIN",
    "JUDGE_PARAMS",
    "RULES_VERSION",
    "Asking",
    "Caller",
    "Failed",
    "JudgeContext",
    "JudgeFormat",
    "LLMJudge",
    "Label",
    "Parsed",
    "Unscored",
    "Verdict",
    "classify",
    "failure",
    "fence",
    "judge_by_rules",
    "parse_verdict",
    "strict_object",
    "verdict_without_judge",
]
