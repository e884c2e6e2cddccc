"""`vlsbench align` as a user runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.aligning.align_examples import ASK, NO, says, sft_rows, user
from vlsbench.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in this process: starting another and importing torch takes longer than it."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["vlsbench", "align", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines: list[dict[str, Any]] = []
    for place, row in enumerate(sft_rows()):
        row["images"][0].save(tmp_path / f"{place}.png")
        lines.append({"messages": row["messages"], "images": [f"{place}.png"]})
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_dry_run_says_what_would_be_trained_and_writes_nothing(
    tiny: Path, rows: Path, tmp_path: Path, run: Command
) -> None:
    before = sorted(tmp_path.iterdir())
    arguments = ("mm-sft", "--model", tiny, "--data", rows, "--lora", "r=2", "--dry-run")
    done = run(*arguments)
    assert done.code == 0, done.err
    for words in ("8 (row, image: 8)", "14 LoRA layers", "learning rate: 0.0002"):
        assert words in done.out
    assert sorted(tmp_path.iterdir()) == before
    found = json.loads(run(*arguments, "--json").out)
    assert (found["rows"], found["lora_layers"]) == (8, 14)


@pytest.mark.parametrize(
    ("config", "total"),
    [
        pytest.param("llava-1.5-13b", 13_351_494_656, marks=pytest.mark.slow),
        ("llava-1.5-7b", 7_063_427_072),
        pytest.param("qwen2-vl-7b", 8_291_375_616, marks=pytest.mark.slow),
        ("qwen2.5-vl-7b", 8_292_166_656),
    ],
)
def test_a_dry_run_at_full_size_makes_no_weight(
    config: str,
    total: int,
    rows: Path,
    tmp_path: Path,
    run: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    from benchmarks.align_shapes import SHAPES, write

    write(tmp_path / "model", SHAPES[config], weights=False)
    done = run(
        *("mm-sft", "--config", config, "--model", tmp_path / "model", "--data", rows),
        *("--dry-run", "--json"),
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["parameters"]["total"] == total
    assert found["parameters"]["trainable"] == total - found["parameters"]["frozen_vision"]


def test_a_training_prints_only_json_when_asked(
    tiny: Path, rows: Path, tmp_path: Path, run: Command
) -> None:
    out = tmp_path / "out"
    done = run(
        *("mm-sft", "--model", tiny, "--data", rows, "--out", out, "--max-steps", "2"),
        *("--lr", "0.01", "--json", "--check-against", "lab/leakless"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["steps"] == 2
    assert "none of" in done.err
    assert "pairs is in the training data" in done.err
    record = json.loads((out / "align.json").read_text())
    assert record["data"]["name"] == str(rows)
    (held,) = record["data"]["contamination"]
    assert (held["matches"], held["touched"]) == (0, 0)
    assert held["rows"] == record["data"]["rows"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_images_that_cannot_be_decoded_are_told_before_training(
    tiny: Path, rows: Path, tmp_path: Path, run: Command, form: str
) -> None:
    for place in (2, 5):  # whole by their structure, and broken within
        data = (tmp_path / f"{place}.png").read_bytes()
        at = data.index(b"IDAT") + 4
        (tmp_path / f"{place}.png").write_bytes(data[:at] + bytes(9) + data[at + 9 :])
    if form == "parquet":
        table = [json.loads(line) for line in rows.read_text().splitlines()]
        for row in table:
            (name,) = row["images"]
            row["images"] = [{"bytes": (tmp_path / name).read_bytes(), "path": None}]
        rows = tmp_path / "rows.parquet"
        pq.write_table(pa.Table.from_pylist(table), rows)
    given = ("mm-sft", "--model", tiny, "--data", rows, "--out", tmp_path / "out")
    done = run(*given, "--max-steps", "2")
    assert done.code == 1
    assert "2 unusable rows (--skip-bad runs the rest" in done.err
    assert all(f"row {place + 1}: image" in done.err for place in (2, 5))
    done = run(*given, "--max-steps", "2", "--skip-bad")
    assert done.code == 0, done.err
    assert "2 rows left out" in done.err
    assert json.loads((tmp_path / "out/align.json").read_text())["data"]["left_out"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["t-sft", "--data", "x", "--model", "org/m", "--out", "o", "--lora", "rank=8"],
            "--lora: unknown key rank; there are r, alpha",
        ),
        (
            ["t-sft", "--data", "x", "--model", "org/m", "--out", "o", "--lora", "r=much"],
            "--lora: r: must be a whole number, not text",
        ),
        (["t-sft", "--data", "x", "--out", "o"], "no model: give --model"),
        (["t-sft", "--data", "x", "--model", "org/m"], "give --out DIR"),
        (["t-sft", "--data", "saferlhf=.", "--model", "org/m", "--out", "o"], "--accept-licence"),
        (
            ["t-sft", "--data", "gone.jsonl", "--model", "org/m", "--out", "o"],
            "no training set or file",
        ),
        (["t-sft", "--data", "x", "--model", "./llava", "--out", "o"], "no folder ./llava"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], message: str, run: Command) -> None:
    done = run(*arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_the_resolved_settings_are_a_configuration_file(tmp_path: Path, run: Command) -> None:
    lora = ("--lora", "r=8,alpha=16", "--train-vision")
    done = run("mm-dpo", "--data", "a,b", "--config", "llava-1.5-7b", *lora, "--print-config")
    assert done.code == 0, done.err
    assert 'data = ["a,b"]' in done.out
    assert "beta = 0.1" in done.out
    assert "freeze_vision = false" in done.out
    (tmp_path / "c.toml").write_text(done.out)
    assert run("--config", tmp_path / "c.toml", "--print-config").out == done.out
    wrong = run("mm-xyz", "--data", "x", "--out", "o")
    assert wrong.code == 2
    assert "'mm-xyz'" in wrong.err


def test_a_model_that_is_not_there_is_one_line(tmp_path: Path, run: Command) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": user(ASK) + says(NO)}) + "\n")
    done = run(
        *("t-sft", "--data", path, "--model", tmp_path / "gone", "--out", tmp_path / "o"),
    )
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "gone" in done.err


def test_rows_are_counted_from_one_and_a_reward_is_asked_for(
    tiny: Path, tmp_path: Path, run: Command
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": user(ASK)}, {"prompt": user(ASK), "completion": says(NO)}, {"query": ASK}]
    path.write_text("\n".join(map(json.dumps, rows)))
    arguments = ("--model", tiny, "--data", path, "--dry-run")
    # What cannot be read, and what can be read and does not suit, have the file's own numbers.
    assert "row 3: has none of messages" in run("t-sft", *arguments).err
    path.write_text("\n".join(map(json.dumps, rows[:2])))
    assert "row 1: has prompt; t-sft needs messages" in run("t-sft", *arguments).err
    done = run("mm-ppo", *arguments, "--text-rows")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "mm-ppo learns from a reward, and none is named: give --reward" in done.err
