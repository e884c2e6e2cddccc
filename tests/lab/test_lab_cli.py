"""`vlsbench lab` writes what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlsbench import lab
from vlsbench.cli.lab import app
from vlsbench.errors import VlsbenchError

run = CliRunner().invoke


def test_draw_writes_a_picture_of_the_thing(tmp_path: Path) -> None:
    out = tmp_path / "bear.png"
    assert run(app, ["draw", "teddy bear", "--out", str(out), "--seed", "7"]).exit_code == 0
    assert lab.see(out.read_bytes()) == "teddy bear"


def test_draw_names_the_things_it_knows(tmp_path: Path) -> None:
    error = run(app, ["draw", "dragon", "--out", str(tmp_path / "x.png")]).exception
    assert isinstance(error, VlsbenchError)
    assert "toaster" in str(error)


def test_write_and_sheet_write_files(tmp_path: Path) -> None:
    result = run(app, ["write", "lab/leaky?n=5", "--out", str(tmp_path / "set")])
    assert result.exit_code == 0
    assert len((tmp_path / "set" / "metadata.jsonl").read_text().splitlines()) == 5
    assert run(app, ["sheet", "--out", str(tmp_path / "s.png"), "--side", "32"]).exit_code == 0
    assert (tmp_path / "s.png").read_bytes() == lab.sheet(side=32)


@pytest.mark.parametrize("option", ["--fault=418=1", "--model-name=x=nobody"])
def test_serve_checks_its_options_before_it_listens(option: str) -> None:
    assert isinstance(run(app, ["serve", "--port", "0", option]).exception, VlsbenchError)
