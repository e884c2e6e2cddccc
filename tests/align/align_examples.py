"""A LLaVA with random weights, small enough that a step takes milliseconds, and rows for it."""

from __future__ import annotations

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
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    vocabulary = {word: place for place, word in enumerate([*SPECIAL, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=["<image>", "<user>", "<assistant>"],
        padding_side="left",
    )
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
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
    return LlavaConfig(
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
