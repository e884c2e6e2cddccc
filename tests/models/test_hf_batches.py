"""Models in this process answer together what they answer alone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("torch")

from tests.evaluation.runs import labels, rows, run
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.lab import draw
from vlsbench.lab.vlm import make_model
from vlsbench.models import (
    CallFailed,
    Connections,
    FatalCall,
    Finish,
    HfChat,
    Loading,
    LocalModel,
    Params,
    Reply,
    Request,
)
from vlsbench.pairs import ImageData, Shrink

THINGS = ("toaster", "grape", "teddy bear", "candle")
WORDS = ["what", "is", "this", "and", "may", "a", "toddler", "play", "with", "it", "near"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"), seed=1)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL whose tower looks through windows and whose heads share keys and values."""
    from benchmarks.align_shapes import SHAPES, write

    folder = tmp_path_factory.mktemp("qwen")
    write(folder, SHAPES["tiny-qwen2.5-vl"])
    return folder


def requests(count: int, params: Params, sides: Sequence[int | None] = (None,)) -> list[Request]:
    """Questions of 1 to 12 words about images, some shared, of several sizes."""
    made = []
    for place in range(count):
        image = ImageData.of(draw(THINGS[place % 4], str(place // 8)), THINGS[place % 4])
        image = Shrink(sides[place % len(sides)]).apply(image)
        text = " ".join(WORDS[: 1 + place % len(WORDS)])
        made.append(Request(text, (image,) if place % 5 else (), params=params, sample=place))
    return made


def answers(model: HfChat, asked: Sequence[Request]) -> list[Reply | BaseException]:
    async def ask() -> list[Reply | BaseException]:
        return await asyncio.gather(*map(model.ask, asked), return_exceptions=True)

    return asyncio.run(ask())


def texts(model: HfChat, asked: Sequence[Request]) -> list[str]:
    replies = answers(model, asked)
    assert all(isinstance(reply, Reply) for reply in replies)
    return [reply.text for reply in replies if isinstance(reply, Reply)]


def watched(local: LocalModel, check: Callable[[Any], None]) -> HfChat:
    """A model that calls `check` with the token ids of every batch before it reads it."""

    def look(_: Any, __: Any, given: dict[str, Any]) -> None:
        if given["input_ids"].shape[1] > 1:
            check(given["input_ids"])

    local.model.register_forward_pre_hook(look, with_kwargs=True)
    return HfChat("hf/watched", local=local)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("model", ["folder", "qwen"])
def test_replies_are_the_same_at_batch_1_and_64(
    model: str, temperature: float, request: pytest.FixtureRequest
) -> None:
    spec = f"hf/{request.getfixturevalue(model)}"
    asked = requests(64, Params(8, temperature, seed=3), sides=(None, 24, 40))
    alone, together = (texts(HfChat(spec, Loading(batch_size=size)), asked) for size in (1, 64))
    assert together == alone
    assert len(set(alone)) > 8


async def test_a_question_that_is_ready_as_the_device_gives_up_waiting_is_answered(
    folder: Path,
) -> None:
    model = HfChat(f"hf/{folder}")
    first, second = requests(2, Params(2))
    await model.ask(first)
    await asyncio.sleep(0.005)  # now the device is idle, and waits for another question
    late = asyncio.create_task(model.ask(second))
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  # it is prepared, and the wait is over, in one turn of the loop
    assert (await asyncio.wait_for(late, 20)).finish is Finish.LENGTH


def test_labels_are_the_same_at_batch_1_and_64(folder: Path, tmp_path: Path) -> None:
    one, many = (
        run(
            "lab/leakless",
            tmp_path / str(size),
            model=f"hf/{folder}",
            judge="offline",
            limit=48,
            max_tokens=12,
            extra=(f"batch_size={size}",),
        )
        for size in (1, 64)
    )
    assert len(rows(one)) == 48
    assert labels(one) == labels(many)
    replies = [[row["reply"] for row in rows(done)] for done in (one, many)]
    assert replies[0] == replies[1]


@pytest.mark.slow
def test_a_replica_on_ray_says_the_same(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    asked: dict[str, Any] = {"model": f"hf/{folder}", "judge": "offline", "limit": 12}
    here = run("lab/leakless", tmp_path / "here", **asked, max_tokens=6)
    there = run("lab/leakless", tmp_path / "there", **asked, max_tokens=6, executor="ray", actors=1)
    replies = [[row["reply"] for row in rows(done)] for done in (here, there)]
    assert replies[0] == replies[1]


def test_questions_that_wait_are_one_batch(folder: Path) -> None:
    sizes: list[int] = []
    model = watched(LocalModel.load(str(folder)), lambda ids: sizes.append(len(ids)))
    texts(model, [Request("what is this", params=Params(4)) for _ in range(150)])
    assert sorted(sizes) == [22, 64, 64]


def test_batches_are_of_nearly_one_length(folder: Path) -> None:
    padding: list[int] = []
    local = LocalModel.load(str(folder))
    pad = local.processor.tokenizer.pad_token_id
    model = watched(local, lambda ids: padding.append(int((ids == pad).sum())))
    asked = [
        Request(" ".join(WORDS[:words]), params=Params(4))
        for words in (1, 12) * 64  # in turns
    ]
    texts(model, asked)
    assert padding == [0, 0]


def test_what_memory_does_not_hold_is_halved_and_remembered(folder: Path) -> None:
    refused: list[int] = []

    def small(ids: Any) -> None:
        if len(ids) > 9:
            refused.append(len(ids))
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory")

    model, asked = watched(LocalModel.load(str(folder)), small), requests(64, Params(4))
    expected = texts(HfChat(f"hf/{folder}"), asked)
    assert texts(model, asked) == expected
    seen = len(refused)
    assert seen
    assert texts(model, asked) == expected
    assert len(refused) == seen


def test_a_question_that_a_device_cannot_take_costs_no_other_its_answer(folder: Path) -> None:
    local, seen = LocalModel.load(str(folder)), []
    bad = local.processor.tokenizer.convert_tokens_to_ids("toddler")

    def picky(ids: Any) -> None:
        seen.append(len(ids))
        if (ids == bad).any():
            raise RuntimeError("index out of range")

    model = watched(local, picky)
    asked = [Request("what is this", params=Params(4)) for _ in range(31)]
    replies = answers(model, [*asked, Request("a toddler", params=Params(4))])
    assert [isinstance(reply, Reply) for reply in replies] == [True] * 31 + [False]
    assert isinstance(replies[-1], CallFailed)
    assert "index out of range" in replies[-1].reason
    assert len(seen) == 11  # the batch, and its halves down to one


def test_an_image_that_questions_share_is_prepared_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    prepared: list[int] = []
    plain = SiglipImageProcessorPil.preprocess

    def count(self: Any, images: Any, *arguments: Any, **options: Any) -> Any:
        prepared.append(1)
        return plain(self, images, *arguments, **options)

    monkeypatch.setattr(SiglipImageProcessorPil, "preprocess", count)
    image = ImageData.of(draw("toaster", "1"), "toaster")
    asked = [Request(" ".join(WORDS[:n]), (image,), params=Params(4)) for n in range(1, 12)]
    texts(HfChat(f"hf/{folder}"), asked)
    assert len(prepared) == 1


async def test_images_are_prepared_in_threads_while_the_device_is_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    busy, ahead, threads = threading.Event(), threading.Event(), list[str]()
    plain = SiglipImageProcessorPil.preprocess

    def count(self: Any, images: Any, *arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        if len(threads) == 4:
            ahead.set()
        return plain(self, images, *arguments, **options)

    def answer_the_first(ids: Any) -> None:
        busy.set()
        if not ahead.wait(20):
            raise RuntimeError("the other images wait for the device")

    monkeypatch.setattr(SiglipImageProcessorPil, "preprocess", count)
    model = watched(LocalModel.load(str(folder)), answer_the_first)
    images = (ImageData.of(draw(thing, "1"), thing) for thing in THINGS)
    first, *others = (Request("what is this", (image,), params=Params(4)) for image in images)
    answered = [asyncio.create_task(model.ask(first))]
    await asyncio.to_thread(busy.wait, 20)
    answered += [asyncio.create_task(model.ask(one)) for one in others]
    assert len(await asyncio.gather(*answered)) == 4
    assert threading.current_thread().name not in threads


def test_a_language_model_answers_texts_and_takes_no_images(tmp_path: Path) -> None:
    model = HfChat(f"hf/{language_model(tmp_path)}")
    image = ImageData.of(draw("toaster", "1"), "toaster")
    said, refused = answers(
        model,
        [Request("what is this", system="be brief", params=Params(4)), Request("what", (image,))],
    )
    assert isinstance(said, Reply)
    assert said.usage.output_tokens
    assert isinstance(refused, Reply)
    assert refused.finish is Finish.REJECTED
    assert "takes no images" in refused.detail


def test_what_a_template_does_not_take_is_told(tmp_path: Path) -> None:
    local = LocalModel.load(str(language_model(tmp_path)))
    local.processor.chat_template = (
        "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('no ' + m.role) }}"
        "{% endif %}<user> {{ m.content }} {% endfor %}<assistant>"
    )
    system, said = answers(
        HfChat("hf/users-only", local=local),
        [Request("what", system="be brief"), Request("what is this", said="a toaster")],
    )
    # A system prompt without a turn begins the question; a reply has no other place.
    assert isinstance(system, Reply)
    assert system.finish is not Finish.REJECTED
    assert isinstance(said, Reply)
    assert said.finish is Finish.REJECTED
    assert "the chat template of hf/users-only does not take this: no assistant" in said.detail


def test_a_question_that_is_longer_than_the_context_is_rejected(folder: Path) -> None:
    asked = [Request(" ".join(WORDS * times), params=Params(4)) for times in (1, 30)]
    short, long = answers(HfChat(f"hf/{folder}"), asked)
    assert isinstance(short, Reply)
    assert short.finish is Finish.LENGTH
    assert isinstance(long, Reply)
    assert (long.finish, long.text) == (Finish.REJECTED, "")
    assert "reads 256 tokens at most, and this has 33" in long.detail


def test_no_questions_have_no_answers(folder: Path) -> None:
    assert LocalModel.load(str(folder)).answer([], Params(4)) == []


def test_one_bad_image_costs_only_its_question(folder: Path) -> None:
    good = ImageData.of(draw("toaster", "1"), "toaster")
    broken = ImageData(good.data[:60], "image/png", None, "cut off")
    asked = [Request("what", images) for images in ((good,), (), (broken,), (good, good))]
    replies = answers(HfChat(f"hf/{folder}"), asked)
    assert all(isinstance(reply, Reply) for reply in replies)
    finishes = [reply.finish is Finish.REJECTED for reply in replies if isinstance(reply, Reply)]
    assert finishes == [False, False, True, False]


def language_model(folder: Path) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words: Any = PreTrainedTokenizerFast.from_pretrained(make_model(folder / "seeing", seed=1))
    words.chat_template = "{% for m in messages %}<user> {{ m.content }} {% endfor %}<assistant>"
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = LlamaConfig(
        vocab_size=len(words),
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=words.eos_token_id,
        bos_token_id=None,
        **sizes,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "reading")
    words.save_pretrained(folder / "reading")
    return folder / "reading"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_weights_are_of_the_type_asked_for(folder: Path, dtype: str) -> None:
    params = Params(4, extra=(f"dtype={dtype}",))
    model = Connections().open(f"hf/{folder}", extra=params.more)
    assert isinstance(model, HfChat)
    assert model.identity["dtype"] == dtype
    assert len(texts(model, requests(6, params))) == 6


def test_one_model_is_loaded_once_for_target_and_judge(folder: Path) -> None:
    connections = Connections()
    assert connections.open(f"hf/{folder}") is connections.open(f"hf/{folder}")
    other = connections.open(f"hf/{folder}", extra={"dtype": "float16"})
    assert other is not connections.open(f"hf/{folder}")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"dtype": "int3"}, "choose one of auto, bfloat16"),
        ({"batch_size": 0}, "must be at least 1, not 0"),
        ({"batch_size": "many"}, "must be a whole number"),
        ({"device_map": 3}, "must be text"),
    ],
)
def test_a_setting_that_is_none_is_one_clear_line(
    folder: Path, extra: dict[str, Any], said: str
) -> None:
    with pytest.raises(VlsbenchError, match=said):
        Connections().open(f"hf/{folder}", extra=extra)


def test_a_device_that_is_not_there_is_one_clear_line(folder: Path) -> None:
    with pytest.raises(FatalCall, match="hf/"):
        Connections().open(f"hf/{folder}", extra={"device_map": "cuda:77"})


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_four_bits_name_their_extra(folder: Path) -> None:
    with pytest.raises(MissingExtra, match=r"vlsbench\[4bit\]"):
        Connections().open(f"hf/{folder}", extra={"dtype": "4bit"})
