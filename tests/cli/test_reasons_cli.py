"""Why pairs are unscored, on every road: the server's own words, and an exit code that is not 0."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.cli.asking import environment as environment
from tests.cli.asking import evaluate, one_line
from tests.cli.typed import Command
from tests.scripted import Asked, Said, answer, completion, refuse, scripted


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (refuse(400, "this model takes no text"), "reply_rejected"),
        (refuse(500, "worker 3 is gone"), "reply_missing"),
        (Said(b"<html>gateway asleep</html>"), "reply_missing"),
        (Said({"object": "error", "message": "no such adapter"}), "reply_missing"),
        (Said(completion("x", "error")), "reply_rejected"),
    ],
)
def test_a_run_in_which_nothing_is_scored_says_why_and_fails(
    vlsbench: Command, said: Said, reason: str
) -> None:
    words = {
        "reply_rejected": "takes no text|finish reason 'error'",
        "reply_missing": "worker 3|gateway asleep|no such adapter",
    }[reason]
    with scripted(lambda _: said) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--limit", "3")
    assert done.returncode == 1
    assert "no pair was scored" in done.stderr
    assert re.search(f"{reason}, most often: .*({words})", done.stdout)


LAB = "lab/leakless?n=2", "--controls", "lab/benign?n=2"
CHANGED = "models.writer=MODEL", "models.eyes=MODEL", "near_duplicates=false"
SET = [part for one in (*CHANGED, "leak_filter.overlap=false") for part in ("--set", one)]
ROADS = {
    "guard": ("guard", *LAB, "--guard", "MODEL"),
    "judge-card": ("judge-card", "MODEL", "--limit", "1"),
    "judged": ("audit", *LAB, "--measures", "judged", "--judge", "MODEL"),
    "target": ("audit", *LAB, "--measures", "behaviour", "--judge", "lab", "--model", "MODEL"),
    "judge": ("audit", *LAB, "--measures", "behaviour", "--judge", "MODEL", "--model", "lab/blind"),
    "build": ("build", "lab", "--limit", "2", *SET),
}


@pytest.mark.parametrize("road", ROADS)
def test_whatever_is_asked_fails_where_nothing_is_scored(vlsbench: Command, road: str) -> None:
    said = refuse(400, "no toasters, please", "data_inspection_failed")  # which stops no run
    with scripted(lambda _: said) as server:
        given = (one.replace("MODEL", f"m@{server.url}") for one in ROADS[road])
        done = vlsbench(*given, "--quiet")
    assert done.returncode == 1, done.stderr
    assert re.search(r"no \w+ was scored|nothing could be measured", done.stderr)
    assert re.search(r"filtered, most often: .*no toasters", done.stdout)
    assert done.stderr.count("no toasters") <= 1


def test_judging_again_fails_where_nothing_is_scored(vlsbench: Command) -> None:
    assert evaluate(vlsbench, "lab/careful", "--limit", "2").returncode == 0
    said = refuse(400, "no toasters, please", "data_inspection_failed")
    with scripted(lambda _: said) as server:
        done = vlsbench("judge", "r", "--judge", f"j@{server.url}")
    assert done.returncode == 1
    assert "no reply was scored" in done.stderr
    assert "judge_filtered, most often: " in done.stdout


def test_replies_that_exist_are_not_asked_for_again(vlsbench: Command, tmp_path: Path) -> None:
    rows = [
        {"id": f"p{n}", "reply": "Keep it away." * (n > 0), "asked": f"About pair {n}: is it hot?"}
        for n in range(6)
    ]
    (tmp_path / "given.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = vlsbench("eval", "set.jsonl", "--replies", "given.jsonl", "--judge", "offline")
    assert done.returncode == 0, done.stderr
    assert "1 reply_empty" in done.stdout
    assert "--retry" not in done.stdout
    assert "matched by id alone" not in done.stdout


def test_a_guard_without_a_vote_is_not_said_to_differ(vlsbench: Command) -> None:
    judges = ("--judge", "lab/llama-guard", "--judge", "lab", "--judge", "offline")
    done = vlsbench("eval", "lab/benign?n=3", "--model", "lab/careful", *judges)
    assert "3 replies not labelled alike by all judges, 0 without a label" in done.stdout


@pytest.mark.parametrize("road", ["guard", "judge", "judge-card"])
def test_a_finished_run_says_that_nothing_was_asked(vlsbench: Command, road: str) -> None:
    evaluate(vlsbench, "lab/careful", "--limit", "2")
    given = {
        "guard": ("guard", "lab/leakless?n=2", "--guard", "lab/llama-guard"),
        "judge": ("judge", "r", "--judge", "lab"),
        "judge-card": ("judge-card", "lab", "--limit", "1"),
    }[road]
    assert "nothing was asked" not in vlsbench(*given).stderr
    assert "nothing was asked: this run " in vlsbench(*given).stderr


def test_the_commonest_reason_stands_under_the_table(vlsbench: Command) -> None:
    def say(asked: Asked) -> Said:
        number = int(asked.text.partition("About pair ")[2].partition(":")[0])
        said = refuse(400, "too long" if number else "too odd")
        return answer(asked) if number > 3 else said

    with scripted(say) as server:
        done = evaluate(vlsbench, f"m@{server.url}")
    assert done.returncode == 0
    assert "reply_rejected, most often: http 400: too long" in done.stdout
    assert "too odd" not in done.stdout


def test_a_judges_words_are_said_too(vlsbench: Command) -> None:
    def say(asked: Asked) -> Said:
        return refuse(400, "no such schema here") if asked.judges else answer(asked)

    with scripted(say) as server:
        judge = ("--judge", f"j@{server.url}", "--limit", "2")
        done = evaluate(vlsbench, f"m@{server.url}", *judge)
    assert done.returncode == 1
    assert "judge_rejected, most often: http 400: no such schema here" in done.stdout


def test_a_model_that_is_nowhere_fails_in_seconds_with_one_line(vlsbench: Command) -> None:
    began = time.monotonic()
    done = evaluate(vlsbench, "hf/nobody/no-such-model")
    assert done.returncode == 1
    assert "no such folder, and the Hub does not give it" in one_line(done)
    assert len(done.stderr.strip().splitlines()) <= 3
    assert time.monotonic() - began < 30


def test_a_judge_that_is_none_names_those_there_are(vlsbench: Command) -> None:
    done = evaluate(vlsbench, "lab/blind", "--judge", "rulez")
    assert "there are offline, string-matching, lab, or a model's spec" in one_line(done)
