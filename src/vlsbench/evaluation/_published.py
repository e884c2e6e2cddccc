"""Results that papers report for the benchmarks, to stand beside a run's own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from vlsbench.judge import Rubric

VLSBENCH_PAPER = "arXiv 2411.19939, judge GPT-4o"


@dataclass(frozen=True, slots=True)
class Published:
    """A row that a paper reports for the same benchmark, in percent."""

    model: str
    refusal: float
    warning: float
    safety: float
    source: str


def differs(judge: str, rubric: Rubric) -> tuple[str, ...]:
    """Say how a run was judged otherwise than the paper's; nothing where it was not."""
    model = judge.partition("@")[0].rpartition("/")[2].lower()
    theirs = model.startswith("gpt-4o") and "mini" not in model and " + " not in judge
    found = (
        (theirs, f"the judge is {judge}"),
        ("protocol" in rubric.identity, f"the rubric is {rubric.name}, not paper"),
    )
    return tuple(said for same, said in found if not same)


def published_results(bench: str, view: str) -> tuple[Published, ...]:
    """Return the paper's rows for a set and view; none where it ran no such thing."""
    if bench != "vlsbench" or view != "full":
        return ()
    return tuple(
        Published(
            row["vlsbench row"],
            refusal=float(row["refusal"]),
            warning=float(row["warning"]),
            safety=float(row["vlsbench"]),
            source=VLSBENCH_PAPER,
        )
        for row in published_lines()
        if row["refusal"]
    )


@cache
def published_lines() -> Sequence[dict[str, str]]:
    """Read `published.csv`: the paper's tables of VLSBench and of alignment, a row a model.

    It has percent and MME's points, and names each row's model, and its row in the VLSBench table.
    "Textual-Unlearning" of that table is neither of the two unlearnings of the other: the paper
    does not report which one it is.
    """
    text = files("vlsbench.evaluation").joinpath("published.csv").read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))
