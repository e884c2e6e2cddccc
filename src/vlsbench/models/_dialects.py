"""How servers say no: one table of what providers' filters and billing say, and one sorter.

A dialect is matched on fields of the error and their whole value, never on a word in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from vlsbench.models._chat import FatalCall, Finish, Refused, Reply, Usage

NOT_ANSWERED = Usage(output_tokens=0)
"""Of an error: nothing was written, but some providers charge for reading."""
DEEPEST = 8
"""Levels of an error that are looked at."""

_FILTER_CODES = "|".join(
    [
        # OpenAI: github.com/openai/codex/issues/7250
        "content_policy_violation|moderation_blocked",
        # Azure: learn.microsoft.com/en-us/azure/ai-services/openai/concepts/
        # content-filter-annotations; behind LiteLLM: github.com/BerriAI/litellm/pull/16231;
        # Moonshot: platform.kimi.com/docs/api/errors
        "content_filter|ResponsibleAIPolicyViolation|content_safety_violation",
        # DashScope: help.aliyun.com/document_detail/2712216.html
        "data_?inspection_?failed|FaqRuleBlocked",
        # Zhipu: docs.z.ai/api-reference/api-code
        "1301",
        # new-api: github.com/QuantumNous/new-api/issues/6656
        "sensitive_words_detected|prompt_blocked",
    ]
)
_FILTER_WORDS = "|".join(
    [
        # OpenAI: its code `invalid_prompt` has other meanings at gateways
        # (github.com/Wei-Shaw/sub2api/pull/2399).
        "Invalid prompt: your prompt was flagged as potentially violating .*",
        # Anthropic has no code: github.com/anthropics/claude-code/issues/6195
        "(?:Input|Output) blocked by content filtering policy",
        # OpenRouter: openrouter.ai/docs/api/reference/errors-and-debugging
        ".*your input was flagged.*",
        # DeepSeek: github.com/deepseek-ai/DeepSeek-V2/issues/30
        "Content Exists Risk",
    ]
)
# Gemini: ai.google.dev/api/generate-content, *BlockReason*; github.com/vercel/ai/issues/4235
_GEMINI = "SAFETY|OTHER|BLOCKLIST|PROHIBITED_CONTENT|IMAGE_SAFETY"

FILTERS = {
    "code": _FILTER_CODES,
    "type": _FILTER_CODES,
    "message": _FILTER_WORDS,
    "detail": _FILTER_WORDS,
    "filtered": "True",  # Azure
    "blockreason": _GEMINI,
    "block_reason": _GEMINI,
    # Bedrock: docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-invoke-model.html;
    # behind LiteLLM: github.com/BerriAI/litellm/pull/33299
    "amazon-bedrock-guardrailaction": "INTERVENED",
    "guardrail_name": ".+",
    "flagged_input": ".+",  # OpenRouter
}
"""Field of an error, or beside the choices, at any depth → regular expression of its whole value
where a filter took request or answer; case does not matter."""

# OpenAI, Moonshot (platform.kimi.com/docs/api/errors), one-api
# (docs.aihubmix.com/cn/FAQs/HTTP-Codes), DashScope and Zhipu (as above)
_UNPAID_CODES = (
    "insufficient_quota|insufficient_user_quota|billing_not_active|billing_hard_limit_reached|"
    "exceeded_current_quota_error|Arrearage|1113"
)
ACCOUNTS = {
    "code": _UNPAID_CODES,
    "type": _UNPAID_CODES,
    # Anthropic: github.com/anthropics/claude-code/issues/4684
    "message": "Your credit balance is too low to access .*",
}
"""The same of an account that is empty, where the status is not 402."""


def _fields(error: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Walk the fields of an error; what a gateway passes on as JSON in a text is walked too."""
    if isinstance(error, str) and error.lstrip().startswith(("{", "[")):
        try:
            error = json.loads(error)
        except (ValueError, RecursionError):
            return
    if depth > DEEPEST:
        return
    if isinstance(error, list):
        for one in error:
            yield from _fields(one, depth + 1)
    elif isinstance(error, dict):
        for name, value in error.items():
            if isinstance(value, str | int | float):
                yield name.lower(), str(value).strip()
            yield from _fields(value, depth + 1)


def spoken(error: Any, dialects: Mapping[str, str]) -> bool:
    """Tell whether an error says what `dialects` lists."""
    return any(
        re.fullmatch(dialects[name], said, re.IGNORECASE | re.DOTALL)
        for name, said in _fields(error)
        if name in dialects
    )


def refusal(spec: str, status: int | None, error: Any, said: str) -> Reply | None:
    """Sort an error, by whatever road it came.

    Args:
        spec: How the user names the model.
        status: HTTP's; None where the road does not tell.
        error: The error as the server wrote it, parsed.
        said: The same in words.

    Returns:
        A reply that is filtered or rejected; None where the error may be gone next time.

    Raises:
        Refused: The key, or the model, is refused: by everybody's fault or by this request's.
        FatalCall: No request can succeed.
    """
    if spoken(error, FILTERS):
        return Reply("", Finish.FILTERED, detail=said, usage=NOT_ANSWERED)
    if status == 402 or spoken(error, ACCOUNTS):
        raise FatalCall(
            f"{spec}: the account is out of quota ({said}): top it up, then run the same command "
            "again"
        )
    if status is None or status in (408, 409, 425, 429) or status >= 500:
        return None
    rejected = Reply("", Finish.REJECTED, detail=said, usage=NOT_ANSWERED)
    if status in (401, 403):
        raise Refused(f"{spec}: the server refuses the key ({said})", rejected)
    if status == 404:
        raise Refused(f"{spec}: no such model or path ({said})", rejected)
    return rejected
