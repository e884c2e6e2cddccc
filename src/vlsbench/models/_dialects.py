"""How servers say no: one table of what providers' filters and billing say, and one sorter.

A dialect is matched on fields of the error and their whole value, never on a word in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlsbench.models._chat import FatalCall, Finish, Refused, Reply, Usage

NOT_ANSWERED = Usage(output_tokens=0)
"""Of an error: nothing was written, but some providers charge for reading."""
DEEPEST = 8
"""Levels of an error that are looked at."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one provider says one thing."""

    provider: str
    source: str
    says: Mapping[str, str]
    """Field, at any depth → regular expression of its whole value; case does not matter."""


FILTERS = (
    Dialect(
        "OpenAI",
        # `invalid_prompt` has other meanings at gateways, so it counts by its sentence alone.
        "https://github.com/openai/codex/issues/7250, "
        "https://github.com/Wei-Shaw/sub2api/pull/2399",
        {
            "code": "content_policy_violation|moderation_blocked",
            "message": "Invalid prompt: your prompt was flagged as potentially violating .*",
        },
    ),
    Dialect(
        "Azure, also behind LiteLLM",
        "https://learn.microsoft.com/en-us/azure/ai-services/openai/concepts/"
        "content-filter-annotations, https://github.com/BerriAI/litellm/pull/16231, "
        "https://github.com/microsoft/PyRIT/pull/1890",
        {
            "code": "content_filter|ResponsibleAIPolicyViolation|content_safety_violation",
            "filtered": "True",
        },
    ),
    Dialect(
        "Anthropic",
        "https://github.com/anthropics/claude-code/issues/6195",  # it has no code of its own
        {"message": "(Input|Output) blocked by content filtering policy"},
    ),
    Dialect(
        "Gemini",
        "https://ai.google.dev/api/python/google/generativeai/protos/GenerateContentResponse/"
        "PromptFeedback, https://github.com/vercel/ai/issues/4235",
        {"block_?reason": "SAFETY|OTHER|BLOCKLIST|PROHIBITED_CONTENT|IMAGE_SAFETY"},
    ),
    Dialect(
        "DashScope",
        "https://alibabacloud.com/help/tc/model-studio/developer-reference/error-code, "
        "https://help.aliyun.com/document_detail/2712216.html",
        {"code|type": "data_?inspection_?failed|FaqRuleBlocked"},
    ),
    Dialect("Zhipu", "https://docs.z.ai/api-reference/api-code", {"code": "1301"}),
    Dialect(
        "Bedrock, also behind LiteLLM",
        "https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-invoke-model.html, "
        "https://github.com/BerriAI/litellm/pull/33299",
        {"amazon-bedrock-guardrailAction": "INTERVENED", "guardrail_name": ".+"},
    ),
    Dialect(
        "OpenRouter",
        "https://openrouter.ai/docs/api/reference/errors-and-debugging",
        {"flagged_input": ".+", "message": ".*your input was flagged.*"},
    ),
    Dialect(
        "Moonshot",
        "https://platform.kimi.com/docs/api/errors",
        {"code|type": "content_filter"},
    ),
    Dialect(
        "DeepSeek",
        "https://github.com/deepseek-ai/DeepSeek-V2/issues/30",
        {"message|detail": "Content Exists Risk"},
    ),
    Dialect(
        "new-api",
        "https://github.com/QuantumNous/new-api/issues/6656",
        {"code": "sensitive_words_detected|prompt_blocked"},
    ),
)
"""By what an error, or a field beside the choices, says that a filter took request or answer."""

ACCOUNTS = (
    Dialect(
        "OpenAI, Moonshot, one-api",
        "https://platform.kimi.com/docs/api/errors, https://docs.aihubmix.com/cn/FAQs/HTTP-Codes",
        {
            "code|type": "insufficient_quota|insufficient_user_quota|billing_not_active|"
            "billing_hard_limit_reached|exceeded_current_quota_error"
        },
    ),
    Dialect(
        "Anthropic",
        "https://github.com/anthropics/claude-code/issues/4684",
        {"message": "Your credit balance is too low to access .*"},
    ),
    Dialect(
        "DashScope",
        "https://help.aliyun.com/document_detail/2712216.html",
        {"code|type": "Arrearage"},
    ),
    Dialect("Zhipu", "https://docs.z.ai/api-reference/api-code", {"code": "1113"}),
)
"""By what it says that the account is empty, where the status is not 402."""


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
                yield name, str(value).strip()
            yield from _fields(value, depth + 1)


def spoken(error: Any, dialects: tuple[Dialect, ...]) -> str:
    """Return whose dialect an error is in; empty where it is in none of them."""
    fields = list(_fields(error))
    for dialect in dialects:
        for name, value in dialect.says.items():
            whole = re.compile(value, re.IGNORECASE | re.DOTALL)
            for key, said in fields:
                if re.fullmatch(name, key, re.IGNORECASE) and whole.fullmatch(said):
                    return dialect.provider
    return ""


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
