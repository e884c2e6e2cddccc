"""Training and evaluation feed the same token ids, whatever a model's chat template writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tests.aligning.align_examples import WORDS, picture, says, tiny_config, user
from vlsbench.aligning.encode import Encoder
from vlsbench.errors import VlsbenchError
from vlsbench.models import HfChat, Params, Request
from vlsbench.pairs import ImageData

TURNS = {
    # The forms of five families: who writes the first token, where the image stands, how a turn
    # begins and ends.
    "LLaVA-1.5": ("", "user {image}{text} ", "assistant {text} </s>", "assistant"),
    "Qwen2-VL": ("<s1> user be kind <e1>", "<s1> user {image}{text} <e1>",
                 "<s1> assistant {text} </s>", "<s1> assistant"),
    "Llama-3.2-Vision": ("{bos}", "<s1> user <e1> {image}{text} </s>",
                         "<s1> assistant <e1> {text} </s>", "<s1> assistant <e1> "),
    "Gemma-3": ("{bos}", "<s1> user {image}{text} <e1>", "<s1> model {text} </s>", "<s1> model "),
    "Idefics": ("{bos}", "user :{image}{text} <e1>", "assistant : {text} </s>", "assistant :"),
}  # fmt: skip
QUESTION, ANSWER = "may my toddler play with this ?", "no , it is hot"


def template(name: str) -> str:
    first, asked, said, begin = (part.replace("{bos}", "{{ bos_token }}") for part in TURNS[name])

    def turn(form: str) -> str:
        image = "{%- for p in m.content if p.type == 'image' -%}<image>{%- endfor -%}"
        text = "{%- for p in m.content if p.type == 'text' -%}{{ p.text }}{%- endfor -%}"
        before, _, after = form.partition("{text}")
        before = before.replace("{image}", f"' }}}}{image}{{{{ ' ")
        return f"{{{{ '{before}' }}}}{text}{{{{ '{after}' }}}}"

    return (
        f"{first}{{%- for m in messages -%}}{{%- if m.role == 'user' -%}}{turn(asked)}"
        f"{{%- else -%}}{turn(said)}{{%- endif -%}}{{%- endfor -%}}"
        f"{{%- if add_generation_prompt -%}}{{{{ '{begin}' }}}}{{%- endif -%}}"
    )


def processor(name: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    special = ["<image>", "<s1>", "<e1>", "<pad>", "</s>", "<unk>", "<bos>"]
    known = [*special, *WORDS, "user", "assistant", "model", ":", "be", "kind"]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys(known))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", special.index("<bos>"))]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<bos>",
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=special[:3],
        padding_side="left",
    )
    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 16, "width": 16}),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="full",
        image_token="<image>",
        chat_template=template(name),
    )


@pytest.mark.parametrize("name", TURNS)
async def test_a_model_is_asked_as_it_was_taught(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlavaForConditionalGeneration

    taught = processor(name)
    config = tiny_config()
    config.text_config.vocab_size = len(taught.tokenizer)
    LlavaForConditionalGeneration(config).save_pretrained(tmp_path)
    taught.save_pretrained(tmp_path)
    fed: list[list[int]] = []
    generate = LlavaForConditionalGeneration.generate

    def watched(self: Any, **options: Any) -> Any:
        fed.extend(options["input_ids"].tolist())
        return generate(self, **options)

    monkeypatch.setattr(LlavaForConditionalGeneration, "generate", watched)
    row = {"messages": user(QUESTION) + says(ANSWER), "images": [picture("red")]}
    encoded = Encoder(taught, [row])[0]
    file = io.BytesIO()
    picture("red").save(file, "PNG")
    image = ImageData.of(file.getvalue(), "red.png")
    await HfChat(f"hf/{tmp_path}").ask(Request(QUESTION, (image,), params=Params(4)))
    beginning = taught.tokenizer.bos_token_id
    assert fed == [encoded.prompt]
    assert encoded.prompt.count(beginning) == 1
    learnt = taught.tokenizer.decode(encoded.answers[0]).replace(" ", "")
    assert learnt == f"{ANSWER}</s>".replace(" ", "")


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize(
    ("begin", "first"),
    [("<s1> assistant square square ", ""), ("<s1> assistant", "{{ messages[-1].role }}")],
    ids=["the prompt adds an empty thought", "the start depends on who speaks last"],
)
def test_a_template_that_moves_the_prompt_is_refused(begin: str, first: str, images: bool) -> None:
    moving = processor("Qwen2-VL")
    moving.chat_template = first + moving.chat_template.replace("<s1> assistant'", f"{begin}'")
    row = {"messages": user(QUESTION) + says(ANSWER)}
    if images:
        row["images"] = [picture("red")]
    with pytest.raises(VlsbenchError, match=r"row 0: with its answer .* template renders"):
        Encoder(moving, [row])[0]
