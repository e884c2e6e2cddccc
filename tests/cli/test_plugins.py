"""`vlsbench plugins`, with and without `--plugin`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.typed import Command

PARROT = '''
from vlsbench.registry import reward

@reward("parrot")
def parrot(spec):
    """Prefers answers that say toaster."""
    return lambda rows, answers: [float("toaster" in answer) for answer in answers]
'''


def test_everything_registered_is_listed_with_its_origin(vlsbench: Command) -> None:
    done = vlsbench("plugins", "--json")
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout)["entries"]
    found = {(one["kind"], one["name"]): one for one in entries}
    assert found["source", "vlsbench"]["origin"] == "vlsbench"
    assert found["source", "vlsbench"]["summary"] == "VLSBench"
    assert found["model", "lab"]["simulated"]
    assert ("reward", "offline") in found
    assert all(one["summary"] for one in entries)
    shown = vlsbench("plugins")
    assert shown.returncode == 0
    assert all(one["name"] in shown.stdout for one in entries)


def test_a_plug_in_given_by_hand_is_listed(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "parrot.py").write_text(PARROT)
    done = vlsbench("plugins", "--plugin", "parrot.py", "--json")
    assert done.returncode == 0, done.stderr
    found = [one for one in json.loads(done.stdout)["entries"] if one["name"] == "parrot"]
    assert [(one["kind"], one["origin"]) for one in found] == [("reward", "parrot.py")]
    assert found[0]["summary"] == "Prefers answers that say toaster."
    gone = vlsbench("plugins", "--plugin", "gone.py")
    assert gone.returncode == 1
    assert gone.stderr == "error: plug-in gone.py: no such file\n"
