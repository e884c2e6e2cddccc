"""Reading what an OpenAI-compatible server sends back: completions, and errors of any form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vlsbench.models._chat import Finish, Reply, Usage
from vlsbench.models._dialects import FILTERS, spoken
from vlsbench.models._thoughts import read_content
from vlsbench.text import storable

FINISHES: Mapping[str, Finish] = {
    word: finish
    for finish, words in {
        Finish.STOP: "stop tool_calls function_call end_turn stop_sequence tool_use eos eos_token "
        "complete",
        Finish.LENGTH: "length max_tokens model_length model_context_window_exceeded error_limit",
        Finish.FILTERED: "content_filter content_filtered guardrail_intervened safety recitation "
        "blocklist prohibited_content spii image_safety error_toxic sensitive filtered",
        Finish.REFUSAL: "refusal",
    }.items()
    for word in words.split()
}
"""Why a model stopped, in the words of servers, in lower case: OpenAI, Azure, vLLM, SGLang
(platform.openai.com/docs/api-reference/chat), Anthropic (docs.anthropic.com, *Handling stop
reasons*), Gemini (ai.google.dev/api/generate-content, *FinishReason*), Inspect (`StopReason`),
Mistral, Text Generation Inference, Together, Cohere, Bedrock and Zhipu."""
DETAIL_CHARS = 300
"""What is kept of a server's own words."""


class ErrorAnswer(ValueError):
    """An answer with the status of a good one that holds an error.

    Its error may stand anywhere: OpenRouter's stands in the choice, beside a part of the text
    (https://openrouter.ai/docs/api/reference/errors-and-debugging).
    """

    def __init__(self, error: Any) -> None:
        super().__init__(words_of(error))
        self.error = error

    @property
    def status(self) -> int:
        """What its HTTP status would have been."""
        inner = self.error if isinstance(self.error, dict) else {}
        for name in ("code", "status", "status_code"):
            if str(inner.get(name)).isdecimal() and 400 <= int(inner[name]) < 600:
                return int(inner[name])
        return 400 if inner.get("type") == "invalid_request_error" else 500


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
    # Gemini's compatible endpoint adds the reason of its filter after a colon.
    word = str(reason).lower().removeprefix("finishreason.").partition(":")[0]
    if word in FINISHES:
        return FINISHES[word], ""
    return Finish.REJECTED, f"unknown finish reason {str(reason)[:60]!r}"


def read_error(body: bytes) -> Any:
    """Return an error answer as parsed JSON, or as text where it is none."""
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return body[: 4 * DETAIL_CHARS].decode("utf-8", "replace")
    if isinstance(error, list) and error:  # Gemini
        error = error[0]
    return error


def words_of(error: Any) -> str:
    """Return what an error says, whatever form it has."""
    if isinstance(error, dict) and error.get("error"):
        error = error["error"]
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error.get("msg")
        metadata = error.get("metadata")
        # OpenRouter's own message is `Provider returned error`.
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
        error = f"{said} ({raw})" if said and raw else said or json.dumps(error)
    return storable(" ".join(str(error).split()))


def read_usage(answer: Any, text: str = "") -> Usage:
    """Return the tokens that an answer, parsed, counts; `text` is what it says."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    asked, wrote, whole = (Usage(usage.get(name)).input_tokens for name in names)
    if whole and asked and wrote is not None:
        # Some leave thoughts, which are paid as answers, out of all but the total.
        wrote = max(wrote, whole - asked)
    # No prompt is 0 tokens, and no text either: whoever says so has not counted.
    return Usage(asked or None, None if text and not wrote else wrote, thought)


def _joined(body: bytes) -> Any:
    """Join a stream that nobody asked for (server-sent events) into the answer that it makes.

    Raises:
        ValueError: It ends before its end.
    """
    answer: dict[str, Any] = {}
    parts: dict[str, str] = {}
    finish, ended = None, False
    for line in body.decode("utf-8", "replace").splitlines():
        field, _, data = line.partition(":")
        if field != "data" or not data.strip():
            continue
        if data.strip() == "[DONE]":
            ended = True
            continue
        chunk = json.loads(data)
        answer |= {name: value for name, value in chunk.items() if value is not None}
        for choice in (chunk.get("choices") or [])[:1]:
            finish = choice.get("finish_reason") or finish
            for name, part in (choice.get("delta") or choice.get("message") or {}).items():
                if isinstance(part, str) and name != "role":
                    parts[name] = parts.get(name, "") + part
    if not (finish or ended or "error" in answer):
        raise ValueError("the stream ends before its end")
    return {**answer, "choices": [{"message": parts, "finish_reason": finish}]}


def _error_in(*places: Any) -> Any:
    found = (place.get("error") for place in places if isinstance(place, dict))
    return next(filter(None, found), None)


def parse_answer(body: bytes) -> Reply:
    """Read a chat completion.

    Raises:
        ErrorAnswer: It holds an error.
        ValueError: It is not one (cut JSON, an HTML page, no choice).
    """
    try:
        streamed = body.lstrip().startswith((b"data:", b"event:", b": "))
        answer = _joined(body) if streamed else json.loads(body)
    except RecursionError:
        raise ValueError("answer is nested too deeply") from None
    except (AttributeError, TypeError):
        raise ValueError("the stream holds no chunks of an answer") from None
    try:
        choice = answer["choices"][0]
        message = choice.get("message") or {}
        reported = message.get("reasoning_content") or message.get("reasoning")
        text, reasoning = read_content(message.get("content"), reported)
    except (KeyError, IndexError, TypeError, AttributeError):
        if isinstance(answer, dict) and (_error_in(answer) or spoken(answer, FILTERS)):
            raise ErrorAnswer(_error_in(answer) or answer) from None
        raise ValueError(f"answer has no choices[0].message: {words_of(answer)[:80]}") from None
    if error := _error_in(answer, choice, message):
        raise ErrorAnswer(error)
    refusal = storable(message.get("refusal"))
    finish, detail = read_finish(choice.get("finish_reason"))
    if refusal and not text.strip():
        text, finish, detail = refusal, Finish.REFUSAL, ""
    beside = answer.keys() - {"choices", "prompt_filter_results"}  # Azure annotates all
    if spoken({name: answer[name] for name in beside}, FILTERS):
        finish, detail = Finish.FILTERED, "by the provider's filter"
    return Reply(
        text=text,
        finish=finish,
        reasoning=reasoning,
        usage=read_usage(answer, text or reasoning),
        served_by=storable(answer.get("model")),
        detail=detail,
    )
