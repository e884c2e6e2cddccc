"""`vlsbench release`, and `vlsbench release verify`: every kind of harm to a release is found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.releasing import kitchen
from vlsbench.errors import VlsbenchError
from vlsbench.releasing import verify


@pytest.fixture
def out(tmp_path: Path) -> Path:
    source = kitchen.write(tmp_path / "pairs", kitchen.rows(16))
    kitchen.released(source, tmp_path / "out", split="train=0.5,test=0.5")
    return tmp_path / "out"


def edit_json(out: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((out / name).read_text())
    change(content)
    (out / name).write_text(json.dumps(content))


def test_a_release_is_sound(out: Path) -> None:
    found = verify(out)
    assert (found.faults, found.notes) == ((), ())
    assert (found.name, found.version, found.pairs, found.images) == ("kitchen", "1.0.0", 16, 8)


def test_sha256sum_agrees(out: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "checksums.sha256"], cwd=out)
    assert done.returncode == 0


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte": (
        lambda out: (out / "README.md").write_text("changed"),
        "README.md is not what checksums.sha256 says",
    ),
    "a further file": (
        lambda out: (out / "data" / "extra.parquet").write_text("x"),
        "data/extra.parquet is not listed",
    ),
    "Croissant gone": (lambda out: (out / "croissant.json").unlink(), "listed but missing"),
    "the card gone": (lambda out: (out / "README.md").unlink(), "README.md is missing"),
    "no checksums": (
        lambda out: (out / "checksums.sha256").unlink(),
        "checksums.sha256 is missing",
    ),
    "a shard gone": (
        lambda out: (out / "data" / "test-00000-of-00001.parquet").unlink(),
        "listed but missing",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_checksums_show(out: Path, harm: str) -> None:
    do, message = HARMS[harm]
    do(out)
    found = verify(out)
    assert not found.sound
    assert any(message in fault for fault in found.faults), found.faults


def test_harmful_pairs_that_no_gate_guards_are_found(out: Path) -> None:
    edit_json(out, "release.json", lambda about: about.update(gated=False))
    assert any("does not say that access is gated" in fault for fault in verify(out).faults)


def test_an_invalid_croissant_is_found(out: Path) -> None:
    pytest.importorskip("mlcroissant")
    edit_json(
        out, "croissant.json", lambda content: content["recordSet"][0]["field"][1].pop("dataType")
    )
    assert any("croissant.json does not validate" in fault for fault in verify(out).faults)


def test_what_is_no_release_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="is not a release"):
        verify(tmp_path)
    (tmp_path / "release.json").write_text('{"schema": "other/1"}')
    with pytest.raises(VlsbenchError, match="follows schema 'other/1'"):
        verify(tmp_path)


def test_a_release_json_that_misses_a_key_is_refused_by_it(out: Path) -> None:
    edit_json(out, "release.json", lambda about: about.pop("splits"))
    with pytest.raises(VlsbenchError, match=r"release\.json: missing key splits"):
        verify(out)


def vlsbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vlsbench", *arguments], cwd=cwd, capture_output=True, text=True
    )


LAB = ("--out", "toys", "--name", "toys", "--licence", "apache-2.0", "--version")


@pytest.mark.long
def test_the_command_from_the_lab_to_an_evaluation(tmp_path: Path) -> None:
    done = vlsbench("release", "lab/leakless?n=12", *LAB, "1.0.0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "toys 1.0.0: 12 pairs" in done.stdout
    assert "Simulated" in done.stdout
    assert "Next: vlsbench release verify toys" in done.stdout
    run = vlsbench(
        "eval", "./toys", "--model", "lab/careful", "--judge", "lab", "--json", cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["groups"][0]["scored"] == 12
    again = vlsbench("release", "lab/leakless?n=12", *LAB, "1.0.0", cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr.startswith("error: toys is not an empty folder")


def test_the_commands_as_programs_use_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from vlsbench.cli.app import app

    def run(*arguments: str, exit_code: int = 0) -> dict[str, Any]:
        done = CliRunner().invoke(app, ["release", *arguments, "--json"])
        assert done.exit_code == exit_code, done.output
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    monkeypatch.chdir(tmp_path)
    assert run("lab/leakless?n=12", *LAB, "1.0.0")["pairs"] == 12
    assert run("verify", "toys")["sound"] is True
    (tmp_path / "toys" / "README.md").write_text("mine")
    harmed = run("verify", "toys", exit_code=1)
    assert harmed["faults"] == ["README.md is not what checksums.sha256 says (SHA-256)"]
    answers = ("--warning", "Hot.", "--people", "None.", "--minors", "None.")
    source = str(kitchen.write(tmp_path / "pairs", kitchen.rows(4)))
    given = ("--source-licence", "drawn=CC0-1.0", "--personal-data", "None.", *answers)
    made = run(source, "--config", str(config(tmp_path)), "--out", "kitchen", *given)
    assert made["content"]["warning"] == "Hot."
    assert made["statistics"]["sources"][0]["licence"] == "CC0-1.0"


def config(folder: Path) -> Path:
    path = folder / "release.toml"
    path.write_text('name = "kitchen"\nversion = "1.0.0"\nlicence = "mit"\n')
    return path
