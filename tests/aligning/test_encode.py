"""What a trainer sees is what the model sees when it is asked."""

from __future__ import annotations

import pytest
import torch

from tests.aligning.align_examples import (
    ASK,
    NO,
    TEMPLATE,
    dpo_rows,
    prompt_rows,
    says,
    sft_rows,
    tiny_processor,
    user,
)
from vlsbench.aligning.encode import IGNORED, Collator, Encoder, PreferenceCollator, PromptCollator
from vlsbench.errors import VlsbenchError


def test_a_prompt_is_tokenised_as_for_inference() -> None:
    processor = tiny_processor()
    row = prompt_rows()[0]
    content = [{"type": "image", "image": row["images"][0]}, {"type": "text", "text": ASK}]
    asked = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    encoded = Encoder(processor, [row])[0]
    assert encoded.prompt == asked["input_ids"][0].tolist()
    assert torch.equal(encoded.pixels["pixel_values"], asked["pixel_values"])


@pytest.mark.parametrize("ends", [True, False])
def test_every_answer_ends_whether_or_not_the_template_ends_it(ends: bool) -> None:
    template = (
        TEMPLATE
        if ends
        else TEMPLATE.replace("{%- if m.role == 'assistant' -%}</s>{%- endif -%}", "")
    )
    processor = tiny_processor(template)
    encoded = Encoder(processor, sft_rows(False)[:1])[0]
    assert processor.tokenizer.decode(encoded.answers[0]).replace(" ", "") == f"{NO}</s>".replace(
        " ", ""
    )
    assert encoded.answers[0].count(processor.tokenizer.eos_token_id) == 1


def test_only_the_last_answer_is_learnt() -> None:
    processor = tiny_processor()
    row = {"messages": user("what is this ?") + says("a knife") + user(ASK) + says(NO)}
    batch = Collator(Encoder(processor, [row]))([{"row": 0}])
    learnt = [token for token in batch["labels"][0].tolist() if token != IGNORED]
    assert processor.tokenizer.decode(learnt[:-1]).replace(" ", "") == NO.replace(" ", "")


def test_mixed_rows_are_padded_together() -> None:
    encoder = Encoder(tiny_processor(), [sft_rows()[0], sft_rows(False)[0]])
    batch = Collator(encoder)([{"row": 0}, {"row": 1}])
    assert batch["pixel_values"].shape[0] == 1
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape
    lengths = batch["attention_mask"].sum(1).tolist()
    # The picture's four tokens.
    assert lengths[0] - lengths[1] == 4
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()


def test_preferences_are_all_chosen_then_all_rejected() -> None:
    encoder = Encoder(tiny_processor(), dpo_rows()[:2])
    batch = PreferenceCollator(encoder)([{"row": 0}, {"row": 1}])
    answers = [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]
    expected = [
        encoder[0].answers[0],
        encoder[1].answers[0],
        encoder[0].answers[1],
        encoder[1].answers[1],
    ]
    assert answers == expected
    assert batch["pixel_values"].shape[0] == 4


def test_prompts_are_padded_on_the_left() -> None:
    rows = [{"prompt": user("what is this ?")}, {"prompt": user(ASK)}]
    batch = PromptCollator(Encoder(tiny_processor(), rows))([{"row": 1}, {"row": 0}])
    assert batch["row"].tolist() == [1, 0]
    assert batch["attention_mask"][:, -1].tolist() == [1, 1]
    assert batch["attention_mask"][1, 0] == 0


def test_answers_are_cut_and_prompts_never() -> None:
    rows = sft_rows(False)[:1]
    prompt = len(Encoder(tiny_processor(), rows)[0].prompt)
    cut = Encoder(tiny_processor(), rows, max_length=prompt + 2)[0]
    assert (len(cut.prompt), len(cut.answers[0])) == (prompt, 2)
    with pytest.raises(VlsbenchError, match=f"row 0: its prompt alone takes {prompt} tokens"):
        Encoder(tiny_processor(), rows, max_length=prompt)[0]


def test_a_broken_picture_names_itself() -> None:
    with pytest.raises(VlsbenchError, match="image bytes is not an image"):
        Encoder(tiny_processor(), [{**sft_rows(False)[0], "images": [b"no picture"]}])[0]
