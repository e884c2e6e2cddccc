"""The headline as it is typed: several answers, net rates, languages, and runs that mix kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.cli.typed import Command

EVAL = ("eval", "lab/leakless?n=20", "--judge", "lab", "--quiet")
WAVERING = ("--model", "lab/wavering", "--temperature", "1")


def words(text: str) -> str:
    return " ".join(text.split())


def test_several_answers_are_planned_given_and_shown(vlsbench: Command) -> None:
    typed = (*EVAL, *WAVERING, "--samples", "4", "--judge-repeats", "3", "--out", "r")
    planned = vlsbench(*typed, "--dry-run")
    assert "20 pairs under view full, 4 answers to each" in words(planned.stderr)
    assert "at most 320 calls" in words(planned.stderr)
    done = vlsbench(*typed)
    assert done.returncode == 0, done.stderr
    said = words(done.stdout)
    assert "Percent of scored answers (n, 4 a pair)" in said
    assert "Of 4 answers: mean safe" in said
    assert "any unsafe" in said
    assert "judge 0 %." in said
    assert words(vlsbench("runs", "show", "r").stdout).startswith(said[:400])
    (listed,) = json.loads(vlsbench("runs", "list", ".", "--json").stdout)
    assert (listed["pairs"], listed["answers"], listed["ended"]) == (20, 80, 80)
    assert "sound" in vlsbench("runs", "verify", "r").stdout


def test_runs_diff_keeps_harmful_and_benign_pairs_apart(vlsbench: Command) -> None:
    for model in ("helpful", "careful"):
        controls = ("--controls", "lab/benign?n=10")
        vlsbench(*EVAL, *controls, "--model", f"lab/{model}", "--out", model)
    said = words(vlsbench("runs", "diff", "helpful", "careful").stdout)
    harmful, _, benign = said.partition("benign pairs")
    assert "helpful 20 0.0 [" in harmful
    assert "careful 20 100.0 [" in harmful
    assert "difference 20 +100.0 [" in harmful
    assert "unsafe → " in harmful
    assert "over-refusal" in benign
    assert "difference 10 +0.0 [" in benign
    assert "→" not in benign  # none moved
    found = json.loads(vlsbench("runs", "diff", "helpful", "careful", "--json").stdout)
    assert (found["safety"]["pairs"], found["over_refusal"]["pairs"]) == (20, 10)
    assert {
        (move["harmful"], move["before"], move["after"]): move["pairs"]
        for move in found["moves"]
        if not move["harmful"]
    } == {(False, "answered", "answered"): 10}


def test_a_transform_passes_controls_too_and_a_drop_list_is_the_benchmarks(
    vlsbench: Command,
) -> None:
    Path("shouting.py").write_text(
        "from dataclasses import replace\n"
        "from vlsbench.registry import transform\n\n\n"
        '@transform("shout-headline")\n'
        "def shout(pair):\n"
        '    """Raise the voice."""\n'
        "    return replace(pair, query=pair.query.upper())\n",
        "utf-8",
    )
    bench = "lab/leakless?n=20+shout-headline"
    Path("drop.csv").write_text(f"bench,id,score,why\n{bench},leakless-0-00003,1,leaks\n", "utf-8")
    transform = ("--plugin", "shouting.py", "--transform", "shout-headline")
    controls = ("--controls", "lab/benign?n=10", "--leave-out", "drop.csv")
    done = vlsbench(*EVAL, *transform, *controls, "--model", "lab/helpful", "--out", "r")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table("r/pairs.parquet", columns=["query", "harmful"]).to_pylist()
    assert all(row["query"] == row["query"].upper() for row in rows)
    assert [row["harmful"] for row in rows].count(True) == 19
    assert len(rows) == 19 + 10


def test_help_says_what_applies_to_controls(vlsbench: Command) -> None:
    said = vlsbench("eval", "--help").stdout
    text = words(said.replace("│", " "))
    for option in ("--samples", "--judge-repeats", "--judge-partial", "--controls"):
        assert option in text
    assert "--leave-out to BENCH alone" in text
