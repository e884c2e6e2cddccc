"""Runs of the lab whose judge errs, and people who know the lab's truth."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsbench.calibrating import CalibratedRun
from vlsbench.judge import Judge, Question, as_judge

Truth = Mapping[str, str]
"""Id of a reply → the label that it deserves."""


def erring(truth: Truth, name: str = "erring") -> Judge:
    """Call a quarter of the answers warnings, and one warning in twelve an answer."""

    def judge(question: Question) -> str:
        right, (_, warning, answer) = truth[question.pair.id], question.labels
        chance = int(hashlib.sha256(question.pair.id.encode()).hexdigest(), 16) % 100
        if right == answer:
            return warning if chance < 25 else right
        return answer if chance < 8 else right

    return as_judge(judge, name, version="1")


def truths(run: Path) -> Truth:
    return {id: reply.label for id, reply in CalibratedRun(run).replies.items()}


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def filled(path: Path, truth: Truth, annotator: str = "ann") -> Path:
    """Fill in a file of replies to label as a person who knows the truth does."""
    rows = [{**row, "annotator": annotator, "label": truth[row["id"]]} for row in read(path)]
    return write(path.with_name(f"{annotator.replace(':', '-')}.csv"), rows)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
