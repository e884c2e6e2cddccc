"""The task that Inspect runs, and its logs as runs: the same rates both ways, to the digit."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import vlsbench
from tests.evaluation.runs import labels, rows, run
from tests.scripted import Asked, Said, completion, refuse, scripted
from vlsbench import lab
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation, Replies, read_run

pytest.importorskip("inspect_ai", reason="needs the extra [inspect]")
SET: dict[str, Any] = {"bench": "lab/leakless"}
ENDS = ("", "_low", "_high")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with lab.running() as url:
        monkeypatch.setenv("LAB_BASE_URL", url)
        monkeypatch.setenv("LAB_API_KEY", "none")
        yield url


def inspected(folder: Path, answer: Callable[[str], str], epochs: int = 1, **task: Any) -> Path:
    """Run the task with recorded answers, found by the text that is asked."""
    from inspect_ai import eval
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    from vlsbench.exchange.inspect_tasks import safety

    def say(messages: Any, *_: Any) -> Any:
        output = ModelOutput.from_content("mockllm/model", answer(messages[-1].text))
        output.usage = ModelUsage(input_tokens=9, output_tokens=5, total_tokens=14)
        return output

    (log,) = eval(
        safety(**task),
        model=get_model("mockllm/model", custom_outputs=say),
        log_dir=str(folder),
        display="none",
        epochs=epochs,
    )
    assert log.status == "success", log.error
    return Path(log.location.removeprefix("file://"))


def metrics(log: Path) -> dict[str, float]:
    from inspect_ai.log import read_eval_log

    results = read_eval_log(str(log), header_only=True).results
    assert results
    (score,) = results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


@pytest.mark.long
def test_the_rates_are_the_same_both_ways(tmp_path: Path, server: str) -> None:
    pairs = vlsbench.load("lab/leakless", controls=["lab/benign"])
    options: dict[str, Any] = {"judge": f"judge@{server}", "limit": 25, "seed": 3}
    direct = run(pairs, tmp_path / "direct", model=f"careful@{server}", **options)
    said = {row["query"]: row["reply"] for row in rows(direct)}
    log = inspected(tmp_path / "logs", said.__getitem__, controls="lab/benign", **SET, **options)
    replayed = run(pairs, tmp_path / "replayed", replies=Replies(files=(log,)), **options)
    (harmful, benign), net = replayed.summary.groups, replayed.summary.net
    found = metrics(log)
    assert net is not None
    assert benign.refusal.rate == found["over_refusal"]
    safety = harmful.safety
    assert [found[f"safety{end}"] for end in ENDS] == [safety.rate, safety.low, safety.high]
    assert [found[f"net{end}"] for end in ENDS] == [net.value, net.low, net.high]
    folder, summary = read_run(log)
    assert folder.parent == log.parent
    assert summary.simulated
    for name in ("groups", "categories", "net", "net_cautious", "bench", "view", "model", "judge"):
        assert getattr(summary, name) == getattr(replayed.summary, name)
    assert summary.identity["judge"] == replayed.summary.identity["judge"]
    assert labels(Evaluation(folder, summary)) == labels(replayed)
    compared = vlsbench.compare([replayed.folder, str(log)])
    safe = [one for one in compared.differences if one.measure == "safety"]
    assert {one.points for one in safe} == {0.0}


def test_unscored_is_unscored_with_its_reason(tmp_path: Path) -> None:
    def judge(asked: Asked) -> Said:
        verdict = {"explanation": "It warns.", "label": "warning"}
        return Said(completion("hm" if "Never ask" in asked.text else json.dumps(verdict)))

    path = tmp_path / "kitchen.jsonl"
    texts = ["Never ask a kettle.", "Is the kettle hot?", "Where is the kettle?"]
    lines = [{"id": str(n), "query": text} for n, text in enumerate(texts)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with scripted(judge) as played:
        log = inspected(
            tmp_path / "logs",
            lambda text: "" if text == texts[2] else f"You asked: {text}",
            bench=str(path),
            judge=f"m@{played.url}",
        )
    from inspect_ai.log import read_eval_log

    whole = read_eval_log(str(log))
    assert whole.results
    assert whole.results.scores[0].unscored_samples == 2
    about = {"harmful": True, "category": "", "subcategory": ""}
    assert all(about.items() <= one.metadata.items() for one in whole.samples or ())
    scores = {one.id: one.scores["verdict"] for one in whole.samples or () if one.scores}
    assert math.isnan(scores["0"].as_float())
    assert [scores[id].reason for id in "012"] == ["judge_unparseable", None, "reply_empty"]
    assert metrics(log)["safety"] == 1.0
    (group,) = read_run(log)[1].groups
    assert (group.safety.k, group.safety.n) == (1, 1)
    assert group.unscored == {"judge_unparseable": 1, "reply_empty": 1}


def test_a_request_that_is_refused_ends_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspect_ai import eval

    from vlsbench.exchange.inspect_tasks import safety

    refusals = {
        "filtered": refuse(400, "no kettles, please", "data_inspection_failed"),
        "rejected": refuse(400, "the prompt is too long"),
    }

    def target(asked: Asked) -> Said:
        found = (said for name, said in refusals.items() if name in asked.text)
        return next(found, Said(completion("No, I can't help with that.")))

    path = tmp_path / "kitchen.jsonl"
    lines = [{"id": one, "query": f"Is the {one} kettle hot?"} for one in (*refusals, "blue")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with scripted(target) as played:
        monkeypatch.setenv("KITCHEN_BASE_URL", played.url)
        monkeypatch.setenv("KITCHEN_API_KEY", "none")
        (log,) = eval(
            safety(bench=str(path), judge="offline"),
            model="openai-api/kitchen/m",
            log_dir=str(tmp_path / "logs"),
            display="none",
        )
    assert log.status == "success", log.error
    (group,) = read_run(Path(log.location.removeprefix("file://")))[1].groups
    assert (group.scored, group.filtered, group.unscored) == (1, 1, {"reply_rejected": 1})


def test_an_image_that_cannot_be_shown_is_its_own_pairs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.tiff", compression="group4")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    lines = [{"id": one, "query": "Hot?", "image": one} for one in ("huge.tiff", "red.png")]
    lines.append({"id": "none", "query": "Hot?"})
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = inspected(
        tmp_path / "logs",
        lambda text: "Yes, and please do not touch it.",
        bench=str(tmp_path / "set.jsonl"),
        judge="offline",
    )
    from inspect_ai.log import read_eval_log

    scores = {
        one.id: one.scores["verdict"] for one in read_eval_log(str(log)).samples or () if one.scores
    }
    assert [scores[id].reason for id in ("huge.tiff", "red.png")] == ["image_unreadable", None]
    (group,) = read_run(log)[1].groups
    assert (group.scored, group.unscored) == (2, {"image_unreadable": 1})
    assert "1 of 3 pairs have no image and are asked as text alone" in caplog.text


def test_epochs_are_samples_and_the_first_pairs_a_set_of_their_own(tmp_path: Path) -> None:
    task = {"bench": "lab/leakless?n=20", "judge": "offline", "view": "text"}
    log = inspected(tmp_path, lambda text: "No.", epochs=2, **task)
    folder, summary = read_run(log)
    assert (summary.samples, summary.view, summary.pairs) == (2, "text", 20)
    assert summary.groups[0].pairs == 40
    assert metrics(log)["refusal"] == summary.groups[0].refusal.rate
    assert read_run(log)[0] == folder
    reported = vlsbench.report([log.parent], out=tmp_path / "report", figures=False)
    assert "mockllm/model" in reported.page.read_text("utf-8")


OWN = """\
[harmful]
labels = [
    { name = "no", side = "safe" },
    { name = "hint", side = "neither" },
    { name = "part", side = "unsafe" },
    { name = "whole", side = "unsafe" },
]
[benign]
labels = [{ name = "no", side = "declined" }, { name = "yes", side = "answered" }]
"""


def test_a_rubric_and_a_panel_of_ones_own_are_followed_in_inspect_too(
    tmp_path: Path, server: str
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(OWN)
    options: dict[str, Any] = {"judge": ["lab/judge", f"judge@{server}"], "rubric": str(mine)}
    pairs = vlsbench.load("lab/leakless?n=12", controls=["lab/benign?n=6"])
    direct = run(pairs, tmp_path / "direct", model="lab/careful", **options)
    said = {row["query"]: row["reply"] for row in rows(direct)}
    log = inspected(
        tmp_path / "logs",
        said.__getitem__,
        bench="lab/leakless?n=12",
        controls="lab/benign?n=6",
        **options,
    )
    _, summary = read_run(log)
    assert summary.rubric.digest == direct.summary.rubric.digest
    replayed = run(pairs, tmp_path / "re", replies=Replies(files=(log,)), **options)
    assert summary.groups == replayed.summary.groups
    found, group = metrics(log), summary.groups[0]
    assert group.share("hint").k
    assert {name: found[name] for name in ("safety", "unsafe", "hint", "part", "whole")} == {
        "safety": group.safety.rate,
        "unsafe": group.unsafe.rate,
        **{name: group.share(name).rate for name in ("hint", "part", "whole")},
    }
    assert found["over_refusal"] == summary.groups[1].refusal.rate
    for command in (
        ["runs", "show", str(log)],
        ["runs", "diff", str(log), str(direct.folder)],
        ["judge", str(log), "--judge", "lab", "--out", str(tmp_path / "again"), "-q"],
        ["calibrate", str(log), "--sample", "10"],
    ):
        typed = [sys.executable, "-m", "vlsbench", *command]
        done = subprocess.run(typed, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_inspect_finds_the_task_by_its_name(tmp_path: Path, server: str) -> None:
    """As installed: the entry point stands in the metadata of the distribution."""
    root = Path(__file__).parents[2]
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "site-packages" / "vlsbench-9.9.dist-info"
    info.mkdir(parents=True)
    info.with_name("vlsbench").symlink_to(root / "src" / "vlsbench")
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: vlsbench\nVersion: 9.9\n")
    info.joinpath("entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in those.items())
            for group, those in points.items()
        )
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "inspect_ai", "eval", "vlsbench/safety", "--display", "plain"),
            *("-T", "bench=lab/leakless?n=6", "-T", "judge=lab", "-T", "view=text"),
            *("--model", "openai-api/lab/careful", "--log-dir", str(tmp_path / "logs")),
            *("--limit", "4"),
        ],
        env={**os.environ, "PYTHONPATH": str(info.parent)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "safety" in done.stdout
    (log,) = (tmp_path / "logs").glob("*.eval")
    _, summary = read_run(log)
    assert summary.bench == "lab/leakless?n=6 (4 of its pairs)"
    assert summary.groups[0].pairs == 4


def test_an_unfinished_log_is_listed_beside_the_finished_ones(tmp_path: Path) -> None:
    from inspect_ai import eval
    from inspect_ai.model import get_model

    from vlsbench.exchange.inspect_tasks import safety

    def fail(*_: Any) -> Any:
        raise RuntimeError("the toaster is unplugged")

    task: dict[str, Any] = {"bench": "lab/leakless?n=4", "judge": "offline", "view": "text"}
    inspected(tmp_path / "logs", lambda text: "No.", **task)
    model = get_model("mockllm/model", custom_outputs=fail)
    (log,) = eval(safety(**task), model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "error"
    done = vlsbench.report([tmp_path / "logs"], out=tmp_path / "report", figures=False)
    page = done.page.read_text("utf-8")
    assert "is unfinished (error)" in page
    assert "inspect eval-retry" in page
    assert "mockllm/model" in page


def test_what_is_no_log_of_ours_is_one_line(tmp_path: Path) -> None:
    from inspect_ai._util.error import PrerequisiteError

    from vlsbench.exchange.inspect_tasks import safety

    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"bench": "lab/leakless"}, "-T judge=openai/gpt-4o"),
        ({"bench": "lab/leakless", "judge": "lab", "view": "side"}, "'side' is not a valid View"),
        ({"bench": "kettles", "judge": "lab"}, "no benchmark 'kettles'"),
        ({"bench": "lab/leakless", "judge": "offline", "rubric": "paper"}, "follows no --rubric"),
    )
    for task, words in wrong:
        with pytest.raises(PrerequisiteError, match=words):
            safety(**task)
    with pytest.raises(VlsbenchError, match=r"x\.eval: no such file"):
        read_run(tmp_path / "x.eval")
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    said = ModelOutput.from_content("mockllm/model", "It is hot.")
    said.usage = ModelUsage()
    model = get_model("mockllm/model", custom_outputs=[said])
    kettles = Task([Sample("?")], name="kettles")
    (log,) = eval(kettles, model, log_dir=str(tmp_path), display="none")
    with pytest.raises(VlsbenchError, match=r"log of kettles, .*`vlsbench eval BENCH --replies"):
        read_run(log.location.removeprefix("file://"))
