"""Build the tiny LLaVA from a config: about half a million parameters, untrained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning.model import need_extra
from vlsbench.lab.vlm.world import all_texts

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

WHAT = "the lab's vision-language model"
SIDE = 32
"""Pixels of a side of what the vision tower sees."""
PATCH = 8
IMAGE, USER, ASSISTANT, SYSTEM = ROLES = ("<image>", "<user>", "<assistant>", "<system>")
PAD, END, UNKNOWN = ENDS = ("<pad>", "</s>", "<unk>")
INITIALIZER_RANGE = 0.08
"""Of the decoder's weights. With the usual 0.02 a model this narrow takes several times as many
steps before it looks at the image at all."""
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'assistant' -%}" + ASSISTANT + "{%- generation -%}"
    "{%- if message.content is string -%}{{ ' ' + message.content }}{%- else -%}"
    "{%- for part in message.content if part.type == 'text' -%}{{ ' ' + part.text }}{%- endfor -%}"
    "{%- endif -%}{{ '" + END + "' }}{%- endgeneration -%}"
    "{%- else -%}"
    "{{ '" + SYSTEM + "' if message.role == 'system' else '" + USER + "' }}"
    "{%- if message.content is string -%}{{ ' ' + message.content + ' ' }}{%- else -%}"
    "{%- for part in message.content if part.type == 'image' -%}" + IMAGE + "{%- endfor -%}"
    "{%- for part in message.content if part.type == 'text' -%}"
    "{{ ' ' + part.text + ' ' }}{%- endfor -%}"
    "{%- endif -%}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}" + ASSISTANT + "{%- endif -%}"
)
"""Images come before the text, wherever they stand in the message."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: so small a model gains nothing from a second, and on a busy machine
    loses several times as much to waiting for it."""
    need_extra(WHAT)
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def make_model(folder: Path, seed: int = 0) -> Path:
    """Write an untrained model with its processor, in plain Hugging Face format.

    Raises `MissingExtra` where torch or transformers is not installed.
    """
    processor = make_processor()
    untrained(processor.tokenizer, seed).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_processor() -> LlavaProcessor:
    """Make the word-level tokenizer, the image processor and the chat template."""
    need_extra(WHAT)
    from transformers import LlavaProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    make: Any = LlavaProcessor  # untyped in transformers
    processor: LlavaProcessor = make(
        image_processor=SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}),
        tokenizer=_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )
    return processor


def _tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # "can't" and "two-year-old" are words, so that a decoded reply reads as it was written.
    word = Regex(r"\w+(?:[-'’]\w+)*|[^\w\s]")
    split = pre_tokenizers.Split(word, "isolated")
    pieces = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), split])
    words = {piece for text in all_texts() for piece, _ in pieces.pre_tokenize_str(text)}
    vocabulary = {token: place for place, token in enumerate([*ROLES, *ENDS, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    make: Any = PreTrainedTokenizerFast  # untyped in transformers
    made: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[*ROLES],
        padding_side="left",
        model_max_length=256,
    )
    return made


def untrained(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlavaForConditionalGeneration:
    """Make the model with random weights, in memory."""
    import torch
    from transformers import (
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        SiglipVisionConfig,
    )
    from transformers.utils.logging import disable_progress_bar

    # Saving would draw a bar through that of the command.
    disable_progress_bar()
    torch.manual_seed(seed)
    alike: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 4}
    ends: dict[str, Any] = {
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = SiglipVisionConfig(
        **alike,
        hidden_size=64,
        intermediate_size=128,
        image_size=SIDE,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = LlamaConfig(
        **alike,
        **ends,
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_key_value_heads=4,
        max_position_embeddings=256,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        bos_token_id=None,
    )
    config_of: Any = LlavaConfig  # takes what every configuration takes
    config = config_of(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
        initializer_range=INITIALIZER_RANGE,
        **ends,
    )
    return LlavaForConditionalGeneration(config)
