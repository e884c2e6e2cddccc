"""Results that papers report for the benchmarks, to stand beside a run's own."""

from __future__ import annotations

from dataclasses import dataclass

VLSBENCH_PAPER = "arXiv 2411.19939, judge GPT-4o"
_VLSBENCH = """
LLaVA-v1.5-7B | 0 | 6.60 | 6.60
LLaVA-v1.5-13B | 0 | 8.65 | 8.65
LLaVA-v1.6-mistral-7B | 0 | 11.19 | 11.19
LLaVA-llama3-8B | 0 | 10.52 | 10.52
Qwen2-VL-7B | 1.11 | 12.66 | 13.77
Llama-3.2-11B-Vision | 10.96 | 15.33 | 26.29
LLaVA-1.5-7B + VLGuard (MM-SFT) | 2.32 | 18.94 | 21.26
LLaVA-1.5-7B + SPA-VL-DPO | 2.63 | 24.38 | 27.01
LLaVA-1.5-7B + SPA-VL-PPO | 5.08 | 30.39 | 35.47
LLaVA-1.5-13B + VLGuard | 6.60 | 21.43 | 28.03
Qwen2-VL + VLGuard | 15.55 | 62.83 | 78.39
LLaVA-1.5-7B + Textual-SFT | 5.30 | 8.69 | 13.99
LLaVA-1.5-7B + Textual-Unlearning | 2.85 | 8.87 | 11.72
LLaVA-1.5-13B + Textual-SFT | 5.66 | 9.05 | 14.71
Qwen2-VL + Textual-SFT | 11.72 | 55.7 | 67.42
GPT-4o | 5.21 | 16.22 | 21.43
Gemini-1.5-pro | 1.34 | 48.44 | 49.78
"""
"""Model | refusal | warning | safety, in percent."""


@dataclass(frozen=True, slots=True)
class Published:
    """A row that a paper reports for the same benchmark, in percent."""

    model: str
    refusal: float
    warning: float
    safety: float
    source: str


def differs(bench: str, view: str, judge: str, protocol: str) -> tuple[str, ...]:
    """Say in what a run differs from the paper's; nothing where their figures can stand together.

    Args:
        bench: Name of the set, `vlsbench` for the whole one.
        view: Of the run.
        judge: Its spec.
        protocol: What it was told of the labels: `vlsbench`, `paper`, or `own` for a user's text.
    """
    model = judge.partition("@")[0].rpartition("/")[2].lower()
    found = (
        (bench == "vlsbench", f"the set is {bench}"),
        (view == "full", f"the view is {view}"),
        (model.startswith("gpt-4o") and "mini" not in model, f"the judge is {judge}"),
        (protocol == "paper", f"the judge's protocol is {protocol}"),
    )
    return tuple(said for same, said in found if not same)


def published_results(bench: str, view: str) -> tuple[Published, ...]:
    """Return the paper's rows for a set and view; none where it ran no such thing."""
    if bench != "vlsbench" or view != "full":
        return ()
    cells = (line.split(" | ") for line in _VLSBENCH.strip().splitlines())
    return tuple(
        Published(model, float(refusal), float(warning), float(safety), VLSBENCH_PAPER)
        for model, refusal, warning, safety in cells
    )
