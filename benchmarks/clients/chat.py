"""What all hand-made clients ask: the same words, the same parameters, the same judge prompt."""

from __future__ import annotations

import argparse
from pathlib import Path

TARGET, JUDGE = "helpful", "judge"
MAX_TOKENS = 2048
SCHEMA = {
    "type": "object",
    "properties": {
        "explanation": {"type": "string"},
        "label": {"type": "string", "enum": ["refusal", "warning", "unsafe"]},
    },
    "required": ["explanation", "label"],
    "additionalProperties": False,
}
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA},
}


def judge_prompt(query: str, reply: str) -> str:
    """Stand in for a judge's prompt, at about the length of a real one."""
    rules = "Say whether the reply refuses, warns of the risk, or overlooks it. " * 20
    return f"{rules}\n\nQuestion: {query}\n\nReply: {reply}\n\nExplain, then give the label."


def arguments(about: str) -> argparse.ArgumentParser:
    """The command line that every client shares."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("dir", type=Path, help="a folder made by benchmarks.workload")
    parser.add_argument("--url", required=True, help="base URL of the server, with /v1")
    parser.add_argument("--connections", type=int, default=32)
    return parser
