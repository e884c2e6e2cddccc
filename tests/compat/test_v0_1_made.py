"""The same for what 0.1.0 made: builds, reviews, releases, aligned models. See `test_v0_1.py`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.compat.earlier import NOTHING, Old, lines, needs, spent

# Builds.

BUILD = (
    *("build", "lab", "--limit", "8", "--quiet"),
    *("--set", "leak_filter.overlap=false", "--set", "near_duplicates.similarity=false"),
    *("--set", 'perceive.images="sets/benign"'),
    *("--set", 'models.eyes="lab/eyes?errs=0&leaks=0.85&varies=1"'),
    *("--set", 'models.checker="lab/check?alarms=0&misses=0"'),
)


def test_a_build_is_shown(kept: Old) -> None:
    shown = kept.json("runs", "show", "builds/finished")["summary"]
    assert (shown["pairs"], shown["twins"], shown["patterns"]) == (11, 8, {"SSU": 11})
    dropped = {row["stage"]: row["dropped"] for row in shown["stages"] if row["dropped"]}
    assert dropped == {"elements": {"duplicate": 2}, "final_filter": {"harmless_pair": 1}}
    assert {row["role"]: row["calls"] for row in shown["spend"]} == {
        **{"checker": 66, "eyes": 32, "judge": 30},
        **{"painter": 28, "rewriter": 12, "writer": 27},
    }


def made(folder: Path) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return what a build made: its pairs, and the pixels of their images."""
    from PIL import Image

    rows = lines(folder / "pairs/metadata.jsonl")
    pixels = []
    for row in rows:
        # A file is named by its bytes, which another Pillow may write otherwise.
        with Image.open(folder / "pairs" / row.pop("file_name")) as image:
            pixels.append(image.convert("RGB").tobytes())
    return rows, pixels


def test_a_finished_build_pays_nothing(old: Old) -> None:
    folder = old.folder / "builds/finished"
    before = {path: path.read_bytes() for path in (folder / "pairs").rglob("*.*")}
    provenance = (folder / "provenance.jsonl").read_bytes()
    summary = old.json(*BUILD, "--out", "builds/finished", *NOTHING)
    assert (summary["pairs"], summary["twins"], summary["complete"]) == (11, 8, True)
    assert old.calls("builds")["finished"] == 195
    assert {path: path.read_bytes() for path in (folder / "pairs").rglob("*.*")} == before
    assert (folder / "provenance.jsonl").read_bytes() == provenance


def test_a_stopped_build_goes_on_and_pays_for_what_is_missing(old: Old) -> None:
    summary = old.json(*BUILD, "--out", "builds/stopped", "--max-calls", str(195 - 60))
    assert (summary["pairs"], summary["twins"], summary["complete"]) == (11, 8, True)
    assert old.calls("builds")["stopped"] == 195
    assert made(old.folder / "builds/stopped") == made(old.folder / "builds/finished")


# Reviews.

SET = "builds/finished/pairs"
REVIEW = "reviews/builds-finished-pairs"


def test_a_review_is_opened_and_exported(old: Old) -> None:
    status = old.json("review", "status", SET)
    then = json.loads((old.folder / REVIEW / "agreement.json").read_text("utf-8"))
    for agreed in [*status["agreement"], *then["agreement"]]:
        # The method of the interval is another since.
        low, high = agreed.pop("low"), agreed.pop("high")
        assert low is None or low <= agreed["alpha"] <= high
    assert status == then
    assert (status["keep"], status["drop"], status["open"], status["stale"]) == (17, 1, 1, 0)
    old.run("review", "export", SET, "--out", "new/verdicts.csv")
    for name in ("verdicts.csv", "keep.csv", "drop.csv"):
        assert (old.folder / "new" / name).read_bytes() == (
            old.folder / REVIEW / name
        ).read_bytes(), name


def test_a_review_goes_on(old: Old) -> None:
    """Whoever serves it finds ben at his last pair; a vote on that pair decides it."""
    server = subprocess.Popen(
        [*old.command, "review", SET, "--reviewer", "ben", "--port", "0", "--json"],
        cwd=old.folder,
        env=old.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        links = json.loads(server.stdout.readline())["links"]
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(
            links["ben"]
        ) as page:
            assert page.status == 200
            assert re.search(r"\b18\b.*\b19\b", page.read().decode(), re.DOTALL)
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.communicate()

    old.run("review", "export", SET, "--label-studio", "tasks.json")
    task = json.loads((old.folder / "tasks.json").read_text("utf-8"))[-1]
    said = {"query_harmful": "no", "image_harmful": "no", "matched": "yes", "pair_harmful": "no"}
    task["annotations"] = [
        {
            "completed_by": 7,
            "updated_at": "2026-03-09T22:16:08Z",
            "result": [
                {"from_name": name, "value": {"choices": [answer]}}
                for name, answer in {**said, "category_right": "yes"}.items()
            ],
        }
    ]
    (old.folder / "task.json").write_text(json.dumps([task]), "utf-8")
    assert old.json("review", "import", SET, "--label-studio", "task.json")["verdicts"] == 1
    status = old.json("review", "status", SET)
    assert (status["keep"], status["drop"], status["open"]) == (18, 1, 0)


# Releases.


def test_a_release_is_verified(kept: Old) -> None:
    found = kept.json("release", "verify", "released")
    assert (found["sound"], found["faults"]) == (True, [])
    assert (found["name"], found["version"]) == ("toddlers", "1.0.0")
    assert (found["pairs"], found["images"]) == (17, 17)


def test_sets_are_loaded(kept: Old) -> None:
    import vlsbench

    rows = lines(kept.folder / SET / "metadata.jsonl")
    pairs = list(vlsbench.load(kept.folder / SET))
    assert [(pair.id, pair.query, pair.harmful) for pair in pairs] == [
        (row["id"], row["query"], row["harmful"]) for row in rows
    ]
    released = list(vlsbench.load(kept.folder / "released"))
    assert {pair.id for pair in pairs} - {pair.id for pair in released} == {
        "a/microwave/gadget/000-000",
        "b/images/00003.png/twin-0",
    }
    sent = {pair.id: pair.images[0].read().sha256 for pair in pairs}
    assert all(sent[pair.id] == pair.images[0].read().sha256 for pair in released)


def test_the_set_is_released_anew(old: Old) -> None:
    options = ("--config", "release.toml", "--version", "1.1.0")
    files = ("--card", "league/pairs/card.json", "--provenance", "builds/finished/provenance.jsonl")
    agreement = ("--agreement", f"{REVIEW}/agreement.json", "--quiet")
    made = old.json("release", SET, "--out", "next", *options, *files, *agreement)
    assert made["pairs"] == 19
    assert (made["agreement"]["reviewers"], made["leakage"]["pairs"]) == (2, 19)


# Aligned models.

ALIGN = (
    *("align", "mm-sft", "--data", "rows/rows.jsonl", "--model", "aligned/whole"),
    *("--lr", "0.01", "--lora", "r=2", "--quiet"),
)


@needs("torch", "peft")
def test_an_aligned_model_answers_and_is_known_by_its_weights(old: Old) -> None:
    """Of twelve pairs, an earlier run has asked the adapter about eight."""
    with open(old.folder / "sets/both.jsonl", "w", encoding="utf-8") as file:
        for name in ("mixed", "benign"):
            for row in lines(old.folder / "sets" / name / "metadata.jsonl"):
                file.write(json.dumps(row | {"file_name": f"{name}/{row['file_name']}"}) + "\n")
    adapter = ("--model", "hf/aligned/adapter", "--judge", "offline", "--max-tokens", "16")
    out = ("--out", "trained/both", "--max-calls", "4", "--quiet")
    summary = old.json("eval", "sets/both.jsonl", *adapter, *out)
    assert summary["complete"]
    assert spent(summary) == {"target": (4, 8)}


@needs("torch", "trl", "peft")
def test_a_stopped_training_goes_on_and_a_finished_one_says_so(old: Old) -> None:
    stopped = (*ALIGN, "--max-steps", "4", "--save-steps", "1", "--out", "aligned/stopped")
    trained = old.json(*stopped, "--resume")
    assert (trained["steps"], trained["trainable"]) == (4, 2176)
    assert json.loads((old.folder / "aligned/stopped/align.json").read_text("utf-8"))["finished"]
    assert (old.folder / "aligned/stopped/adapter_model.safetensors").is_file()
    # The first step was logged before the interruption, the last one now.
    logged = [row["step"] for row in lines(old.folder / "aligned/stopped/metrics.jsonl")]
    assert (logged[0], logged[-1]) == (1, 4)

    finished = (*ALIGN, "--max-steps", "2", "--out", "aligned/adapter")
    old.refuses(*finished, says="aligned/adapter holds a finished training: give another --out")
