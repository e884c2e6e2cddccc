"""Every block of README and docs runs, and no command or option is shown that does not exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs import shell
from tests.docs.blocks import INDENTED, PAGES, ROOT, Block, blocks_of
from vlsbench import lab

NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
OTHERS = (
    "accelerate",
    "inspect",
    "lmms-eval",
    "LMUData",
    "mkdocs",
    "mypy",
    "pip",
    "pipx",
    "sha256sum",
    "torchrun",
    "vllm",
)
"""Other programs whose commands the sentences of the pages name."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with lab.running() as found:
        yield found


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    path = ":".join(map(str, (ROOT / "src", ROOT)))
    settings = {"COLUMNS": "160", "NO_COLOR": "1", "VLSBENCH_HOME": str(home), "PYTHONPATH": path}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("OPENAI_API_KEY", "VLSBENCH_API_KEY"):
        monkeypatch.setenv(name, "lab")
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)  # what `export` set


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_blocks_run(name: str, folder: Path, url: str) -> None:
    blocks = list(blocks_of(ROOT / name))
    for block in blocks:
        if block.file:
            with (folder / block.file).open("a", encoding="utf-8") as file:
                file.write(block.text)
    for language, grouped in groupby(blocks, lambda block: block.language):
        group = list(grouped)
        if language == "python":
            _run_python([block for block in group if block.how != "none"], url)
        for block in group:
            if language == "sh" and block.how != "none":
                _run_commands(block, url)
            elif language == "toml":
                tomllib.loads(block.text)
            elif language == "json":
                _read_json(block)


def _run_commands(block: Block, url: str) -> None:
    for words in shell.commands_of(block.text):
        if block.how == "check" or "…" in words or words[1:3] == ["bench", "fetch"]:
            shell.check(words, block.place)
        elif block.how == "lab":
            shell.run([words[0], *shell.for_the_lab(words[1:], url)], block.place)
        else:
            shell.run(words, block.place)


def _run_python(blocks: Sequence[Block], url: str) -> None:
    """Run blocks that follow one another, in a process of their own: they may register things."""
    texts = []
    for block in blocks:
        compile(block.text, block.place, "exec")
        if block.how == "lab":
            texts.append(shell.python_for_the_lab(block.text, url))
        elif block.how == "run":
            texts.append(block.text)
    script = Path("page.py")
    script.write_text("\n".join(texts), "utf-8")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{blocks[0].place}\n{done.stderr}\n{done.stdout}"


def _read_json(block: Block) -> None:
    rest = block.text.strip()
    while rest:
        _, end = json.JSONDecoder().raw_decode(rest)
        rest = rest[end:].strip()


@pytest.mark.parametrize("name", NAMES)
def test_no_command_hides_in_a_block_that_is_not_tried(name: str) -> None:
    fences = re.findall(r"^[ >]*(?:```|~~~).*", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    blocks = [block for block in blocks_of(ROOT / name) if block.how != "setup"]
    assert len(fences) == 2 * len(blocks)
    for block in blocks:
        if block.language != "sh" or block.how == "none":
            assert not re.search(r"^\W*vlsbench ", block.text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_fenced(name: str) -> None:
    assert not INDENTED.findall(_without_blocks(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_commands_in_sentences_exist(name: str, folder: Path) -> None:
    for found in re.findall(r"`(vlsbench [^`]+)`", _without_blocks(name)):
        words = shlex.split(found.replace("\n", " "))
        shell.check([*words, "…"], name)


@pytest.fixture(scope="module")
def helps() -> str:
    """The help of every command, as a user reads it on a very wide terminal."""
    found = ""
    todo: list[list[str]] = [[]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "1000")
        while todo:
            command = todo.pop()
            code, out, err = shell.vlsbench(*command, "--help")
            assert code == 0, err
            found += out
            commands = out.partition(" Commands ")[2]
            todo += [[*command, name] for name in re.findall(r"^│ ([a-z][a-z-]*) ", commands, re.M)]
    return found


@pytest.fixture(scope="module")
def options(helps: str) -> set[str]:
    """Every option of every command and script."""
    scripts = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("scripts/*.py")]
    texts = [script.read_text("utf-8") for script in scripts]
    found = {option for text in texts for option in re.findall(r'"(--[a-z][a-z-]*)"', text)}
    return found | {*re.findall(r"--[a-z][a-z0-9-]*", helps)}


@pytest.mark.long
def test_examples_of_the_help_exist(helps: str, folder: Path) -> None:
    examples = re.findall(r"• (vlsbench .+?) *$", helps, re.MULTILINE)
    assert len(examples) > 30
    for example in examples:
        shell.check([*shlex.split(example), "…"], "--help")


@pytest.mark.parametrize("name", NAMES)
def test_options_in_sentences_exist(name: str, options: set[str]) -> None:
    spans = re.findall(r"`([^`]+)`", _without_blocks(name))
    ours = [span for span in spans if not span.startswith(OTHERS)]
    shown = {one for span in ours for one in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", span)}
    assert shown - options == set()


def _without_blocks(name: str) -> str:
    text = (ROOT / name).read_text("utf-8")
    for block in blocks_of(ROOT / name):
        text = text.replace(block.text, "\n")
    return re.sub(r"^ *```\w*$", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("vlsbench evil lab/leaky", "No such command 'evil'"),
        ("vlsbench eval vlsbench --modle openai/gpt-4o", "No such option: --modle"),
        ("vlsbench eval … --limt 5", "No such option: --limt"),
        ("vlsbench eval vlsbench --view sideways", "sideways"),
        ("vlsbench bench shwo figstep", "No such command 'shwo'"),
        ("pip install '.[judges]'", "no extra {'judges'}"),
        ("make dmeo", "dmeo"),
        ("python -m benchmarks.coverge", "coverge"),
    ],
)
def test_what_does_not_exist_is_found(typed: str, said: str, folder: Path) -> None:
    (words,) = shell.commands_of(typed)
    with pytest.raises(AssertionError, match=re.escape(said)):
        shell.check(words, "here")


def test_a_block_that_fails_is_found(folder: Path) -> None:
    with pytest.raises(AssertionError, match=r"README\.md:7: vlsbench runs show nothing"):
        shell.run(["vlsbench", "runs", "show", "nothing"], "README.md:7")
