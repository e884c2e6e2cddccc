"""`vlsbench lab` writes what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlsbench.cli.lab import app
from vlsbench.errors import VlsbenchError

run = CliRunner().invoke


def test_write_writes_files(tmp_path: Path) -> None:
    result = run(app, ["write", "lab/leaky?n=5", "--out", str(tmp_path / "set")])
    assert result.exit_code == 0
    assert len((tmp_path / "set" / "metadata.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize("option", ["--fault=418=1", "--model-name=x=nobody"])
def test_serve_checks_its_options_before_it_listens(option: str) -> None:
    assert isinstance(run(app, ["serve", "--port", "0", option]).exception, VlsbenchError)
