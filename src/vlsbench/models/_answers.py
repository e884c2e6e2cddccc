"""Reading what an OpenAI-compatible server sends back: completions, and errors of any form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from vlsbench.models._chat import Finish, Reply, Usage
from vlsbench.models._thoughts import read_content
from vlsbench.text import storable

FINISHES: Mapping[str, Finish] = {
    word: finish
    for finish, words in {
        Finish.STOP: "stop tool_calls function_call end_turn stop_sequence tool_use eos eos_token "
        "complete",
        Finish.LENGTH: "length max_tokens model_length model_context_window_exceeded error_limit",
        Finish.FILTERED: "content_filter content_filtered guardrail_intervened safety recitation "
        "blocklist prohibited_content spii image_safety error_toxic sensitive",
        Finish.REFUSAL: "refusal",
    }.items()
    for word in words.split()
}
"""Why a model stopped, in the words of servers, in lower case: OpenAI, Azure, vLLM, SGLang
(platform.openai.com/docs/api-reference/chat), Anthropic (docs.anthropic.com, *Handling stop
reasons*), Gemini (ai.google.dev/api/generate-content, *FinishReason*), Inspect (`StopReason`),
Mistral, Text Generation Inference, Together, Cohere, Bedrock and Zhipu."""
DETAIL_CHARS = 300
FILTER_CODES = ("content_filter", "content_policy", "moderation", "safety")
"""Parts of the codes and messages by which providers say that a filter took the request."""


def read_finish(reason: object) -> tuple[Finish, str]:
    """Read why a model stopped.

    Args:
        reason: As the server said it; None and nothing are taken for an end, as servers that say
            nothing mean it.

    Returns:
        What it means and, where the word is none of `FINISHES` (`abort`, `error`, what some server
        invents tomorrow), `rejected` with a detail: such a reply may be a fragment, and is not
        judged.
    """
    if reason is None or reason == "":
        return Finish.STOP, ""
    word = str(reason).lower().removeprefix("finishreason.")
    if word in FINISHES:
        return FINISHES[word], ""
    return Finish.REJECTED, f"unknown finish reason {str(reason)[:60]!r}"


def read_error(body: bytes) -> tuple[str, str]:
    """Return the message and the code of an error answer, whatever form it has."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return storable(body[:DETAIL_CHARS].decode("utf-8", "replace")), ""
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or json.dumps(error)
        return storable(str(message))[:DETAIL_CHARS], str(
            error.get("code") or error.get("type") or ""
        )
    return storable(str(error))[:DETAIL_CHARS], ""


def _from_json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except ValueError:  # not JSON, or lenient JSON: NaN, lone surrogates
        return json.loads(body)


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    counts = (
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        details.get("reasoning_tokens") if isinstance(details, dict) else None,
    )
    return Usage(*(n if isinstance(n, int) and n >= 0 else None for n in counts))


def parse_answer(body: bytes) -> Reply:
    """Read a chat completion.

    Raises:
        ValueError: It is not one (cut JSON, an HTML page, no choice).
    """
    try:
        answer = _from_json(body)
    except RecursionError:
        raise ValueError("answer is nested too deeply") from None
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        reported = message.get("reasoning_content") or message.get("reasoning")
        text, reasoning = read_content(message.get("content"), reported)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("answer has no choices[0].message") from None
    refusal = storable(message.get("refusal"))
    finish, detail = read_finish(choice.get("finish_reason"))
    if refusal and not text.strip():
        text, finish, detail = refusal, Finish.REFUSAL, ""
    return Reply(
        text=text,
        finish=finish,
        reasoning=reasoning,
        usage=_usage(answer),
        served_by=storable(answer.get("model")),
        detail=detail,
    )
