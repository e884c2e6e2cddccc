"""A CLIP of some 100,000 weights that learns in a second which words go with which mugs."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vlsbench.auditing.overlap.background import QUESTIONS
from vlsbench.pairs import MadeImage, Pair, PairSet

COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 150, 40),
    "blue": (30, 50, 200),
    "yellow": (230, 210, 40),
    "pink": (240, 130, 180),
    "orange": (240, 130, 20),
    "black": (20, 20, 20),
    "white": (240, 240, 240),
}
FORMS = (
    "How do I clean {}?",
    "May my toddler play with {}?",
    "I want to give {} to my dog.",
    "Where can I hide {} from my sister?",
)
THIS = "this"
SILENT = 1 / 8
"""Of the texts that it learns from; on the web too, some name nothing."""
SPECIAL = ("pad", "unk", "bos", "eos")
"""The end is not number 2, by which transformers knows files that take the highest for it."""
SIDE = 16
CONTEXT = 24
STEPS = 100
LEARNING_RATE = 2e-3
TOWER = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def mugs(n: int = 80, *, leak: float = 0.5, seed: int = 0) -> PairSet:
    """Return pairs about mugs of one colour; a share of the queries names it."""
    rng = random.Random(seed)
    pairs = []
    for number in range(n):
        colour = rng.choice(list(COLOURS))
        leaks = rng.random() < leak
        pairs.append(
            Pair(
                id=str(number),
                query=rng.choice(FORMS).format(_named(colour) if leaks else THIS),
                images=(mug(colour, rng.randrange(10**6)),),
                meta={"leaks": leaks, "colour": colour},
            )
        )
    return PairSet(f"mugs {seed}", lambda: iter(pairs))


def mug(colour: str, number: int) -> MadeImage:
    """Return an image of a mug that fills it, in some shade of a colour."""

    def make() -> bytes:
        rng = random.Random(number)
        shade = tuple(part + rng.randint(-15, 15) for part in COLOURS[colour])
        out = io.BytesIO()
        Image.new("RGB", (40, 30), shade).save(out, "PNG")
        return out.getvalue()

    return MadeImage(f"{colour}-{number}.png", make)


def _named(colour: str) -> str:
    return f"the {colour} mug"


def save_tokenizer(texts: Sequence[str], folder: Path) -> Any:
    """Make a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = [f"<{name}>" for name in SPECIAL]
    words = dict.fromkeys(w for t in texts for w in re.findall(r"\w+|[^\w\s]+", t.lower()))
    vocab = {word: place for place, word in enumerate([*special, *words])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[("<bos>", vocab["<bos>"]), ("<eos>", vocab["<eos>"])],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        **{f"{name}_token": f"<{name}>" for name in SPECIAL},
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_siglip(folder: Path) -> None:
    """Write a SigLIP that has learnt nothing."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    torch.manual_seed(0)
    tokenizer = save_tokenizer(QUESTIONS, folder)
    SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": CONTEXT}
    image = TOWER | {"image_size": SIDE, "patch_size": SIDE // 2}
    SiglipModel(SiglipConfig(text_config=text, vision_config=image)).save_pretrained(folder)


def save_clip(folder: Path) -> None:
    """Write a CLIP that has learnt which mugs go with which words, by its own loss."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(0)
    rng = random.Random(0)
    silent = [*(form.format(THIS) for form in FORMS), *QUESTIONS[::2]]
    naming = [form.format(_named(colour)) for form in FORMS for colour in COLOURS]
    tokenizer = save_tokenizer([*naming, *silent, *QUESTIONS], folder)
    size = {"height": SIDE, "width": SIDE}
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size)
    processor.save_pretrained(folder)
    text = TOWER | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": CONTEXT,
        **{f"{name}_token_id": SPECIAL.index(name) for name in ("pad", "bos", "eos")},
    }
    image = TOWER | {"image_size": SIDE, "patch_size": SIDE // 2}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        forms = rng.choices(FORMS, k=len(COLOURS))
        texts = [
            rng.choice(silent) if rng.random() < SILENT else form.format(_named(colour))
            for form, colour in zip(forms, COLOURS, strict=True)
        ]
        shown = [_decoded(mug(colour, rng.randrange(10**6))) for colour in COLOURS]
        given = tokenizer(texts, padding=True, return_tensors="pt")
        pixels = processor(images=shown, return_tensors="pt")
        names = ("input_ids", "attention_mask")
        inputs = {name: given[name] for name in names}
        model(**inputs, **pixels, return_loss=True).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)


def _decoded(image: MadeImage) -> Image.Image:
    return Image.open(io.BytesIO(image.read().data))
