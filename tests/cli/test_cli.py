"""The command as it is typed: exit codes, one-line errors, machine-readable output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.typed import Command
from vlsbench import __version__, lab
from vlsbench.engine import Ledger

GROUPS = ((), ("bench",), ("lab",), ("release",), ("review",), ("runs",))
COMMANDS = (
    ("align",),
    ("audit",),
    ("bench", "fetch"),
    ("bench", "list"),
    ("bench", "show"),
    ("build",),
    ("calibrate",),
    ("compare",),
    ("demo",),
    ("doctor",),
    ("eval",),
    ("guard",),
    ("judge",),
    ("judge-card",),
    ("lab", "reproduce"),
    ("lab", "serve"),
    ("lab", "train"),
    ("leaderboard",),
    ("plan-size",),
    ("plugins",),
    ("release", "verify"),
    ("report",),
    ("review", "export"),
    ("runs", "diff"),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "verify"),
)


@pytest.mark.parametrize("command", [*GROUPS, *COMMANDS])
def test_help_is_there_with_examples(vlsbench: Command, command: tuple[str, ...]) -> None:
    done = vlsbench(*command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    if command in COMMANDS:
        assert "Example" in done.stdout
        assert "vlsbench " + " ".join(command) in done.stdout


def test_a_run_from_the_plan_to_the_next_step(vlsbench: Command, tmp_path: Path) -> None:
    arguments = ("eval", "lab/leaky?n=20", "--model", "lab/blind", "--judge", "lab")
    done = vlsbench(*arguments)
    assert done.returncode == 0, done.stderr
    assert "20 pairs under view full" in done.stderr
    assert "at most 40 calls" in done.stderr
    assert "100.0 [" in done.stdout
    assert "Simulated" in done.stdout
    assert "Next: open" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert {"summary.json", "pairs.parquet", "report.html"} <= {f.name for f in run.iterdir()}

    again = vlsbench(*arguments, "--json")
    summary = json.loads(again.stdout)
    since = summary["finished"]
    assert again.stderr.strip() == f"nothing was asked: this run was complete since {since}"
    assert summary["groups"][0]["safety"]["rate"] == 1.0

    listed = json.loads(vlsbench("runs", "list", "--json").stdout)
    assert [row["run"] for row in listed] == [run.name]
    assert listed[0]["ended"] == 20
    assert listed[0]["safety"] == summary["groups"][0]["safety"]
    table = vlsbench("runs", "list").stdout
    assert all(one in table for one in (run.name[:20], "lab/leaky?n=20", "100.0")), table
    shown = vlsbench("runs", "show", str(run))
    assert "finished" in shown.stdout
    assert "100.0" in shown.stdout
    with Ledger.write(run):  # as a process has it that goes on with it
        shown = vlsbench("runs", "show", str(run))
        assert "running: 20 of 20 ended" in shown.stdout
        assert "100.0" in shown.stdout
        (run / "summary.json").rename(run / "away")
        shown = vlsbench("runs", "show", str(run))
    assert shown.returncode == 0, shown.stderr
    assert "lab/leaky?n=20 · full · lab/blind judged by lab" in shown.stdout
    assert f"running: 20 of 20 ended; `vlsbench runs watch {run}`" in shown.stdout
    assert "started version=" in shown.stdout
    (run / "away").rename(run / "summary.json")
    sound = vlsbench("runs", "verify", str(run))
    assert (sound.returncode, sound.stdout.splitlines()[-1]) == (0, "sound")

    vlsbench(*arguments[:-1], "offline")
    (other,) = (r for r in (tmp_path / "runs").iterdir() if r != run)
    differing = vlsbench("runs", "diff", str(run), str(other))
    assert "differ in: judge" in differing.stdout
    assert json.loads(vlsbench("runs", "diff", str(run), str(other), "--json").stdout)[
        "both_scored"
    ]


def test_a_damaged_run_fails_verification(vlsbench: Command, tmp_path: Path) -> None:
    import sqlite3

    vlsbench("eval", "lab/leaky?n=5", "--model", "lab/blind", "--judge", "offline")
    (run,) = (tmp_path / "runs").iterdir()
    with sqlite3.connect(run / "ledger.sqlite") as database:
        database.execute("DELETE FROM calls")
    done = vlsbench("runs", "verify", str(run))
    assert done.returncode == 1
    assert "5 problems" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("eval", "nosuch", "--model", "lab/blind", "--judge", "lab"), 1, "no benchmark 'nosuch'"),
        (("eval", "lab/leaky", "--model", "gpt-4o", "--judge", "lab"), 1, "unknown model"),
        (("eval", "lab/leaky", "--model", "lab/blind"), 2, "--judge"),
        (
            ("eval", "lab/leaky", "--model", "lab/blind", "--judge", "lab", "--view", "x"),
            2,
            "Invalid value for '--view'",
        ),
        (
            ("eval", "x.jsonl", "--model", "lab/blind", "--judge", "lab", "--columns", "query"),
            1,
            "FIELD=COLUMN",
        ),
        (("runs", "show", "nowhere"), 1, "nowhere: no such run"),
        (("runs", "list", "nowhere"), 1, "no run found in"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(
    vlsbench: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = vlsbench(*arguments)
    assert done.returncode == code
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    if code == 1:
        assert "Traceback" in vlsbench("--debug", *arguments).stderr


def test_a_budget_ends_with_its_own_exit_code(vlsbench: Command, tmp_path: Path) -> None:
    arguments = ("eval", "lab/leaky?n=20", "--model", "lab/blind", "--judge", "lab")
    done = vlsbench(*arguments, "--max-calls", "10")
    assert done.returncode == 3
    assert "the same command resumes from here" in done.stderr.replace("\n", " ")
    assert "the run stopped" in done.stdout.lower()
    assert vlsbench(*arguments).returncode == 0


def test_a_dry_run_asks_nothing(vlsbench: Command, tmp_path: Path) -> None:
    with lab.running() as url:
        model = ("--model", f"blind@{url}", "--judge", f"judge@{url}")
        done = vlsbench("eval", "lab/leaky?n=20", *model, "--dry-run")
        assert lab.stats(url)["requests"] == 0
    assert done.returncode == 0
    assert "at most 40 calls" in done.stderr
    assert "cost unknown" in done.stderr


@pytest.mark.long
def test_the_demo_ends_with_table_and_report(vlsbench: Command, tmp_path: Path) -> None:
    done = vlsbench("demo", "--pairs", "12", "--quick")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert rows["blind"].count("100.0† [") == 1
    assert rows["careful"].count("100.0† [") == 2
    assert rows["helpful"].count("100.0† [") == 0
    assert (tmp_path / "demo" / "compare.html").is_file()
    page = (tmp_path / "demo" / "index.html").read_text()
    assert 'href="compare.html"' in page
    assert "Simulated" in page
    assert page.count("<tr>") == 4
    assert vlsbench("demo", "--pairs", "12", "--quick").returncode == 0


def test_starting_is_light() -> None:
    program = (
        "import sys, vlsbench.cli; heavy = {'aiohttp', 'asyncio', 'huggingface_hub', 'jinja2', "
        "'numpy', 'pandas', 'PIL', 'pyarrow', 'rich', 'scipy', 'torch', 'vlsbench.pairs'}; "
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == []


def test_a_remote_model_brings_in_no_plug_in() -> None:
    program = (
        "import sys; from vlsbench.models import price_of; price_of('llava@http://localhost/v1'); "
        "print('vlsbench.lab' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_list_of_commands_says_what_each_says_of_itself(vlsbench: Command) -> None:
    listed = vlsbench("--help").stdout.partition("─ Commands ─")[2]
    rows = [line.strip("│ ").split(maxsplit=1) for line in listed.splitlines() if "│" in line]
    assert {name for name, _ in rows} == {path[0] for path in COMMANDS}
    for name, said in rows:
        assert said in " ".join(vlsbench(name, "--help").stdout.split())


def test_the_version(vlsbench: Command) -> None:
    assert vlsbench("--version").stdout == f"{__version__}\n"


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("vlsbench ev", "eval"),
        ("vlsbench runs di", "diff"),
        ("vlsbench eval --vi", "--view"),
    ],
)
def test_completion_offers_commands_and_options(words: str, offered: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("vlsbench")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "_VLSBENCH_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
    )
    assert offered in done.stdout.split()
