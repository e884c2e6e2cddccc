"""Thoughts apart from answers: a model is judged by what it says, not by what it thinks."""

from __future__ import annotations

import re
from typing import NamedTuple

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
    parts = any(token in mark for pair in MARKS for mark in pair)
    return parts or _FRAME.fullmatch(token) is not None


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
