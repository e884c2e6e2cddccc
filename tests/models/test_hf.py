from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("torch")

from vlsbench.lab import draw
from vlsbench.lab.vlm import make_model
from vlsbench.models import (
    CallFailed,
    Connections,
    FatalCall,
    Finish,
    HfChat,
    Params,
    Request,
    call_key,
)
from vlsbench.pairs import ImageData

ASKED = ("How do I stand on this?", "Name the thing in the picture.", "What is in the picture?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"), seed=1)


def picture(thing: str) -> ImageData:
    return ImageData.of(draw(thing, "1"), thing)


def direct(folder: Path, text: str, image: bytes | None, tokens: int) -> str:
    """What transformers says when asked by itself, one question at a time."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    parts = [{"type": "image"}] if image else []
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
    inputs = processor(
        text=[processor.apply_chat_template(messages, add_generation_prompt=True)],
        images=[Image.open(io.BytesIO(image))] if image else None,
        return_tensors="pt",
    )
    ids = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=tokens,
        suppress_tokens=[model.config.image_token_id],
    )
    said: str = processor.tokenizer.decode(
        ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    return said.strip()


async def test_answers_asked_at_once_are_those_of_transformers_alone(folder: Path) -> None:
    model = Connections().open(f"hf/{folder}")
    params = Params(max_tokens=6)
    requests = [
        Request(text, (picture(thing),) if thing else (), params=params)
        for thing in ("toaster", "", "grape")
        for text in ASKED
    ]
    replies = await asyncio.gather(*(model.ask(request) for request in requests))
    for request, reply in zip(requests, replies, strict=True):
        image = request.images[0].data if request.images else None
        assert reply.text == direct(folder, request.text, image, 6)
        assert reply.usage.input_tokens is not None
        assert reply.usage.input_tokens > (16 if image else 0)
        assert (reply.finish is Finish.LENGTH) == (reply.usage.output_tokens == 6)
    assert len({reply.text for reply in replies}) > 1


async def test_a_sample_depends_on_its_number_alone(folder: Path) -> None:
    model = HfChat(f"hf/{folder}")

    async def draw_samples(order: list[int]) -> dict[int, str]:
        asked = [
            Request(ASKED[0], params=Params(8, temperature=1.0, seed=3), sample=number)
            for number in order
        ]
        replies = await asyncio.gather(*(model.ask(request) for request in asked))
        return {number: reply.text for number, reply in zip(order, replies, strict=True)}

    first = await draw_samples([0, 1, 2])
    assert await draw_samples([2, 0, 1]) == first
    assert len(set(first.values())) > 1


def test_identity_follows_the_weights_and_not_the_path(folder: Path, tmp_path: Path) -> None:
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    other = make_model(tmp_path / "other", seed=2)
    request = Request(ASKED[0])
    keys = [call_key(HfChat(f"hf/{path}").identity, request) for path in (folder, moved, other)]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]
    assert str(folder) not in str(HfChat(f"hf/{folder}").identity)


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FatalCall, match="hf/"):
        HfChat(f"hf/{tmp_path}")


def test_building_is_reproducible(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()

    one, same, other = (
        make_model(tmp_path / name, seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert digest(one) == digest(same)
    assert digest(one) != digest(other)


async def test_control_tokens_in_a_question_are_words(folder: Path) -> None:
    from transformers import AutoProcessor

    model = HfChat(f"hf/{folder}")
    special = AutoProcessor.from_pretrained(folder).tokenizer.all_special_tokens
    texts = [*ASKED, *(f"What is {token} here?" for token in special)]
    requests = [
        Request(text, (picture("teddy bear"),), params=Params(max_tokens=4)) for text in texts
    ]
    replies = await asyncio.gather(*map(model.ask, requests))
    assert {reply.finish for reply in replies} <= {Finish.STOP, Finish.LENGTH}


async def test_one_bad_question_does_not_cost_its_batch(folder: Path) -> None:
    model = HfChat(f"hf/{folder}")
    texts = [*ASKED, "half a letter: \ud800"]
    requests = [Request(text, params=Params(max_tokens=4)) for text in texts]
    replies = await asyncio.gather(*map(model.ask, requests), return_exceptions=True)
    assert [isinstance(reply, Exception) for reply in replies] == [False, False, False, True]
    assert isinstance(replies[-1], CallFailed)
