"""Every method trains a real (tiny) model and leaves plain Hugging Face files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.aligning.align_examples import (
    ASK,
    FAST,
    NO,
    YES,
    dpo_rows,
    picture,
    prompt_rows,
    says_no,
    sft_rows,
    unlearning_rows,
    user,
)
from vlsbench.aligning import Lora, Method, TrainingSettings, train
from vlsbench.errors import BadRows, VlsbenchError


def reply(folder: Path, colour: str | None, text: str = ASK) -> str:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32").eval()
    processor = AutoProcessor.from_pretrained(folder)
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if colour:
        parts.insert(0, {"type": "image", "image": picture(colour)})
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    out = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    shown: str = processor.decode(out[0][inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return " ".join(shown.replace(",", " , ").split())


def test_text_sft_teaches_the_answer_and_when_to_stop(tiny: Path, tmp_path: Path) -> None:
    rows = [row for row in sft_rows(pictures=False) if row["messages"][-1]["content"] == NO]
    done = train(
        "t-sft",
        model=tiny,
        rows=rows,
        out=tmp_path / "m",
        settings=TrainingSettings(max_steps=30, **FAST),
    )
    assert reply(done.path, None) == NO
    assert done.curve[-1]["loss"] < done.curve[0]["loss"]
    assert (done.steps, done.parameters > done.trainable > 0) == (30, True)


def test_multimodal_sft_learns_to_look(tiny: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(max_steps=60, freeze_vision=False, **FAST)
    done = train("mm-sft", model=tiny, rows=sft_rows(), out=tmp_path / "m", settings=settings)
    assert (reply(done.path, "red"), reply(done.path, "blue")) == (NO, YES)


def test_dpo_prefers_the_chosen_answer(tiny: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(max_steps=30, freeze_vision=False, **FAST)
    done = train("mm-dpo", model=tiny, rows=dpo_rows(), out=tmp_path / "m", settings=settings)
    assert done.curve[-1]["rewards/accuracies"] == 1.0
    assert done.curve[-1]["logps/chosen"] > done.curve[0]["logps/chosen"]


def test_dpo_without_the_likelihood_lets_the_chosen_answer_fall_behind(
    tiny: Path, tmp_path: Path
) -> None:
    def chosen(weight: float) -> float:
        done = train(
            "t-dpo",
            model=tiny,
            rows=dpo_rows(pictures=False)[:1],
            out=tmp_path / str(weight),
            settings=TrainingSettings(max_steps=30, sft_weight=weight, **FAST),
        )
        return done.curve[-1]["logps/chosen"]

    assert chosen(1.0) > chosen(0.0)


@pytest.mark.parametrize("method", ["t-unlearning", "t-safe-unlearning"])
def test_unlearning_forgets_the_harmful_answer_and_keeps_the_rest(
    method: str, tiny: Path, tmp_path: Path
) -> None:
    settings = TrainingSettings(max_steps=30, beta=1.0, **FAST)
    done = train(method, model=tiny, rows=unlearning_rows(), out=tmp_path / "m", settings=settings)
    first, last = done.curve[0], done.curve[-1]
    assert last["nll/harmful"] > first["nll/harmful"]
    assert last["nll/safe"] < first["nll/safe"]
    assert last["nll/retain"] < first["nll/retain"]


ROWS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "t-sft": lambda: sft_rows(pictures=False),
    "mm-dpo": dpo_rows,
    "t-safe-unlearning": unlearning_rows,
    "mm-ppo": prompt_rows,
    "mm-grpo": prompt_rows,
}


@pytest.mark.parametrize("method", ROWS)
def test_lora_saves_an_adapter_for_the_language_model_alone(
    method: str, tiny: Path, tmp_path: Path
) -> None:
    done = train(
        method,
        model=tiny,
        rows=ROWS[method](),
        out=tmp_path / "m",
        settings=TrainingSettings(max_steps=2, lora=Lora(r=2), max_new_tokens=3, **FAST),
        reward=says_no,
    )
    config = json.loads((done.path / "adapter_config.json").read_text())
    assert all("language_model" in name for name in config["target_modules"])
    assert len(config["target_modules"]) == 14
    assert done.trainable < done.parameters / 5
    assert not (done.path / "model.safetensors").exists()
    assert not list(done.path.glob("*.bin")) + list(done.path.glob("*.pt"))


def test_an_adapter_can_be_trained_on(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    settings = TrainingSettings(max_steps=3, lora=Lora(r=2), **FAST)
    first = train("mm-sft", model=tiny, rows=sft_rows(), out=tmp_path / "a", settings=settings)
    again = train(
        "mm-dpo",
        model=first.path,
        rows=dpo_rows(),
        out=tmp_path / "b",
        settings=TrainingSettings(max_steps=1, learning_rate=0.0, batch_size=4),
    )
    merged = AutoModelForImageTextToText.from_pretrained(again.path / "base").state_dict()
    trained_on = AutoModelForImageTextToText.from_pretrained(again.path).state_dict()
    before = AutoModelForImageTextToText.from_pretrained(tiny).state_dict()
    assert all(torch.allclose(merged[name], trained_on[name]) for name in merged)
    assert any(not torch.allclose(merged[name], before[name]) for name in merged)
    # The reference is the merged model, not the one below the adapter.
    assert again.curve[0]["rewards/chosen"] == pytest.approx(0, abs=1e-5)


def test_the_vision_tower_moves_only_when_asked(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    def tower(folder: Path) -> list[torch.Tensor]:
        state = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
        return [value for name, value in state.items() if "vision_tower" in name]

    before = tower(tiny)
    for frozen in (True, False):
        out = tmp_path / str(frozen)
        settings = TrainingSettings(max_steps=2, freeze_vision=frozen, **FAST)
        train("mm-sft", model=tiny, rows=sft_rows(), out=out, settings=settings)
        same = all(torch.equal(a, b) for a, b in zip(before, tower(out), strict=True))
        assert same is frozen


def test_the_record_says_what_was_done(tiny: Path, tmp_path: Path) -> None:
    about = {"licences": {"saferlhf": "CC BY-NC 4.0"}, "accepted": ["saferlhf"]}
    rows = sft_rows() + sft_rows(pictures=False)
    done = train(
        Method.SFT,
        model=tiny,
        rows=rows,
        out=tmp_path / "m",
        settings=TrainingSettings(max_steps=1),
        about=about,
    )
    record = json.loads((done.path / "align.json").read_text())
    assert (record["finished"], record["method"], record["steps"]) == (True, "sft", 1)
    assert record["data"]["kinds"] == {"row, image": 8, "row, text": 8}
    assert record["data"]["accepted"] == ["saferlhf"]
    assert record["learning_rate"] == 2e-5
    assert set(record["versions"]) >= {"torch", "trl", "peft", "vlsbench"}
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 1
    assert lines[0]["loss"] > 0


def test_the_same_seed_gives_the_same_model(tiny: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    states = []
    for name in ("a", "b"):
        settings = TrainingSettings(max_steps=3, seed=7, max_new_tokens=3, **FAST)
        train(
            "mm-ppo",
            model=tiny,
            rows=prompt_rows(),
            out=tmp_path / name,
            settings=settings,
            reward=says_no,
        )
        states.append(load_file(tmp_path / name / "model.safetensors"))
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("method", ["t-sft", "mm-ppo"])
def test_a_stopped_training_goes_on_from_its_checkpoint(
    method: str, tiny: Path, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise Stop

    fixed = {"max_steps": 6, "save_steps": 2, "max_new_tokens": 3, **FAST}

    def go(progress: Any = None, **more: Any) -> Any:
        return train(
            method,
            model=tiny,
            rows=ROWS[method](),
            out=tmp_path / "m",
            settings=TrainingSettings(**{**fixed, **more}),
            reward=says_no,
            progress=progress,
        )

    with pytest.raises(Stop):
        go(stop)
    with pytest.raises(VlsbenchError, match="unfinished training: --resume"):
        go()
    with pytest.raises(VlsbenchError, match="begun with other settings"):
        go(batch_size=2, resume=True)
    record = tmp_path / "m" / "align.json"
    about = json.loads(record.read_text())
    for clip in (0.1, 1.0):  # of earlier versions; the second still holds
        about["settings"] |= {"max_grad_norm": clip, "by_length": False, "bound": None}
        record.write_text(json.dumps(about))
        if clip < 1:
            with pytest.raises(VlsbenchError, match=r"was begun with max_grad_norm 0\.1, which"):
                go(resume=True)
    seen: list[int] = []
    done = go(lambda at, total: seen.append(at), resume=True)
    assert (seen, done.steps) == ([5, 6], 6)
    with pytest.raises(VlsbenchError, match="finished training"):
        go()


def test_a_folder_with_other_things_is_left_alone(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(VlsbenchError, match="holds something else"):
        train("t-sft", model=tiny, rows=sft_rows(False), out=tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "x"


def test_rows_that_do_not_fit_are_all_named(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRows, match=r"\(all 8 rows\)") as caught:
        train("t-sft", model=tiny, rows=sft_rows(), out=tmp_path / "m")
    assert "learns from text alone" in str(caught.value)
    with pytest.raises(BadRows, match="--text-rows"):
        train("mm-sft", model=tiny, rows=sft_rows(False), out=tmp_path / "m")
    with pytest.raises(BadRows, match="mm-dpo needs prompt, chosen, rejected"):
        train("mm-dpo", model=tiny, rows=sft_rows(), out=tmp_path / "m")
    rows = [row for row in unlearning_rows() if row["kind"] == "harmful"]
    with pytest.raises(VlsbenchError, match="needs rows of kind safe, retain"):
        train("t-safe-unlearning", model=tiny, rows=rows, out=tmp_path / "m")
    with pytest.raises(VlsbenchError, match="learns from a reward"):
        train("mm-ppo", model=tiny, rows=prompt_rows(), out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_words_that_the_model_takes_for_markers_are_refused(tiny: Path, tmp_path: Path) -> None:
    rows = sft_rows(False)
    rows[2]["messages"][0] = user("what is <image> ?")[0]
    with pytest.raises(BadRows, match="row 3: its words hold <image>"):
        train("t-sft", model=tiny, rows=rows, out=tmp_path / "m")


def test_text_rows_may_join_a_multimodal_method(tiny: Path, tmp_path: Path) -> None:
    rows = sft_rows() + sft_rows(pictures=False)
    settings = TrainingSettings(max_steps=4, text_rows=True, **FAST)
    assert train("mm-sft", model=tiny, rows=rows, out=tmp_path / "m", settings=settings).steps == 4


@pytest.mark.parametrize("method", ROWS)
def test_recomputing_activations_changes_nothing_but_memory(
    method: str, tiny: Path, tmp_path: Path
) -> None:
    losses = []
    for checkpointing in (False, True):
        settings = TrainingSettings(
            max_steps=3,
            gradient_checkpointing=checkpointing,
            max_new_tokens=3,
            lora=Lora(r=2),
            **FAST,
        )
        out = tmp_path / str(checkpointing)
        rows = ROWS[method]()
        done = train(method, model=tiny, rows=rows, out=out, settings=settings, reward=says_no)
        losses.append([entry["loss"] for entry in done.curve])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mm-sft", "mm-dpo", "mm-ppo"])
def test_two_processes_share_the_work(method: str, tiny: Path, tmp_path: Path) -> None:
    rows = {"mm-sft": sft_rows, "mm-dpo": dpo_rows, "mm-ppo": prompt_rows}[method]()
    lines = []
    for place, row in enumerate(rows):
        row["images"][0].save(tmp_path / f"{place}.png")
        lines.append(json.dumps({**row, "images": [f"{place}.png"]}) + "\n")
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    command = ["--nproc-per-node", "2", "-m", "vlsbench", "align", method, "--quiet"]
    command += ["--model", str(tiny), "--data", str(tmp_path / "rows.jsonl"), "--json"]
    command += ["--out", str(tmp_path / "m"), "--batch-size", "2", "--max-new-tokens", "3"]
    command += ["--reward", "offline"] if method == "mm-ppo" else []
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Eight rows, two at a time in each of two processes; PPO learns from each batch twice.
    steps = 4 if method == "mm-ppo" else 2
    assert json.loads(done.stdout)["steps"] == steps
    assert (tmp_path / "m" / "model.safetensors").is_file()


def test_metrics_go_nowhere_that_is_not_installed(tiny: Path, tmp_path: Path) -> None:
    settings = TrainingSettings(report_to=("nonesuch",))
    with pytest.raises(VlsbenchError, match="--report-to nonesuch: not installed"):
        train("t-sft", model=tiny, rows=sft_rows(False), out=tmp_path / "m", settings=settings)
