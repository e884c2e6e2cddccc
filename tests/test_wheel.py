"""The wheel, in an environment that holds what the base install brings and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LIMIT_S = 30


def base_install(package: Distribution) -> Iterator[Distribution]:
    """Yield what the requirements without extras bring, as it is installed here."""
    todo, seen = [package], set[str]()
    while todo:
        found = todo.pop()
        for line in found.requires or ():
            needed = Requirement(line)
            if needed.name not in seen and (
                not needed.marker or needed.marker.evaluate({"extra": ""})
            ):
                seen.add(needed.name)
                todo.append(distribution(needed.name))
        if found is not package:
            yield found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (path,) = out.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_quick_demo_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    (library,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(library)
    (package,) = distributions(path=[str(library)], name="vlsbench")
    for one in base_install(package):
        for file in one.files or ():
            top = Path(file.parts[0])
            link, real = library / top, Path(str(one.locate_file(top))).resolve()
            if ".." not in file.parts and real.exists() and not link.exists():
                link.symlink_to(real)
    python = str(tmp_path / "venv" / "bin" / "python")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for module in ("torch", "transformers", "pandas"):
        missing = subprocess.run([python, "-c", f"import {module}"], env=clean, capture_output=True)
        assert missing.returncode == 1, (
            f"{module} is there: the environment is not the base install"
        )
    began = time.monotonic()
    done = subprocess.run(
        [python, "-m", "vlsbench", "demo", "--quick"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < LIMIT_S
    assert "Simulated" in (tmp_path / "demo" / "index.html").read_text("utf-8")
