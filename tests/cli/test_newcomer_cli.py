"""What goes wrong on a first day, each in one line that says what to do."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.typed import Command
from vlsbench import registry

MINE = '''
from vlsbench.pairs import Pair
from vlsbench.registry import judge, model, source, transform


@judge("boom")
def boom(question):
    """Breaks."""
    raise ValueError("my judge broke")


@judge("second")
def second(question):
    """Breaks at the second pair."""
    return "refusal" if question.pair.id.endswith("0") else {}["gone"]


@model("broken")
class Broken:
    """Breaks when it is asked."""

    endpoint = "broken"
    identity = {"name": "broken"}

    def __init__(self, spec):
        self.spec = spec

    async def ask(self, request):
        raise KeyError("oh")

    async def close(self):
        pass


@model("half")
class Half:
    """Has nothing that a model has."""

    def __init__(self, spec):
        pass


@source("kitchen")
def kitchen(root, variant):
    """Breaks while it is read."""
    yield Pair("1", "Is it hot?")
    raise OSError("the oven is off")


@transform("loud")
def loud(pair):
    """Breaks."""
    raise ZeroDivisionError
'''
BENCH = "lab/leakless?n=3"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no other test see what these plug-ins register."""
    registry.entries()  # all that is there without them
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    yield
    for name in ("newcomer", "polite"):
        sys.modules.pop(f"vlsbench_plugin_{name}", None)


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(MINE.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("typed", "said", "line"),
    [
        (
            "lab/leakless?n=1 --model lab/careful --judge boom",
            "judge boom failed on pair leakless-0-00000: ValueError: my judge broke",
            'ValueError("my',
        ),
        (f"{BENCH} --model broken --judge lab", "model broken failed: KeyError: 'oh'", "KeyError"),
        (
            "kitchen --model lab/careful --judge lab",
            "benchmark kitchen cannot be read: OSError: the oven is off",
            "OSError",
        ),
        (
            f"{BENCH} --model lab/careful --judge lab --transform loud",
            f"benchmark {BENCH}+loud cannot be read: ZeroDivisionError: ZeroDivisionError",
            "raise Zero",
        ),
    ],
)
def test_a_users_own_code_that_breaks_is_one_line(
    vlsbench: Command, tmp_path: Path, typed: str, said: str, line: str
) -> None:
    (tmp_path / "newcomer.py").write_text(MINE)
    arguments = ("eval", "--plugin", "newcomer.py", "-q", *shlex.split(typed))
    done = vlsbench(*arguments)
    where = f"(newcomer.py:{line_of(line)}); --debug shows the trace"
    assert (done.returncode, done.stderr) == (1, f"error: {said} {where}\n")
    assert "Traceback" in vlsbench("--debug", *arguments).stderr


def test_what_was_paid_before_a_judge_broke_is_kept(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "newcomer.py").write_text(MINE)
    arguments = (
        "eval",
        BENCH,
        "--plugin",
        "newcomer.py",
        "--model",
        "lab/careful",
        "-q",
        "--out",
        "r",
    )
    assert vlsbench(*arguments, "--judge", "second", "-c", "1").returncode == 1
    done = vlsbench(*arguments[:-2], "--judge", "lab", "--reuse", "r", "--out", "s", "--json")
    target = json.loads(done.stdout)["spend"][0]
    assert target["role"] == "target"
    assert target["reused"] >= 1
    assert target["reused"] + target["calls"] == 3


def test_a_model_or_judge_that_is_none_is_told_what_is_expected(
    vlsbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "newcomer.py").write_text(MINE)
    done = vlsbench("eval", BENCH, "--plugin", "newcomer.py", "--model", "half", "--judge", "lab")
    assert done.returncode == 1
    assert done.stderr.startswith("error: model 'Half' lacks ask, spec, endpoint, identity, close")


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_a_set_without_a_known_column_lists_its_columns_once(
    vlsbench: Command, tmp_path: Path, form: str
) -> None:
    rows = [{"ask": "Is it hot?", "about": "a toaster"}] * 3
    texts = {
        "jsonl": "\n".join(map(json.dumps, rows)),
        "json": json.dumps(rows),
        "csv": "ask,about\n" + "Is it hot?,a toaster\n" * 3,
    }
    (tmp_path / f"set.{form}").write_text(texts[form])
    done = vlsbench("eval", f"set.{form}", "--model", "lab/careful", "--judge", "lab")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"set.{form}: no column query" in done.stderr
    assert "name it with --columns query=COLUMN (has ask, about)" in done.stderr


def test_the_hint_of_an_audit_runs_as_it_stands(vlsbench: Command, tmp_path: Path) -> None:
    rows = [{"ask": f"Can a toddler reach toaster {n}?", "description": "toaster"} for n in "abc"]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    plugin = (
        "@transform('polite')\ndef polite(pair):\n    '''Changes nothing.'''\n    return pair\n"
    )
    (tmp_path / "polite.py").write_text(f"from vlsbench.registry import transform\n{plugin}")
    given = ("--columns", "query=ask", "--transform", "polite", "--plugin", "polite.py")
    done = vlsbench("audit", "set.jsonl", *given, "--drop-leaking", "0.0001")
    assert done.returncode == 0, done.stderr
    (hint,) = [line for line in done.stdout.splitlines() if "runs the rest" in line]
    typed = shlex.split(hint.split("…")[0])[1:]
    assert typed[1:6] == ["set.jsonl", "--columns", "query=ask", "--transform", "polite"]
    # All three pairs leak: the list itself is read, and nothing is left.
    run = vlsbench(
        *typed, "--plugin", "polite.py", "--model", "lab/careful", "--judge", "offline", "--dry-run"
    )
    assert "no usable row" in run.stderr


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("hf/nosuchdir", "model hf/nosuchdir: no folder ./nosuchdir\n"),
        ("hf/./nosuch", "model hf/./nosuch: no folder ./nosuch\n"),
        ("maker/toaster", "unknown model 'maker/toaster': give openai/NAME"),
        ("toaster", "registered are openai, inspect, hf, vllm, lab, "),
        ("toaster@localhost:8000", "openai/NAME, NAME@http://host:port/v1"),
    ],
)
def test_an_unknown_model_is_named_at_once(
    vlsbench: Command, tmp_path: Path, model: str, said: str
) -> None:
    (tmp_path / "newcomer.py").write_text(MINE)
    done = vlsbench("eval", BENCH, "--plugin", "newcomer.py", "--model", model, "--judge", "lab")
    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize(
    ("bench", "said"),
    [
        ("vlsbnch", "no benchmark 'vlsbnch': did you mean vlsbench or "),
        ("toaster", "a custom dataset needs its path, a plug-in --plugin\n"),
    ],
)
def test_a_benchmark_that_is_none_is_met_with_what_may_be_meant(
    vlsbench: Command, bench: str, said: str
) -> None:
    done = vlsbench("bench", "show", bench)
    assert done.returncode == 1
    assert said in done.stderr


def test_all_that_is_missing_is_said_at_once(vlsbench: Command) -> None:
    done = vlsbench("release", "lab/leakless", "--name", "toasters", "--out", "released")
    assert done.returncode == 2
    assert "--version, --licence are missing: give them, or 'version', 'licence' in" in done.stderr


def test_a_dry_run_of_a_run_that_is_done_says_so(vlsbench: Command, tmp_path: Path) -> None:
    asked = ("eval", BENCH, "--model", "lab/careful", "--judge", "lab", "--out", "run")
    judged = ("judge", "run", "--judge", "offline", "--out", "again")
    for typed in (asked, judged):
        assert vlsbench(*typed).returncode == 0
        dry = vlsbench(*typed, "--dry-run")
        assert dry.stderr == "nothing was asked: this run is complete\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ("--half-width", "3"),
            "where 0.8 of the pairs have the label (--rate): 683 pairs of 683 images",
        ),
        (("--detect", "5"), "where 0.2 of the labels change (--changing): 626 pairs of 626 images"),
    ],
)
def test_a_size_repeats_the_question(vlsbench: Command, typed: tuple[str, ...], said: str) -> None:
    done = vlsbench("plan-size", *typed)
    assert said in done.stdout
    assert "human labels: " in done.stdout


def test_an_unknown_judge_is_met_with_those_there_are(vlsbench: Command) -> None:
    done = vlsbench("eval", BENCH, "--model", "lab/careful", "--judge", "labb")
    assert done.returncode == 1
    assert "no judge 'labb': did you mean lab? there are offline, " in done.stderr
    assert "lab, or a model's spec (openai/NAME" in done.stderr


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("eval lab/leaky --leave-out keep.cvs", "keep.cvs: no such file; did you mean keep.csv?"),
        ("eval kep.csv", "kep.csv: no such file; did you mean keep.csv?"),
        ("eval gone.jsonl", "gone.jsonl: no such file"),
        ("eval lab/leaky --config gone.toml", "gone.toml: no such file"),
        ("eval lab/leaky --rubric gone.txt", "gone.txt: no such file"),
        ("audit lab/leaky --calibration gone.json", "gone.json: no such file"),
    ],
)
def test_a_missing_file_is_said_with_a_near_name(
    vlsbench: Command, tmp_path: Path, typed: str, said: str
) -> None:
    (tmp_path / "keep.csv").write_text("x")
    eval_only = ("--model", "lab/careful", "--judge", "lab/judge")
    words = typed.split()
    done = vlsbench(*words, *(eval_only if words[0] == "eval" else ()))
    assert done.returncode == 1
    assert done.stderr.endswith(f"{said}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limt = 3", "c.toml: unknown key limt; did you mean sample.limit?"),
        ("limit = 3", "c.toml: unknown key limit; did you mean sample.limit?"),
        ("[sample]\nlimt = 3", "c.toml: unknown key sample.limt; did you mean sample.limit?"),
        (
            '[sample]\nlimit = "x"',
            "c.toml: sample.limit: must be a whole number or 'none', not text",
        ),
    ],
)
def test_a_slip_in_a_configuration(vlsbench: Command, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    done = vlsbench("eval", BENCH, "--model", "lab/blind", "--judge", "lab", "--config", "c.toml")
    assert (done.returncode, done.stderr) == (1, f"error: {said}\n")


def test_none_lifts_a_limit_of_the_file(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[sample]\nlimit = 1\n[budget]\nmax_calls = 0\n")
    arguments = ("eval", BENCH, "--model", "lab/blind", "--judge", "lab", "--config", "c.toml")
    done = vlsbench(*arguments, "--limit", "none", "--max-calls", "none", "--json", "-q")
    assert json.loads(done.stdout)["groups"][0]["pairs"] == 3
    wrong = vlsbench(*arguments, "--limit", "0")
    assert wrong.returncode == 1
    assert "sample.limit must be at least 1, not 0" in wrong.stderr
    wrong = vlsbench(*arguments, "--limit", "few")
    assert "sample.limit: must be a whole number or 'none', not text" in wrong.stderr


def test_a_wrong_choice_names_those_there_are(vlsbench: Command) -> None:
    done = vlsbench("eval", BENCH, "--model", "lab/blind", "--judge", "lab", "--view", "txt")
    assert done.returncode == 2
    said = " ".join(done.stderr.replace("│", "").split())
    assert "'txt' is not one of 'full', 'text'," in said


@pytest.mark.parametrize(
    "command",
    [
        "lab write lab/leaky?n=2 --out file",
        "bench fetch figstep --dest file",
        "bench show lab/leaky?n=2 --figures file",
        "audit lab/mixed?n=2 --measures judged --judge lab --controls lab/benign?n=2 --out file",
        "eval lab/leaky?n=2 --model lab/blind --judge lab --out file",
    ],
)
def test_a_file_where_a_folder_goes_is_one_line(
    vlsbench: Command, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("mine")
    done = vlsbench(*command.split())
    assert done.returncode in (1, 3)
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    assert "file" in line
    assert "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == "mine"
