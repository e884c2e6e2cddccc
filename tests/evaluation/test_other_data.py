"""A finished run answers for the data it was made with, and for no other."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image as Pillow

import vlsbench
from vlsbench.config import Budget
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Output, execute, verify_run
from vlsbench.files import file_digests, file_sha256
from vlsbench.pairs import View

from .runs import labels, run

NAMES = ("kettle", "toaster")


def write_set(folder: Path, colour: str = "red", **row: object) -> Path:
    """Write a set of two pairs with an image each; the same texts whatever the colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        Pillow.new("RGB", (8, 8), colour).save(folder / f"{name}.png")
    lines = [
        json.dumps({"id": name, "query": f"May I touch the {name}?", "image": f"{name}.png", **row})
        for name in NAMES
    ]
    (folder / "my.jsonl").write_text("\n".join(lines), "utf-8")
    return folder / "my.jsonl"


def planned(bench: Path, view: str = "full") -> Path:
    return vlsbench.plan(bench, model="lab/careful", judge="offline", view=view).folder


def greyed(file: Path) -> None:
    write_set(file.parent, "grey")


def greyed_in_secret(file: Path) -> None:
    """Keep size and time of change; only the time at which the inode changed tells."""
    before = {name: (file.parent / f"{name}.png").stat() for name in NAMES}
    for name, stat in before.items():
        path = file.parent / f"{name}.png"
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [greyed, greyed_in_secret])
@pytest.mark.parametrize("view", ["full", "swap", "blank", "image"])
def test_other_images_are_another_run(
    tmp_path: Path, change: Callable[[Path], None], view: str
) -> None:
    file = write_set(tmp_path / "a")
    first = planned(file, view)
    assert planned(file, view) == first
    change(file)
    assert planned(file, view) != first


@pytest.mark.parametrize("column", ["category", "description", "reason", "note"])
def test_other_notes_are_another_run(tmp_path: Path, column: str) -> None:
    first = planned(write_set(tmp_path / "a", **{column: "one"}))
    assert planned(write_set(tmp_path / "a", **{column: "two"})) != first


def test_a_view_without_images_does_not_read_them(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    first = planned(file, View.TEXT)
    greyed(file)
    assert planned(file, View.TEXT) == first


def test_the_same_file_in_another_folder_is_another_run(tmp_path: Path) -> None:
    one, other = write_set(tmp_path / "a"), write_set(tmp_path / "b")
    assert planned(one) != planned(other)


def test_embedded_images_count_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def written(colour: str) -> Path:
        file = write_set(tmp_path / "a", colour)
        data = [(file.parent / f"{name}.png").read_bytes() for name in NAMES]
        table = pa.table({"query": list(NAMES), "image": data})
        pq.write_table(table, file.with_suffix(".parquet"))
        return file.with_suffix(".parquet")

    assert planned(written("red")) != planned(written("grey"))


def test_verify_notices_and_the_folder_refuses(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    done = run(file, tmp_path / "run", model="lab/careful", judge="offline")
    assert verify_run(done.folder).problems == ()
    greyed(file)
    problems = verify_run(done.folder).problems
    assert [p.rpartition("/")[2].split()[0] for p in problems] == ["kettle.png", "toaster.png"]
    with pytest.raises(VlsbenchError, match="differs in: content"):
        run(file, tmp_path / "run", model="lab/careful", judge="offline")
    again = run(file, tmp_path / "again", model="lab/careful", judge="offline")
    assert again.summary.spend[0].reused == 0


def test_a_moved_time_alone_is_the_same_run(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    first = planned(file)
    for name in NAMES:
        os.utime(file.parent / f"{name}.png", (1, 1))
    assert planned(file) == first


def test_what_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path))
    old, gone = os.path.abspath(__file__), str(tmp_path / "gone")
    first = file_digests([old, gone, old])
    assert first == {old: file_sha256(Path(old)), gone: ""}
    with sqlite3.connect(tmp_path / "digests.sqlite") as known:
        known.execute("UPDATE files SET sha256 = 'remembered'")
    assert file_digests([old]) == {old: "remembered"}
    (tmp_path / "digests.sqlite").write_bytes(b"no database" * 900)
    assert file_digests([old])[old] == first[old]
    monkeypatch.setenv("VLSBENCH_HOME", "/dev/null/nowhere")
    assert file_digests([old])[old] == first[old]


def test_a_run_of_0_1_goes_on(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    plan = vlsbench.plan(file, model="lab/careful", judge="offline")
    identity = {key: value for key, value in plan.identity.items() if key != "content"}
    old = execute(replace(plan, folder=tmp_path / "run", identity=identity))
    with Ledger.read(old.folder) as ledger:
        assert "content" not in json.loads(ledger.meta("identity") or "")
    again = run(file, old.folder, model="lab/careful", judge="offline")
    assert labels(again) == labels(old)
    assert again.since == old.summary.finished


def test_an_unknown_cost_is_not_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_set(tmp_path / "a")
    for model, cost in (("m@http://127.0.0.1:9/v1", "cost unknown"), ("lab/careful", "$0.00")):
        vlsbench.evaluate(
            file,
            model=model,
            judge="offline",
            budget=Budget(max_calls=0),
            output=Output(out=tmp_path / cost.replace(" ", "-")),
        )
        assert f"0 of 2 pairs · 0.0 calls/s · {cost}" in capsys.readouterr().err
