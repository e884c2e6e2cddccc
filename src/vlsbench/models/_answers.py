"""Reading what comes back: answers apart from thoughts, errors, and how servers say no.

What filters and billing say is matched on fields of an error and their whole value, never on a word
in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vlsbench.models._chat import FatalCall, Finish, Refused, Reply, Usage
from vlsbench.text import storable

MARKS = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, QwQ, GLM-4.1V, InternVL3.5, MiMo-VL, ERNIE
    ("<thinking>", "</thinking>"),  # models prompted for it
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("[THINK]", "[/THINK]"),  # Mistral Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL-Thinking
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A Reasoning, Command A Vision
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss (harmony)
    ("<SUMMARY>", "<CONCLUSION>"),  # LLaVA-CoT: four stages, the last the answer (2411.10440)
    ("<analysis>", "</analysis>"),  # Keye-VL
    ("<reasoning>", "</reasoning>"),  # models prompted for it
    ("<unused94>thought", "<unused95>"),  # MedGemma 1.5
    ("Here is my thought process:", "Here is my response:"),  # Granite 3.2
    ("Here's my thought process:", "Here's my response:"),
)
"""What opens and what closes a thought. Sources: chat templates of the models named and, for most,
the reasoning parsers of vLLM (docs.vllm.ai, *Reasoning Outputs*)."""

_FRAME = re.compile(
    r"<\|(?:begin_of_box|end_of_box|begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE)"
    r"\|>|<\|start\|>(?:assistant)?|<\|(?:end|return)\|>|<turn\|>|</CONCLUSION>"
)
"""Tokens around answers and turns: GLM-4.5V's box, and those of the models above."""
_ANSWER = re.compile(r"\s*<(answer|response)>(?P<said>.*?)(?:</\1>)?\s*", re.DOTALL)
"""What follows a thought in Hunyuan, in ERNIE, and in most models trained as DeepSeek-R1 was."""
_THINKING = r"\w*(?:think|thought|reason|reflect|analysis|ponder|scratchpad|monologue)\w*"
_OPENS = re.compile(rf"\s*[<\[]\|?{_THINKING}\|?[>\]]", re.IGNORECASE)
_CLOSES = re.compile(rf"[<\[]\|?/{_THINKING}\|?[>\]]", re.IGNORECASE)
"""What looks like the mark of a thought: at the beginning of a text, or closing it anywhere."""


class Said(NamedTuple):
    """What a model said, and what it thought before."""

    text: str
    reasoning: str = ""


def is_mark(token: str) -> bool:
    """Tell whether a token is one of those, or a part of one, by which thoughts are told apart."""
    return any(token in mark for pair in MARKS for mark in pair) or bool(_FRAME.fullmatch(token))


def split_thoughts(text: str, *, prompt: str = "") -> Said:
    """Split what a model wrote into its answer and the thoughts before it.

    A thought that is not closed is no answer yet: the text is then empty. The opening mark may be
    missing, since many chat templates write it at the end of the prompt.

    Args:
        text: As the model wrote it, marks included.
        prompt: What it was given, after its chat template, where that is known.
    """
    before = prompt.rstrip()
    rest = next((opens for opens, _ in MARKS if before.endswith(opens)), "") + text
    thoughts: list[str] = []
    while found := _first_thought(rest, unopened=not thoughts):
        thoughts.append(_FRAME.sub("", found[0]).strip())
        rest = found[1].lstrip()
    rest = _FRAME.sub("", rest)
    if thoughts and (framed := _ANSWER.fullmatch(rest)):
        rest = framed["said"].strip()
    return Said(rest, "\n".join(filter(None, thoughts)))


def _first_thought(text: str, *, unopened: bool) -> tuple[str, str] | None:
    begun = text.lstrip()
    for opens, closes in MARKS:
        if begun.startswith(opens):
            thought, _, rest = begun.removeprefix(opens).partition(closes)
            return thought, rest
    for opens, closes in MARKS if unopened else ():
        thought, closed, rest = text.partition(closes)
        if closed and opens not in thought and opens[0] in "<[◁":  # not what also ends a sentence
            return thought, rest
    return None


def unknown_mark(text: str) -> str:
    """Return what of an answer looks like the mark of a thought that `MARKS` lacks; else empty."""
    found = _OPENS.match(text) or _CLOSES.search(text)
    return found[0].strip() if found else ""


def read_content(content: object, reported: object = None) -> Said:
    """Read the content of a chat completion: text, or a list of parts, some of them thoughts.

    Args:
        content: `message.content` (parts of thoughts as Mistral and Anthropic write them).
        reported: What the server reported as thoughts apart from it.
    """
    parts = content if isinstance(content, list) else [{"text": content}]
    text, thoughts = "", [storable(reported)]
    for part in parts:
        if not isinstance(part, dict):
            continue
        if part.get("type") in ("thinking", "reasoning"):
            given = part.get("thinking") or part.get("reasoning") or part.get("text")
            thoughts.append(read_content(given).text)
        else:
            text += storable(part.get("text"))
    said = split_thoughts(text)
    return Said(said.text, "\n".join(filter(None, [*thoughts, said.reasoning])))


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
STREAMED = "the server streams its answers though nobody asked for it: switch that off"
DETAIL_CHARS = 300
"""What is kept of a server's own words."""
_USUAL = {
    *("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "request_id"),
    *("service_tier", "provider", "prompt_logprobs", "kv_transfer_params", "timings"),
    "prompt_filter_results",  # of Azure, which annotates all
}
"""Fields of an answer that say nothing of a filter."""
NOT_ANSWERED = Usage(output_tokens=0)
"""Of an error: nothing was written, but some providers charge for reading."""
DEEPEST = 8
"""Levels of an error that are looked at."""

_FILTER_CODES = (
    # OpenAI: github.com/openai/codex/issues/7250
    "content_policy_violation|moderation_blocked|"
    # Azure: learn.microsoft.com/en-us/azure/ai-services/openai/concepts/content-filter-annotations;
    # behind LiteLLM: github.com/BerriAI/litellm/pull/16231; Moonshot: platform.kimi.com/docs/api
    "content_filter|ResponsibleAIPolicyViolation|content_safety_violation|"
    # DashScope: help.aliyun.com/document_detail/2712216.html
    "data_?inspection_?failed|FaqRuleBlocked|"
    # Zhipu: docs.z.ai/api-reference/api-code
    "1301|"
    # new-api: github.com/QuantumNous/new-api/issues/6656
    "sensitive_words_detected|prompt_blocked"
)
_FILTER_WORDS = (
    # OpenAI: its code `invalid_prompt` has other meanings at gateways
    # (github.com/Wei-Shaw/sub2api/pull/2399).
    "Invalid prompt: your prompt was flagged as potentially violating .*|"
    # Anthropic has no code: github.com/anthropics/claude-code/issues/6195
    "(?:Input|Output) blocked by content filtering policy|"
    # OpenRouter: openrouter.ai/docs/api/reference/errors-and-debugging
    ".*your input was flagged.*|"
    # DeepSeek: github.com/deepseek-ai/DeepSeek-V2/issues/30
    "Content Exists Risk"
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


def _error_in(*places: Any) -> Any:
    return next(filter(None, (one.get("error") for one in places if isinstance(one, dict))), None)


def parse_answer(body: bytes) -> Reply:
    """Read a chat completion.

    Raises:
        ErrorAnswer: It holds an error.
        ValueError: It is not one (cut JSON, an HTML page, no choice).
    """
    if body.lstrip().startswith((b"data:", b"event:", b": ")):
        # Rejected, not asked again: each answer is paid for, and how much is not known.
        return Reply("", Finish.REJECTED, detail=STREAMED)
    try:
        answer = json.loads(body)
    except RecursionError:
        raise ValueError("answer is nested too deeply") from None
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
    if spoken({name: answer[name] for name in answer.keys() - _USUAL}, FILTERS):
        finish, detail = Finish.FILTERED, "by the provider's filter"
    return Reply(
        text=text,
        finish=finish,
        reasoning=reasoning,
        usage=read_usage(answer, text or reasoning),
        served_by=storable(answer.get("model")),
        detail=detail,
    )
