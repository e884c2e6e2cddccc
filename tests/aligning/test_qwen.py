"""Qwen2-VL and Qwen2.5-VL: pictures of any size as patches, with their grid and token types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.aligning.align_examples import (
    ASK,
    NO,
    YES,
    dpo_rows,
    make_tiny_qwen,
    prompt_rows,
    sft_rows,
    tiny_processor,
    unlearning_rows,
)
from vlsbench.aligning import Lora, TrainingSettings, plan_training, train
from vlsbench.aligning.encode import Collator, Encoded, Encoder
from vlsbench.models import LocalModel, Params, Question, load_processor

PATCH_VALUES = 3 * 2 * 4 * 4
"""Colours, frames, and the pixels of a patch."""


def tiny_qwen() -> torch.nn.Module:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig(
        text_config={
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            "bos_token_id": None,
            "eos_token_id": 4,
            "pad_token_id": 3,
        },
        vision_config={
            "depth": 1,
            "embed_dim": 16,
            "hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "mlp_ratio": 2,
        },
        image_token_id=0,
        video_token_id=63,
        vision_start_token_id=1,
        vision_end_token_id=2,
    )
    torch.manual_seed(0)
    model: torch.nn.Module = Qwen2VLForConditionalGeneration(config).eval()
    return model


def row(height: int, width: int) -> Encoded:
    """A prompt with one picture of so many patches; four of them make a token."""
    tokens = height * width // 4
    prompt = [1, *[0] * tokens, 2, 10, 11]
    torch.manual_seed(height * width)
    return Encoded(
        prompt=prompt,
        answers=[[12, 13, 4]],
        kind="",
        per_token={"mm_token_type_ids": [int(token == 0) for token in prompt]},
        pixels={
            "pixel_values": torch.randn(height * width, PATCH_VALUES),
            "image_grid_thw": torch.tensor([[1, height, width]]),
        },
    )


def test_a_row_costs_the_same_alone_and_among_others() -> None:
    model, collator = tiny_qwen(), Collator(Encoder(tiny_processor(), []))
    text = Encoded([10, 11, 14], [[12, 4]], "")
    rows = [row(2, 2), row(4, 6), text]

    def likelihoods(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        labels = batch.pop("labels")
        with torch.no_grad():
            spread = model(**batch).logits.log_softmax(-1)[:, :-1]
        kept = labels[:, 1:] != -100
        chosen = spread.gather(-1, labels[:, 1:].clamp(min=0).unsqueeze(-1)).squeeze(-1)
        summed: torch.Tensor = (chosen * kept).sum(1)
        return summed

    together = likelihoods(collator.batch([(one, one.answers[0]) for one in rows]))
    alone = [likelihoods(collator.batch([(one, one.answers[0])]))[0].item() for one in rows]
    assert together.tolist() == pytest.approx(alone, abs=1e-4)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Qwen2.5-VL with random weights."""
    return make_tiny_qwen(tmp_path_factory.mktemp("qwen"))


def sizes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the pictures differ in size, so that rows differ in tokens."""
    for place, row in enumerate(rows):
        if "images" in row:
            row["images"] = [row["images"][0].resize((16 + 8 * (place % 3), 16))]
    return rows


def says_no(rows: Sequence[dict[str, Any]], answers: Sequence[str]) -> list[float]:
    return [float("no" in answer.split()) for answer in answers]


def test_its_processor_needs_no_torchvision(qwen: Path, tmp_path: Path) -> None:
    processor = load_processor(str(qwen))
    processor.save_pretrained(tmp_path)
    parts = [{"type": "image", "image": Image.new("RGB", (32, 16))}, {"type": "text", "text": ASK}]
    batches = [
        one.apply_chat_template(
            [{"role": "user", "content": parts}],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        for one in (processor, load_processor(str(tmp_path)))
    ]
    assert batches[0]["image_grid_thw"].tolist() == [[1, 4, 8]]
    for key, value in batches[0].items():
        assert torch.equal(value, batches[1][key])
    # Where torchvision is there, videos are prepared by what stands here.
    assert (tmp_path / "preprocessor_config.json").is_file()


ROWS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "t-sft": lambda: sft_rows(pictures=False),
    "t-dpo": lambda: dpo_rows(pictures=False),
    "t-unlearning": unlearning_rows,
    "t-safe-unlearning": unlearning_rows,
    "mm-sft": sft_rows,
    "mm-dpo": dpo_rows,
    "mm-ppo": prompt_rows,
    "sft": lambda: sft_rows() + sft_rows(pictures=False),
}
QUICK: dict[str, Any] = {"max_steps": 2, "batch_size": 4, "max_new_tokens": 4}


OFTEN = ("mm-sft", "mm-ppo")
"""Methods that are tried with every run of the tests; the others are `slow`."""


@pytest.mark.parametrize(
    "method",
    [m if m in OFTEN else pytest.param(m, marks=pytest.mark.slow) for m in ROWS],
)
def test_every_method_trains_it(method: str, qwen: Path, tmp_path: Path) -> None:
    done = train(
        method,
        model=qwen,
        rows=sizes(ROWS[method]()),
        out=tmp_path / "m",
        settings=TrainingSettings(**QUICK),
        reward=says_no,
    )
    assert done.steps == 2
    assert 0 < done.trainable < done.parameters
    answers = LocalModel.load(str(done.path)).answer(
        [Question(ASK, (Image.new("RGB", (24, 16), "red"),))], Params(4)
    )
    assert len(answers) == 1


@pytest.mark.slow
def test_it_learns_to_look(qwen: Path, tmp_path: Path) -> None:
    done = train(
        "mm-sft",
        model=qwen,
        rows=sizes(sft_rows()),
        out=tmp_path / "m",
        settings=TrainingSettings(
            max_steps=60, learning_rate=1e-2, scheduler="constant", freeze_vision=False
        ),
    )
    model = LocalModel.load(str(done.path))
    shown = [Question(ASK, (Image.new("RGB", (32, 16), colour),)) for colour in ("red", "blue")]
    said = [" ".join(a.text.replace(",", " , ").split()) for a in model.answer(shown, Params(12))]
    assert said == [NO, YES]


@pytest.mark.slow
@pytest.mark.parametrize("method", OFTEN)
def test_an_adapter_leaves_its_tower_alone(method: str, qwen: Path, tmp_path: Path) -> None:
    done = train(
        method,
        model=qwen,
        rows=sizes(ROWS[method]()),
        out=tmp_path / "m",
        settings=TrainingSettings(lora=Lora(r=2), **QUICK),
        reward=says_no,
    )
    assert (done.path / "adapter_config.json").is_file()
    from safetensors.torch import load_file

    names = load_file(done.path / "adapter_model.safetensors")
    assert names
    assert not any("visual" in name for name in names)


def test_no_picture_is_sampled_where_there_is_none(qwen: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    # A model that wants to say nothing but pictures.
    model = AutoModelForImageTextToText.from_pretrained(qwen, dtype=torch.float32)
    with torch.no_grad():
        model.lm_head.weight[0] = 20 * model.lm_head.weight.abs().max()
        model.lm_head.weight[3] = model.lm_head.weight[0]
    model.save_pretrained(tmp_path / "start")
    load_processor(str(qwen)).save_pretrained(tmp_path / "start")
    done = train(
        "mm-ppo",
        model=tmp_path / "start",
        rows=sizes(prompt_rows()),
        out=tmp_path / "m",
        settings=TrainingSettings(**QUICK),
        reward=says_no,
    )
    assert done.steps == 2


def test_its_plan_counts_its_tower(qwen: Path) -> None:
    found = plan_training(
        "mm-sft", model=str(qwen), rows=sizes(sft_rows()), settings=TrainingSettings()
    )
    assert found.parameters.frozen_vision > 0
    assert found.rows == 8
