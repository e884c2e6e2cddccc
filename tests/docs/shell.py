"""Commands as a reader types them: run in this process, or held against the command line."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.docs.blocks import ROOT
from vlsbench.cli import main

HARMFUL, BENIGN = "lab/leakless?n=24", "lab/benign?n=24"
BENCHES = {
    "vlsbench": HARMFUL,
    "figstep": HARMFUL,
    "figstep:tiny": HARMFUL,
    "msts": "lab/leaky?n=24",
    "harmbench": "lab/mixed?n=24",
    "mossbench": BENIGN,
    "xstest": BENIGN,
    "lab/benign": BENIGN,
    "lab/leakless": HARMFUL,
    "lab/leaky": "lab/leaky?n=24",
    "lab/mixed": "lab/mixed?n=24",
}
"""Benchmark → what stands in for it: a small one of the lab."""
REAL = re.compile(r"(openai|inspect|hf)/\S+|\S+@https?://\S+")
"""Models that need a key, a GPU or a server."""
CONFIGURED = ("eval", "audit", "build", "align", "release", "compare", "plan-size")
"""Commands that read settings, so that `--print-config` resolves and checks them all."""


def commands_of(text: str) -> list[list[str]]:
    """Split a block into commands: continued lines joined, comments gone."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def vlsbench(*arguments: str) -> tuple[int, str, str]:
    """Run `vlsbench …` in this process; return exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["vlsbench", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def run(words: list[str], place: str) -> None:
    """Run a command; it must end well."""
    words, target = (words[:-2], Path(words[-1])) if words[-2:-1] == [">"] else (words, None)
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        if value != "…":
            os.environ[name] = value
        return
    if words[0] != "vlsbench":
        known(words, place)
        return
    if "--plugin" in words:  # of another process: it would stay registered in this one
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code, out, err = vlsbench(*words[1:])
    assert code == 0, f"{place}: {shlex.join(words)} ended with {code}\n{err}\n{out}"
    if target:
        target.write_text(out, "utf-8")


def check(words: list[str], place: str) -> None:
    """Hold a command against the command line: it, its options and their values must exist."""
    if words[0] != "vlsbench":
        known(words, place)
        return
    given: list[str] = []
    for word in words[1:]:
        if word != "…":
            given.append(word)
        elif given and given[-1].startswith("-"):
            given.append("lab")
    if "--plugin" in given:  # it would be loaded, and stay
        at = given.index("--plugin")
        del given[at : at + 2]
    name = next((word for word in given if not word.startswith("-")), "")
    # Settings are resolved where they can be, unless the line leaves some of them out.
    last = "--print-config" if name in CONFIGURED and "…" not in words else "--help"
    # Before options of the root, some of which act at once.
    code, out, err = vlsbench(*([*given, last] if name else [last, *given]))
    assert code == 0, f"{place}: {shlex.join(words)}\n{err}\n{out}"


def python_for_the_lab(text: str, url: str) -> str:
    """Put lab models and benchmarks in the place of real ones, where Python quotes them."""
    text = re.sub(rf'judge="({REAL.pattern})"', 'judge="lab"', text)
    return re.sub(r'"([^"\n]+)"', lambda found: f'"{for_the_lab([found[1]], url)[0]}"', text)


def for_the_lab(words: list[str], url: str) -> list[str]:
    """Put lab models and benchmarks in the place of real ones."""
    found: list[str] = []
    if words[:1] == ["demo"]:
        words = [*words, "--pairs", "12"]
    for word in words:
        before = found[-1] if found else ""
        if before in ("--data", "--data-root"):
            found.pop()
        elif before in ("--judge", "judge-card") and REAL.fullmatch(word):
            found.append("lab")
        elif REAL.fullmatch(word):
            found.append(f"lab/careful@{url}")
        elif all(one in BENCHES for one in word.split(",")):
            found.append(",".join(BENCHES[one] for one in word.split(",")))
        else:
            found.append(word)
    return found


def known(words: list[str], place: str) -> None:
    """Check a command that is not ours: extras, targets of make and files must exist."""
    program, *rest = words
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if program == "pip":
        extras = re.findall(r"\[([\w,-]+)\]", " ".join(rest))
        unknown = {one for found in extras for one in found.split(",")} - {
            *project["optional-dependencies"]
        }
        assert not unknown, f"{place}: no extra {unknown}"
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in rest if "=" not in word} <= {*targets}, f"{place}: {words}"
    elif program.endswith("python"):
        file = rest[1].replace(".", "/") if rest[0] == "-m" else rest[0]
        there = [ROOT / file, ROOT / f"{file}.py"]
        assert rest[1] in ("pytest",) or any(map(Path.exists, there)), f"{place}: {words}"
    else:
        assert program in ("source", "cd", "datasets-cli", "export", "inspect", "ray", "vllm"), (
            f"{place}: {program} is not known"
        )
