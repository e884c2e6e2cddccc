"""Models of published shapes with random weights, for `align_gpu.py`: nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

IMAGE: dict[str, Any] = {"llava": "<image>", "qwen": "<|vision_start|><|image_pad|><|vision_end|>"}
TEMPLATE = (
    "{%- for m in messages -%}{{ '<' + m.role + '>' }}"
    "{%- for p in m.content if p.type == 'image' -%}IMAGE{%- endfor -%}"
    "{%- for p in m.content if p.type == 'text' -%}{{ ' ' + p.text + ' ' }}{%- endfor -%}"
    "{%- if m.role == 'assistant' -%}</s>{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)
PAD, END = 0, 1
SPECIAL = ["<pad>", "</s>", "<unk>", "<user>", "<assistant>"]
LLAVA_SPECIAL = [*SPECIAL, "<image>"]
QWEN_SPECIAL = [
    *(*SPECIAL, "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"),
]
WORDS = 1000
ENDS: dict[str, Any] = {"eos_token_id": END, "pad_token_id": PAD, "bos_token_id": None}

CLIP_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
QWEN2_TOWER: dict[str, Any] = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "num_heads": 16,
    "mlp_ratio": 4,
    "patch_size": 14,
}
QWEN25_TOWER: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}


class Shape(NamedTuple):
    """A model's measures, and the rows that go with them."""

    config: Callable[[], Any]
    processor: Callable[[], Any]
    side: int
    """Pixels of a picture's side."""
    question: int
    """Words of a question."""
    answer: int
    """Words of an answer."""
    toy: bool = False
    """In float32, activations kept."""


def llava_config(vocabulary: int, tower: dict[str, Any], text: dict[str, Any]) -> Any:
    """A LLaVA-1.5: CLIP's tower and a Llama."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    return LlavaConfig(
        vision_config=CLIPVisionConfig(**tower),
        text_config=LlamaConfig(vocab_size=vocabulary, **text, **ENDS),
        image_token_index=LLAVA_SPECIAL.index("<image>"),
    )


def llava_processor(side: int, patch: int) -> Callable[[], Any]:
    def make() -> Any:
        from transformers import LlavaProcessor
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        return LlavaProcessor(
            image_processor=CLIPImageProcessorPil(
                size={"shortest_edge": side}, crop_size={"height": side, "width": side}
            ),
            tokenizer=tokenizer(LLAVA_SPECIAL),
            patch_size=patch,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
            image_token="<image>",
            chat_template=TEMPLATE.replace("IMAGE", IMAGE["llava"]),
        )

    return make


QWEN_7B: dict[str, Any] = {
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
QWEN_TINY: dict[str, Any] = {
    "vocab_size": len(QWEN_SPECIAL) + WORDS,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
}


def qwen_config(name: str, tower: dict[str, Any], text: dict[str, Any] = QWEN_7B) -> Any:
    """Qwen2-VL-7B (arXiv 2409.12191) or Qwen2.5-VL-7B (arXiv 2502.13923): towers differ."""
    import transformers

    return getattr(transformers, name)(
        text_config={**text, **ENDS},
        vision_config=tower,
        image_token_id=QWEN_SPECIAL.index("<|image_pad|>"),
        vision_start_token_id=QWEN_SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=QWEN_SPECIAL.index("<|vision_end|>"),
        video_token_id=QWEN_SPECIAL.index("<|video_pad|>"),
        tie_word_embeddings=False,
    )


def qwen_processor(name: str) -> Any:
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from vlsbench.models import images_only

    return images_only(getattr(transformers, name))(
        image_processor=Qwen2VLImageProcessorPil(),
        tokenizer=tokenizer(QWEN_SPECIAL),
        chat_template=TEMPLATE.replace("IMAGE", IMAGE["qwen"]),
    )


def tokenizer(special: list[str], count: int = WORDS) -> Any:
    """A word a token, so that rows have the lengths that they should."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: at for at, word in enumerate([*special, *(f"w{n}" for n in range(count))])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=special[3:],
        padding_side="left",
    )


def small(tower: dict[str, Any], text: dict[str, Any]) -> Any:
    return llava_config(len(LLAVA_SPECIAL) + WORDS, tower, text)


SHAPES: dict[str, Any] = {
    "tiny": Shape(
        lambda: small(
            {
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "image_size": 32,
                "patch_size": 8,
            },
            {
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            },
        ),
        llava_processor(32, 8),
        side=32,
        question=32,
        answer=128,
        toy=True,
    ),
    # LLaVA-1.5-7B's ratios (tower's width and weights to the language model's, picture's tokens
    # to a row's) at a 260th of its weights: the tower has the same share of the work.
    "mid": Shape(
        lambda: small(
            {
                "hidden_size": 128,
                "intermediate_size": 512,
                "num_hidden_layers": 6,
                "num_attention_heads": 4,
                "image_size": 84,
                "patch_size": 14,
            },
            {
                "hidden_size": 512,
                "intermediate_size": 1376,
                "num_hidden_layers": 8,
                "num_attention_heads": 8,
            },
        ),
        llava_processor(84, 14),
        side=84,
        question=3,
        answer=6,
        toy=True,
    ),
    "llava-1.5-7b": Shape(
        lambda: llava_config(
            32_064, CLIP_LARGE, {"hidden_size": 4096, "intermediate_size": 11_008}
        ),
        llava_processor(336, 14),
        side=336,
        question=32,
        answer=128,
    ),
    "llava-1.5-13b": Shape(
        lambda: llava_config(
            32_064,
            CLIP_LARGE,
            {
                "hidden_size": 5120,
                "intermediate_size": 13_824,
                "num_hidden_layers": 40,
                "num_attention_heads": 40,
            },
        ),
        llava_processor(336, 14),
        side=336,
        question=32,
        answer=128,
    ),
    "qwen2-vl-7b": Shape(
        lambda: qwen_config("Qwen2VLConfig", QWEN2_TOWER),
        lambda: qwen_processor("Qwen2VLProcessor"),
        side=672,
        question=32,
        answer=128,
    ),
    "tiny-qwen2.5-vl": Shape(
        lambda: qwen_config(
            "Qwen2_5_VLConfig",
            {
                **QWEN25_TOWER,
                "depth": 2,
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_heads": 4,
                "out_hidden_size": 128,
                "fullatt_block_indexes": [1],
            },
            QWEN_TINY,
        ),
        lambda: qwen_processor("Qwen2_5_VLProcessor"),
        side=168,
        question=32,
        answer=128,
        toy=True,
    ),
    "qwen2.5-vl-7b": Shape(
        lambda: qwen_config("Qwen2_5_VLConfig", QWEN25_TOWER),
        lambda: qwen_processor("Qwen2_5_VLProcessor"),
        side=672,
        question=32,
        answer=128,
    ),
}


def write(folder: Path, shape: Shape, *, weights: bool = True) -> None:
    """Save a model with random weights and its processor; or the processor and configuration."""
    import torch
    from transformers import AutoModelForImageTextToText

    shape.processor().save_pretrained(folder)
    config = shape.config()
    if not weights:
        config.save_pretrained(folder)
        return
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if shape.toy else torch.bfloat16
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
