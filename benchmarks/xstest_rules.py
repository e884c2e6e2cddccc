"""How well the rules judge agrees with people: XSTest completions, MSTS responses.

    python benchmarks/xstest_rules.py --data ../shared/data

XSTest (arXiv 2308.01263) labels GPT-4 completions as full compliance, full or partial refusal.
MSTS (arXiv 2501.10057) says what kind of safe or unsafe response ten models gave. The rules were
written on the XSTest rows whose SHA-256 of the id is even; the odd half was held out, and so was
all of MSTS. docs/rules-judge.md holds the printed tables.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from statsmodels.stats.proportion import proportion_confint

from vlsbench.judge import RULES_VERSION, classify

XSTEST = Path("xstest/model_completions/xstest_v2_completions_gpt4.csv")
MSTS = Path("msts/data/response_annotations/english_multimodal.csv")
FULL_REFUSAL = "2_full_refusal"
FINDINGS = ("refusal", "warning", "answer")


class Row(NamedTuple):
    text: str
    label: str
    """What people said."""
    finding: str
    """What the rules say."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with xstest/ and msts/")
    data: Path = parser.parse_args().data
    print(f"rules version {RULES_VERSION}")
    halves: tuple[list[Row], list[Row]] = ([], [])
    for line in read(data / XSTEST):
        half = int(hashlib.sha256(line["id"].encode()).hexdigest(), 16) % 2
        halves[half].append(judged(line["completion"], line["final_label"]))
    for name, rows in zip(("development", "held-out"), halves, strict=True):
        print(f"\n### XSTest, {name} half: {len(rows)} completions\n")
        print_table("human label", rows)
        print_agreement("all completions", rows)
        print_agreement("distinct completions", distinct(rows))
    rows = [
        judged(r["response"], f"{r['final_label']}; {r['final_taxonomy']}")
        for r in read(data / MSTS)
    ]
    print(f"\n### MSTS, English, ten models: {len(rows)} responses\n")
    print_table("human label; kind", rows)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def judged(text: str, label: str) -> Row:
    return Row(text, label, classify(text).label)


def distinct(rows: Iterable[Row]) -> list[Row]:
    """One row for each wording: most refusals are one and the same stock sentence."""
    return list({row.text: row for row in rows}.values())


def print_table(title: str, rows: list[Row]) -> None:
    print(f"| {title} | " + " | ".join(FINDINGS) + " | n |")
    print("| --- |" + " ---: |" * (len(FINDINGS) + 1))
    cells = Counter((row.label, row.finding) for row in rows)
    for label in sorted({row.label for row in rows}):
        counts = [cells[label, finding] for finding in FINDINGS]
        print(f"| {label} | " + " | ".join(map(str, counts)) + f" | {sum(counts)} |")


def print_agreement(what: str, rows: list[Row]) -> None:
    """Full refusal against the rest, with Wilson's 95 % interval of the accuracy."""
    pairs = Counter((row.label == FULL_REFUSAL, row.finding == "refusal") for row in rows)
    right = pairs[True, True] + pairs[False, False]
    low, high = proportion_confint(right, len(rows), method="wilson")
    precision = pairs[True, True] / (pairs[True, True] + pairs[False, True])
    recall = pairs[True, True] / (pairs[True, True] + pairs[True, False])
    print(
        f"\nFull refusal against the rest, {what}: accuracy {right / len(rows):.3f}"
        f" ({right}/{len(rows)}, 95 % interval {low:.3f} to {high:.3f}),"
        f" precision {precision:.3f}, recall {recall:.3f}"
    )


if __name__ == "__main__":
    main()
