"""The command as it is typed, in this process: starting Python and torch anew takes seconds."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.typed import Command
from vlsbench.cli import main


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where embeddings are kept: shared, because they are the slow part."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def vlsbench(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run `vlsbench …` in an empty folder; exit code and output are those of the process."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "160", "NO_COLOR": "1", "VLSBENCH_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> CompletedProcess[str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["vlsbench", *arguments])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except Exception:
            # What the interpreter does with what main() lets through.
            traceback.print_exc()
            code = 1
        said = capsys.readouterr()
        return CompletedProcess(arguments, code, said.out, said.err)

    return run
