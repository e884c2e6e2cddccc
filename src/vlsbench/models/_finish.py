"""Why a model stopped, in the words of every server."""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.models._chat import Finish

FINISHES: Mapping[str, Finish] = {
    # OpenAI, Azure, vLLM, SGLang and most others (platform.openai.com/docs/api-reference/chat).
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "content_filter": Finish.FILTERED,
    "tool_calls": Finish.STOP,
    "function_call": Finish.STOP,
    # Anthropic (docs.anthropic.com, *Handling stop reasons*).
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSAL,
    # Gemini (ai.google.dev/api/generate-content, *FinishReason*).
    "safety": Finish.FILTERED,
    "recitation": Finish.FILTERED,
    "blocklist": Finish.FILTERED,
    "prohibited_content": Finish.FILTERED,
    "spii": Finish.FILTERED,
    "image_safety": Finish.FILTERED,
    # Inspect (`StopReason`) and Mistral.
    "model_length": Finish.LENGTH,
    # Text Generation Inference, Together.
    "eos_token": Finish.STOP,
    "eos": Finish.STOP,
    # Cohere.
    "complete": Finish.STOP,
    "error_limit": Finish.LENGTH,
    "error_toxic": Finish.FILTERED,
    # Bedrock.
    "content_filtered": Finish.FILTERED,
    "guardrail_intervened": Finish.FILTERED,
    # Zhipu.
    "sensitive": Finish.FILTERED,
}
"""Words of servers, in lower case → what they mean."""


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
