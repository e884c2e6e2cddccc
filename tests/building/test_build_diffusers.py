"""Pictures drawn in this process: a diffusers pipeline with random weights, made on disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.building.build_examples import Builder, lines
from vlsbench.models import (
    Connections,
    FatalCall,
    Finish,
    ImageModel,
    Params,
    Request,
    open_images,
)

diffusers: Any = pytest.importorskip("diffusers", reason="needs the extra images")

SIZE = "32x32"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the smallest pipeline that draws 32 × 32 pixels; it has no safety checker."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    letters = [chr(number) for number in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    ends = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: place for place, token in enumerate([*tokens, *ends])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = CLIPTokenizer(*files, model_max_length=16)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=vocabulary[ends[0]],
        eos_token_id=vocabulary[ends[1]],
        pad_token_id=vocabulary[ends[1]],
    )
    made = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            latent_channels=4,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            block_out_channels=(8,),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=16,
            attention_head_dim=4,
        ),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(folder / "pipeline")
    return folder / "pipeline"


def opened(pipeline: Path, *, filtered: bool) -> ImageModel:
    return open_images(f"diffusers/{pipeline}", Connections(), filtered=filtered)


def toaster(seed: int, size: str = SIZE) -> Request:
    return Request("a toaster", system=size, params=Params(seed=seed))


async def test_a_pipeline_on_disk_draws(pipeline: Path) -> None:
    model = opened(pipeline, filtered=False)
    one = await model.draw(toaster(1))
    again = await model.draw(toaster(1))
    other = await model.draw(toaster(2))
    await model.close()
    assert one.finish is Finish.STOP
    image = one.extra["image"]
    assert image.mime == "image/png"
    assert Image.open(io.BytesIO(image.data)).size == (32, 32)
    assert image.sha256 == again.extra["image"].sha256 != other.extra["image"].sha256


async def test_a_pipeline_that_is_said_to_filter_must_have_a_checker(pipeline: Path) -> None:
    model = opened(pipeline, filtered=True)
    with pytest.raises(FatalCall, match="no safety checker"):
        await model.draw(toaster(1))
    await model.close()


async def test_a_pipeline_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    model = opened(tmp_path / "nowhere", filtered=False)
    with pytest.raises(FatalCall, match=r"cannot be loaded: .*nowhere"):
        await model.draw(toaster(1))
    await model.close()


async def test_a_size_that_it_cannot_draw_is_one_line(pipeline: Path) -> None:
    model = opened(pipeline, filtered=False)
    with pytest.raises(FatalCall, match=r"cannot draw: .*33"):
        await model.draw(toaster(1, "33x32"))
    await model.close()


@pytest.mark.slow
def test_a_build_keeps_what_it_draws(pipeline: Path, lab_build: Builder) -> None:
    # Noise shows no thing of the lab: eyes and checks that err in their favour let it pass.
    done = lab_build(
        "out",
        f'models.painter="diffusers/{pipeline}"',
        f'draw.size="{SIZE}"',
        "draw.rounds=1",
        "models.eyes=lab/eyes?errs=1",
        "final_filter.matched=false",
        "final_filter.harmful=false",
        "perceive=false",
        "twins.per_pair=0",
        limit=3,
    )
    drawn = [row for row in lines(done.provenance) if row.get("image_sha256")]
    assert drawn
    for row in drawn:
        assert (done.folder / "run" / "blobs" / row["image_sha256"][:2]).is_dir()
        calls = [call for step in row["steps"] for call in step["calls"]]
        assert f"diffusers/{pipeline}" in {call["model"] for call in calls}
