"""What a terminal of 80 columns shows: whole words, whole names."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.cli.typed import Command

EVAL = ("eval", "lab/leakless", "--limit", "20", "--judge", "lab", "--model")


@pytest.fixture(autouse=True)
def narrow(vlsbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command here sees 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """Run `vlsbench …` at a pseudo-terminal of 80 columns; return what it wrote, uncoloured."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "LINES")}
    # Mutes colours, not the terminal.
    env |= {"TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "vlsbench", *arguments]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            said += part
        running.wait()
    os.close(ours)
    # A bar that is drawn again stands on lines of its own.
    return re.sub(r"\r+\n?", "\n", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()))


def fits(said: str) -> bool:
    """Tell whether no line is wider than the terminal, nor cut."""
    return all(len(line) <= 80 and "…" not in line for line in said.splitlines())


def test_categories_are_readable_where_rates_are_100(vlsbench: Command) -> None:
    for more in ((), ("--controls", "lab/benign"), ("--samples", "2", "--temperature", "1")):
        done = vlsbench(*EVAL, "lab/careful", *more)

        assert done.returncode == 0, done.stderr
        assert fits(done.stdout)
        for name in ("Bath time", "Dog's turn", "Standing on it", "Toddler play", "all"):
            assert re.search(rf"^{name}  +\d+ +\d", done.stdout, re.MULTILINE), name
        # Where the room is short, the interval stands below its figure.
        assert re.search(r"^all +\d+ .* 100\.0 +\d+ *\n.* \[\d+\.\d, 100\.0\]", done.stdout, re.M)
        assert done.stdout.count("Percent of scored") == 1


def test_a_wide_terminal_keeps_the_decimals(
    vlsbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    done = vlsbench(*EVAL, "lab/careful")

    assert re.search(r"^all +20 .* 100\.0 \[86\.1, 100\.0\] +0", done.stdout, re.MULTILINE)


def test_long_names_stand_above_their_figures(vlsbench: Command, tmp_path: Path) -> None:
    name = "Supercalifragilisticexpialidocious_" * 2
    rows = [f'{{"query": "Is it warm?", "category": "{name}", "harmful": true}}'] * 2
    (tmp_path / "mine.jsonl").write_text("\n".join(rows))

    done = vlsbench(
        "eval", "mine.jsonl", "--view", "text", "--judge", "lab", "--model", "lab/blind"
    )

    assert name in done.stdout.splitlines()
    assert fits(done.stdout)


def test_the_leaderboard_names_every_benchmark(vlsbench: Command) -> None:
    sets = ("lab/leaky", "lab/mixed", "lab/leakless")
    how = ("--measures", "judged", "--judge", "lab", "--controls", "lab/benign", "--limit", "20")

    done = vlsbench("audit", *sets, *how)

    assert done.returncode == 0, done.stderr
    assert fits(done.stdout)
    for name in sets:
        assert re.search(rf"^(?:{name} †)$|^{name} † +20 ", done.stdout, re.MULTILINE), done.stdout
    # What holds of several sets is said once.
    said = " ".join(done.stdout.split())
    assert said.count("a random sample of 20 pairs") == 1
    assert said.count("simulated: made-up pairs or a lab model") == 1


def test_a_card_says_each_caveat_once(vlsbench: Command) -> None:
    how = ("--measures", "judged,behaviour", "--judge", "lab", "--controls", "lab/benign")

    done = vlsbench("audit", "lab/leakless", *how, "--model", "lab/careful", "--limit", "20")

    assert len(re.findall(r"lab model|simulated model|Simulated", done.stdout)) == 1
    assert done.stdout.count("20 pairs") == 1
    assert not re.search(r"\d%", done.stdout)  # as elsewhere, `0.0 %`


def test_a_run_is_listed_in_two_lines_and_found_by_its_name(vlsbench: Command) -> None:
    for model in ("lab/careful", "lab/blind"):
        vlsbench(*EVAL, model)

    listed = vlsbench("runs", "list").stdout

    names = [line for line in listed.splitlines() if line.startswith("lab_leakless-full-")]
    assert len(names) == 2
    assert fits(listed)
    assert len(listed.splitlines()) <= 5 + 2 * 2
    assert re.search(r" \d{4}-\d\d-\d\d\b", listed)
    for name in names:
        assert vlsbench("runs", "show", name).returncode == 0
        assert vlsbench("runs", "verify", name).stdout.endswith("sound\n")
    assert vlsbench("runs", "diff", *names).returncode == 0


def test_compare_says_what_differs_and_no_more(vlsbench: Command) -> None:
    for more in ((), ("--controls", "lab/benign"), ("--limit", "10")):
        vlsbench(*EVAL, "lab/careful", *more)
    runs = [f"runs/{path.name}" for path in sorted(Path("runs").iterdir())]

    done = vlsbench("compare", *runs)

    assert done.returncode == 0, done.stderr
    assert fits(done.stdout)
    for run in runs:
        assert f"lab/careful · {Path(run).name}" in done.stdout
    assert "judge lab/judge" not in done.stdout
    heads = " ".join(done.stdout.partition("lab/careful ·")[0].split())
    assert "(net)" not in heads
    assert "(benign)" not in heads
    assert "–†" not in done.stdout
    assert "1 test" not in vlsbench("compare", *runs[:2]).stdout


def test_a_terminal_shows_progress_whole_and_breaks_no_word(tmp_path: Path) -> None:
    how = ("--judge", "lab", "--limit", "40", "--controls", "lab/benign", "--view", "text")
    on_a_terminal(tmp_path, "eval", "lab/leakless", "--model", "lab/careful", *how)
    again = on_a_terminal(tmp_path, "eval", "lab/leakless", "--model", "lab/blind", *how)

    assert re.search(r"pairs ━+ 80/80 0:00:\d\d left 0:00:00", again), again
    assert re.search(r"^[\d.]+ calls/s · \$0\.00 · 0 unscored · \d+ reused", again, re.MULTILINE)
    assert fits(again)

    said = on_a_terminal(tmp_path, "eval", "lab/leaky", "--judge", "rulez", "--model", "lab/blind")
    alone = subprocess.run(
        [
            sys.executable,
            "-m",
            "vlsbench",
            "eval",
            "lab/leaky",
            "--judge",
            "rulez",
            "--model",
            "lab/blind",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    ).stderr

    assert said.startswith("error: ")
    assert len(said.splitlines()) > len(alone.splitlines()) == 1
    assert fits(said)
    assert said.split() == alone.split()


@pytest.mark.parametrize(
    ("group", "option", "command"),
    [("release", "--licence", "verify"), ("review", "--adjudicator", "export")],
)
def test_help_of_a_group_shows_the_command_that_need_not_be_named(
    vlsbench: Command, group: str, option: str, command: str
) -> None:
    said = vlsbench(group, "--help").stdout
    assert f"Usage: vlsbench {group} [OPTIONS] " in said
    assert option in said
    assert re.search(rf"^│ {command} ", said, re.MULTILINE)
