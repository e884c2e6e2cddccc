"""A LLaVA with random weights, small enough that a step takes milliseconds, and rows for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

VOCABULARY = (
    "may my toddler play with this toaster knife teddy no do not it is hot sharp yes of course "
    "have fun what show the picture a red blue square . ? , sorry i cannot help you"
)
WORDS = VOCABULARY.split()
SPECIAL = ["<image>", "<user>", "<assistant>", "<pad>", "</s>", "<unk>"]
TEMPLATE = (
    "{%- for m in messages -%}{{ '<' + m.role + '>' }}"
    "{%- for p in m.content if p.type == 'image' -%}<image>{%- endfor -%}"
    "{%- for p in m.content if p.type == 'text' -%}{{ ' ' + p.text + ' ' }}{%- endfor -%}"
    "{%- if m.role == 'assistant' -%}</s>{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<assistant>{%- endif -%}"
)


def tiny_processor(template: str = TEMPLATE) -> Any:
    from transformers import LlavaProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 16, "width": 16}),
        tokenizer=words_tokenizer(SPECIAL),
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token="<image>",
        chat_template=template,
    )


def tiny_config() -> Any:
    from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        vision_use_head=False,
    )
    text = LlamaConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.08,
        bos_token_id=None,
        eos_token_id=SPECIAL.index("</s>"),
        pad_token_id=SPECIAL.index("<pad>"),
    )
    return LlavaConfig(  # type: ignore[call-arg]
        vision_config=vision,
        text_config=text,
        image_token_index=0,
        image_seq_length=4,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        initializer_range=0.08,
    )


def make_tiny(folder: Path) -> Path:
    import torch
    from transformers import LlavaForConditionalGeneration

    torch.manual_seed(0)
    LlavaForConditionalGeneration(tiny_config()).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


QWEN = ["<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>"]
QWEN_SPECIAL = [*QWEN, "<user>", "<assistant>", "<pad>", "</s>", "<unk>"]


def words_tokenizer(special: list[str]) -> Any:
    """A tokenizer that knows the words above; the last three special tokens pad, end, unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate([*special, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=special[:-3],
        padding_side="left",
    )


def make_tiny_qwen(folder: Path) -> Path:
    """A Qwen2.5-VL: pictures of any size, cut into patches of four pixels, four to a token."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from vlsbench.models import images_only

    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(QWEN_SPECIAL) + len(WORDS),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "initializer_range": 0.08,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            "bos_token_id": None,
            "eos_token_id": QWEN_SPECIAL.index("</s>"),
            "pad_token_id": QWEN_SPECIAL.index("<pad>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "out_hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "window_size": 16,
            "fullatt_block_indexes": [1],
        },
        image_token_id=0,
        vision_start_token_id=1,
        vision_end_token_id=2,
        video_token_id=3,
    )
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    images_only(Qwen2_5_VLProcessor)(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=4,
            merge_size=2,
            temporal_patch_size=2,
            size={"shortest_edge": 64, "longest_edge": 1024},
        ),
        tokenizer=words_tokenizer(QWEN_SPECIAL),
        chat_template=TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
    ).save_pretrained(folder)
    return folder


def picture(colour: str) -> Any:
    from PIL import Image

    return Image.new("RGB", (16, 16), colour)


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


ASK = "may my toddler play with this ?"
YES, NO = "yes , of course", "no , it is hot"


def sft_rows(pictures: bool = True) -> list[dict[str, Any]]:
    colours = [("red", NO), ("blue", YES)] * 4
    return [
        {"messages": user(ASK) + says(answer), **({"images": [picture(c)]} if pictures else {})}
        for c, answer in colours
    ]


def dpo_rows(pictures: bool = True) -> list[dict[str, Any]]:
    return [
        {
            "prompt": user(ASK),
            "chosen": says(good),
            "rejected": says(bad),
            **({"images": [picture(colour)]} if pictures else {}),
        }
        for colour, good, bad in [("red", NO, YES), ("blue", YES, NO)] * 4
    ]


def unlearning_rows() -> list[dict[str, Any]]:
    asks = [
        ("may my toddler play with the knife ?", YES, "harmful"),
        ("may my toddler play with the knife ?", NO, "safe"),
        ("may my toddler play with the teddy ?", YES, "retain"),
    ]
    return [
        {"prompt": user(text), "completion": says(answer), "kind": kind}
        for text, answer, kind in asks * 4
    ]


def prompt_rows() -> list[dict[str, Any]]:
    return [
        {"prompt": user(ASK), "images": [picture(c)], "harmful": c == "red"}
        for c in ("red", "blue") * 4
    ]


def unlike_rows() -> list[dict[str, Any]]:
    """Eight prompts of different lengths: a step of eight that misses one learns something else."""
    asked = ("this ?", "the red toaster ?", "a knife , please help me ?", "my teddy ?")
    return [
        {"prompt": user(f"may my toddler play with {what}"), "images": [picture(colour)]}
        for what in asked
        for colour in ("red", "blue")
    ]


FAST: dict[str, Any] = {
    "learning_rate": 1e-2,
    "scheduler": "constant",
    "batch_size": 4,
    "log_steps": 5,
}
"""Settings of a training that learns within seconds."""


def says_no(rows: Sequence[dict[str, Any]], answers: Sequence[str]) -> list[float]:
    return [float("no" in answer.split()) for answer in answers]


def by_length(rows: Sequence[dict[str, Any]], answers: Sequence[str]) -> list[float]:
    return [float(len(answer) % 5) for answer in answers]
