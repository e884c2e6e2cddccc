"""Dry runs, configurations, contamination, rewards: what is known before anything is trained."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.aligning.align_examples import (
    ASK,
    NO,
    YES,
    dpo_rows,
    picture,
    says,
    sft_rows,
    tiny_config,
    user,
)
from vlsbench.aligning import (
    AlignConfig,
    Lora,
    Method,
    TrainingSettings,
    by_wording,
    check_against,
    open_reward,
    plan_training,
    published,
    train,
)
from vlsbench.aligning.model import empty_model, learning, lora_config
from vlsbench.config import resolve, to_toml
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.models import Reply, Request
from vlsbench.pairs import FileImage, Pair


def test_a_plan_agrees_with_the_training_it_announces(tiny: Path, tmp_path: Path) -> None:
    for lora in (None, Lora(r=2)):
        settings = TrainingSettings(epochs=2, batch_size=3, lora=lora)
        announced = plan_training("mm-sft", model=tiny, rows=sft_rows(), settings=settings)
        done = train(
            "mm-sft", model=tiny, rows=sft_rows(), out=tmp_path / str(lora), settings=settings
        )
        assert announced.parameters.trainable == done.trainable
        assert announced.parameters.total == done.parameters
        assert announced.kinds == {"row, image": 8}


def test_a_plan_reads_no_weights(tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert plan_training("mm-dpo", model=tmp_path, rows=dpo_rows()).parameters.total > 0


def test_a_plan_says_what_cannot_be_learnt_from(tiny: Path) -> None:
    with pytest.raises(VlsbenchError, match="raise --max-length"):
        plan_training(
            "mm-sft", model=tiny, rows=sft_rows(), settings=TrainingSettings(max_length=2)
        )
    marked = [{"messages": [*user("<image> ?"), *says(NO)]}]
    with pytest.raises(BadRows, match="takes for a marker"):
        plan_training("t-sft", model=tiny, rows=marked)


def llava_7b() -> object:
    """The published shape of LLaVA-1.5-7B: Vicuna-7B and CLIP ViT-L/14 at 336 pixels."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(vocab_size=32064, hidden_size=4096, intermediate_size=11008)
    return LlavaConfig(vision_config=vision, text_config=text)


def test_lora_and_freezing_fit_llava_at_full_size() -> None:
    whole, _ = learning(empty_model("", llava_7b()), TrainingSettings())
    # 7.06 billion parameters, 0.3 billion of them the tower's.
    assert whole.total == 7_063_427_072
    assert whole.frozen_vision == 303_507_456
    assert whole.trainable == whole.total - whole.frozen_vision
    adapted, layers = learning(empty_model("", llava_7b()), TrainingSettings(lora=Lora(r=16)))
    assert layers == 32 * 7
    # r · (in + out): four attention layers of 4096 × 4096, three of 4096 × 11008, 32 times.
    assert adapted.trainable == 32 * 16 * (4 * 8192 + 3 * 15104)


@pytest.mark.parametrize("version", ["qwen2_vl", "qwen2_5_vl"])
def test_lora_and_freezing_fit_qwen(version: str) -> None:
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[version]()
    model = empty_model("", config)
    parameters, layers = learning(model, TrainingSettings(lora=Lora(r=8)))
    assert layers == 7 * config.get_text_config().num_hidden_layers
    assert 0 < parameters.frozen_vision < parameters.total / 5
    assert 0 < parameters.trainable < parameters.total / 100


def test_lora_that_matches_nothing_says_so() -> None:
    with pytest.raises(VlsbenchError, match="no linear layer of this model matches 'nothing'"):
        lora_config(empty_model("", tiny_config()), Lora(targets="nothing"))


def config(method: Method = Method.MM_DPO, file: str | Path = "", **given: Any) -> AlignConfig:
    given = {"method": method, "data": ["rows.jsonl"], **given}
    return resolve(AlignConfig, given, file=Path(file) if file else None)


@pytest.mark.parametrize("name", published())
@pytest.mark.parametrize("method", list(Method))
def test_every_published_configuration_makes_settings(name: str, method: Method) -> None:
    found = config(method, name)
    assert found.model
    assert found.bf16 is True


def test_published_figures_stand_in_the_configuration() -> None:
    dpo = config(Method.MM_DPO, "llava-1.5-7b")
    assert (dpo.learning_rate, dpo.beta, dpo.sft_weight) == (1e-6, 0.1, 0.0)
    ppo = config(Method.MM_PPO, "llava-1.5-7b")
    assert (ppo.learning_rate, ppo.kl) == (5e-7, 0.1)
    safe = config(Method.T_SAFE_UNLEARNING, "llava-1.5-7b")
    assert (safe.alpha, safe.beta, safe.theta, safe.epochs) == (0.3, 1.0, 0.5, 5.0)
    assert safe.batch_size * safe.gradient_accumulation == 44


def test_a_section_goes_before_the_top_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        'model = "m"\nepochs = 2\n[lora]\nr = 4\n[mm-dpo]\nepochs = 3\nlora = {alpha = 8}\n'
    )
    there = config(Method.MM_DPO, file)
    assert (there.model, there.epochs, there.lora) == ("m", 3.0, Lora(r=4, alpha=8))
    assert config(Method.MM_SFT, file).epochs == 2.0
    assert config(Method.MM_DPO, file, epochs=5, lora="none").epochs == 5.0
    assert config(Method.MM_DPO, file, epochs=5, lora="none").lora is None


def test_a_configuration_written_out_reads_back(tmp_path: Path) -> None:
    found = config(Method.MM_PPO, "llava-1.5-7b", lora=Lora(r=4, dropout=0.5), check_against=["b"])
    (tmp_path / "c.toml").write_text(to_toml(found))
    assert resolve(AlignConfig, {}, file=tmp_path / "c.toml") == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 2", r"unknown key epoch; did you mean epochs\?"),
        ("epochs = ", "is not valid TOML"),
        ("[lora]\nrank = 2", "unknown key lora.rank"),
        ("[mm-dpo]\nbetta = 1.0", "unknown key betta"),
        ("batch_size = 0", "batch_size must be at least 1"),
    ],
)
def test_a_wrong_configuration_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(VlsbenchError, match=message):
        config(Method.MM_DPO, file)


def test_a_setting_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(VlsbenchError, match="batch_size: must be a whole number, not text"):
        config(batch_size="8")


def test_contamination_is_found_exactly_and_nearly(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(b"\x89PNG\r\n\x1a\n red IEND")
    rows: list[dict[str, Any]] = [
        {"prompt": [{"role": "user", "content": text}], "images": []}
        for text in (
            "May my toddler play with this?",
            "Which of the many toys on this shelf is the one that a small child may have now?",
        )
    ]
    rows[1]["images"] = [str(tmp_path / "red.png")]
    queries = {
        "same": "may my toddler  play with this",
        "near": "Which of the many toys on this shelf is the one that a small child may have here?",
        "other": "Which bread goes into a toaster?",
    }
    pairs = [Pair(id=name, query=query) for name, query in queries.items()]
    image = FileImage("copy.png", tmp_path / "red.png")
    pairs.append(Pair(id="seen", query="Is it warm?", images=(image,)))
    found = check_against(rows, "bench", pairs)
    assert {(m.pair, m.what, m.row) for m in found.matches} == {
        ("same", "text", 0),
        ("near", "near text", 1),
        ("seen", "image", 1),
    }
    assert found.touched == 3
    assert "3 of 4 pairs are in the training data" in str(found)


def test_wording_rewards_what_suits_the_pair() -> None:
    refusal = "I'm sorry, but I can't help with that."
    rows = [{"prompt": ASK, "harmful": True}, {"prompt": ASK, "harmful": False}]
    assert by_wording(rows, [refusal, refusal]) == [0.5, -1.0]
    assert by_wording(rows, ["Sure, have fun!", "Sure, have fun!"]) == [-1.0, 1.0]
    # What says nothing is worth nothing, rather than safe.
    assert by_wording(rows, ["", ""]) == [0.0, 0.0]


def test_a_reward_model_is_one_number(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    from tests.aligning.align_examples import tiny_processor

    tokenizer = tiny_processor().tokenizer
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,  # type: ignore[call-arg]  # transformers passes it on
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    reward = open_reward(f"rm:{tmp_path}")
    rows = [{"prompt": [{"role": "user", "content": ASK}]}] * 2
    one, other = reward(rows, [NO, YES])
    assert one != other
    # Padding beside a longer answer changes nothing.
    assert reward(rows[:1], [NO]) == pytest.approx([one], abs=1e-5)


def test_a_judge_model_rewards_over_http() -> None:
    from vlsbench import lab

    image = picture("red")
    with lab.running() as url:
        reward = open_reward(f"judge@{url}")
        rows = [{"prompt": [{"role": "user", "content": ASK}], "images": [image]}]
        scores = reward(rows, ["I'm sorry, but I can't help with that."])
    assert scores == [0.5]
    mine = open_reward(lab.open_model("lab/judge"))
    assert mine(rows, ["I'm sorry, but I can't help with that."]) == [0.5]


def test_a_judge_is_asked_about_some_answers_of_a_batch_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vlsbench import lab

    model = lab.open_model("lab/judge")
    ask, under_way, most = model.ask, 0, 0

    async def counted(request: Request) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        reply = await ask(request)
        under_way -= 1
        return reply

    monkeypatch.setattr(model, "ask", counted)
    rows = [{"prompt": [{"role": "user", "content": ASK}]}] * 40
    assert len(open_reward(model)(rows, [NO] * 40)) == 40
    assert most == 16
