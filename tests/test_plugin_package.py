"""The example plug-in: installed as a user installs it, used from the command line and Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from vlsbench import registry

PACKAGE = Path(__file__).parents[1] / "examples" / "plugin"
SOURCES = Path(registry.__file__).parent
PLAIN = ("leak_filter.overlap=false", "near_duplicates.similarity=false", "perceive=false")
LOUD = ("eval", "toasters", "--model", "parrot/loud", "--judge", "politeness", "--quiet")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed without a network into a folder of its own."""
    root = tmp_path_factory.mktemp("plugin")
    # A copy: setuptools writes beside what it builds.
    for name in ("pyproject.toml", "README.md", "src/vlsbench_toaster.py"):
        (root / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "copy" / name).write_bytes((PACKAGE / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    how = ("--no-deps", "--no-build-isolation", "--target", str(root / "lib"))
    subprocess.run([*pip, *how, str(root / "copy")], check=True, capture_output=True, timeout=120)
    return root / "lib"


def run(where: Path, *arguments: str, library: Path | None = None) -> CompletedProcess[str]:
    """Run a new Python that finds the library, if one is given."""
    paths = [str(library)] if library else []
    paths += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    home = {"VLSBENCH_HOME": str(where / "home"), "NO_COLOR": "1", "COLUMNS": "160"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env={**os.environ, **home, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def vlsbench(where: Path, *arguments: str, library: Path | None = None) -> CompletedProcess[str]:
    return run(where, "-m", "vlsbench", *arguments, library=library)


def test_eval_with_source_model_judge_and_transform(installed: Path, tmp_path: Path) -> None:
    done = vlsbench(tmp_path, *LOUD, "--transform", "shout", "--json", library=installed)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["bench"], found["model"], found["judge"]) == (
        "toasters+shout",
        "parrot/loud",
        "politeness",
    )
    assert found["simulated"]
    assert sum(one["pairs"] for one in found["groups"] if one["name"] == "all") == 8


def test_audit_with_embedder(installed: Path, tmp_path: Path) -> None:
    asked = ("audit", "toasters", "--embedder", "letters", "--quiet", "--json")
    done = vlsbench(tmp_path, *asked, library=installed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["embedder"] == "letters"


def test_build_with_stage(installed: Path, tmp_path: Path) -> None:
    stage = 'stages.without-word={word = "toddler"}'
    chosen = [part for one in (*PLAIN, stage) for part in ("--set", one)]
    asked = ("build", "lab", "--limit", "6", *chosen, "--quiet", "--json")
    done = vlsbench(tmp_path, *asked, library=installed)
    assert done.returncode == 0, done.stderr
    stages = {one["stage"]: one for one in json.loads(done.stdout)["stages"]}
    assert stages["without-word"]["dropped"]["about_toddler"] > 0
    assert stages["final_filter"]["entered"] == stages["without-word"]["left"]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("without-word={wrod = 'bath'}", "lab.toml: stages.without-word: "),
        ("without-wrd={}", "did you mean without-word?"),
        ("draft={}", "lab.toml: stages.draft: ships with vlsbench"),
    ],
)
def test_wrong_stages(installed: Path, tmp_path: Path, stage: str, said: str) -> None:
    chosen = [part for one in (*PLAIN, f"stages.{stage}") for part in ("--set", one)]
    asked = ("build", "lab", "--limit", "1", *chosen, "--quiet")
    done = vlsbench(tmp_path, *asked, library=installed)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_everything_from_python(installed: Path, tmp_path: Path) -> None:
    script = """
import vlsbench
from vlsbench import registry
from vlsbench.aligning import open_reward
from vlsbench.embed import open_embedder

mine = [entry for entry in registry.entries() if entry.origin == "vlsbench-toaster 1.0"]
assert len({entry.kind for entry in mine}) == len(registry.Kind) == 7, mine
assert all(entry.summary for entry in mine)
assert open_reward("brevity/2")([{}, {}], ["a toaster", "not for a toddler"]) == [1.0, -1.0]
assert open_embedder("letters").embed(["toast", "a toaster"]).shape == (2, 27)
pairs = vlsbench.load("toasters", transforms=["shout"])
run = vlsbench.evaluate(pairs, model="parrot/polite", judge="politeness")
assert all(group.refusal.rate == 1.0 for group in run.summary.groups), run.summary.groups
stages = {entry.name: entry.origin for entry in registry.entries(registry.Kind.STAGE)}
assert (stages["draft"], stages["without-word"]) == ("vlsbench", "vlsbench-toaster 1.0"), stages
"""
    done = run(tmp_path, "-c", script, library=installed)
    assert done.returncode == 0, done.stderr


def test_plugin_file(tmp_path: Path) -> None:
    file = str(PACKAGE / "src" / "vlsbench_toaster.py")
    done = vlsbench(tmp_path, *LOUD, "--plugin", file, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "parrot/loud"


def test_broken_plugin_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import toast_rack\n")
    done = vlsbench(tmp_path, *LOUD, "--plugin", "broken.py")
    assert done.returncode == 1
    assert done.stderr == (
        "error: plug-in broken.py cannot be loaded: ModuleNotFoundError: No module named "
        "'toast_rack'\n"
    )


def test_a_second_module_of_a_package_is_loaded_where_the_first_is_broken(
    installed: Path, tmp_path: Path
) -> None:
    library = tmp_path / "lib"
    shutil.copytree(installed, library)
    (points,) = library.glob("*.dist-info/entry_points.txt")
    points.write_text("[vlsbench]\nabsent = toast_rack\ntoaster = vlsbench_toaster\n")
    done = vlsbench(tmp_path, "plugins", "--json", library=library)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "No module named 'toast_rack'" in "".join(found["broken"].values())
    assert "parrot" in [one["name"] for one in found["entries"]]


def test_an_error_of_ours_is_not_said_to_be_a_plug_ins_where_we_are_installed(
    tmp_path: Path,
) -> None:
    home = tmp_path / "lib/site-packages"
    shutil.copytree(SOURCES, home / "vlsbench")
    # A fault in the midst of our own code.
    (home / "vlsbench/odd.py").write_text(
        "from vlsbench import registry, text\n"
        "with registry.guarded('model m failed'):\n"
        "    text.counted(1, None)\n"
    )
    done = run(tmp_path, "-c", "import vlsbench.odd", library=home)
    assert f"{home}/vlsbench/odd.py" in done.stderr
    assert "model m failed:" not in done.stderr


def test_name_registered_twice_names_both(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "from vlsbench.registry import model\n@model('parrot')\nclass Parrot:\n    'Another one.'\n"
    )
    file = str(PACKAGE / "src" / "vlsbench_toaster.py")
    done = vlsbench(tmp_path, *LOUD, "--plugin", "other.py", "--plugin", file)
    assert done.returncode == 1
    assert done.stderr == f"error: {file}: model 'parrot' is already registered by other.py\n"
    done = vlsbench(tmp_path, *LOUD, "--plugin", "other.py", library=installed)
    assert done.returncode == 1
    assert "no benchmark 'toasters'" in done.stderr
    assert "vlsbench-toaster 1.0: model 'parrot' is already registered by other.py" in done.stderr


def test_model_that_cannot_be_opened_is_one_line(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "mute.py").write_text(
        "from vlsbench.registry import model\n@model('mute')\nclass Mute:\n    'Takes no spec.'\n"
    )
    asked = ("eval", "toasters", "--model", "mute", "--judge", "offline", "--plugin", "mute.py")
    done = vlsbench(tmp_path, *asked, library=installed)
    assert done.returncode == 1
    assert done.stderr == (
        "error: model 'mute' of mute.py cannot be opened: TypeError: Mute() takes no arguments\n"
    )
