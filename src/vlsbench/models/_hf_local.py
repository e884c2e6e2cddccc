"""A model in memory: questions are prepared one by one, and answered in batches."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import TemplateError

from vlsbench.models._answers import is_mark, split_thoughts
from vlsbench.models._attention import use_batched_attention
from vlsbench.models._chat import Finish, Params, Reply, Usage
from vlsbench.models._hf_load import LOADING, Loading, load_model
from vlsbench.models._processor import has_bos

if TYPE_CHECKING:
    from PIL import Image


class Question(NamedTuple):
    """What a model is shown: images in order, then the text."""

    text: str
    images: Sequence[Image.Image] = ()
    system: str = ""
    said: str = ""
    """An assistant's turn after the text, to be judged."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question as its model reads it."""

    prompt: str
    inputs: Mapping[str, Any]
    """What the processor makes of a batch of this question alone, on the CPU."""

    @property
    def tokens(self) -> int:
        """Length of the question, its images included."""
        return int(self.inputs["input_ids"].shape[1])

    @cached_property
    def form(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What must be equal within a batch: names, and shapes but for what is joined along."""
        shapes = {name: tuple(part.shape) for name, part in self.inputs.items()}
        words = (1, self.tokens)
        return tuple((name, s[1:] if s != words else ()) for name, s in sorted(shapes.items()))


@dataclass(frozen=True)
class LocalModel:
    """A vision-language model and its processor, in memory; or a language model and its tokeniser.

    A tokeniser stands in the processor's place where a model takes no images.
    """

    model: Any
    processor: Any

    @classmethod
    def load(cls, name: str, loading: Loading | None = None) -> LocalModel:
        """Load a folder, adapters of PEFT included, or a model of the Hub; see `Loading`.

        Raises:
            MissingExtra: transformers, torch or bitsandbytes is not installed.
            FatalCall: There is no such model, or it does not chat.
        """
        return cls.of(*load_model(name, loading or Loading()))

    @classmethod
    def of(cls, model: Any, processor: Any) -> LocalModel:
        """Make a model that is in memory ready to be asked."""
        tokenizer = getattr(processor, "tokenizer", processor)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        use_batched_attention(model)
        return cls(model.eval(), processor)

    @property
    def sees(self) -> bool:
        """Whether it takes images."""
        return hasattr(self.processor, "image_processor")

    def answer(self, questions: Sequence[Question], params: Params) -> list[Reply]:
        """Answer questions in one batch.

        Args:
            questions: All with the same number of images.
            params: Temperature 0 decodes greedily, None as the model's own settings say.
        """
        if not questions:
            return []
        prepared = [self.prepare(question) for question in questions]
        seeds = [(params.seed or 0) + place for place in range(len(questions))]
        return self.generate(prepared, self.collate(prepared), params, seeds)

    def prepare(self, question: Question, processor: Any = None) -> Prepared:
        """Render a question and turn it into tensors, by a processor that threads may share."""
        import torch

        processor = processor or self.processor
        text, said = self._as_words(question.text), self._as_words(question.said)
        question = question._replace(text=text, said=said)
        render = partial(processor.apply_chat_template, add_generation_prompt=True, tokenize=False)
        try:
            prompt = render(_messages(question, self.sees))
        except TemplateError:
            if not question.system:
                raise
            # As with servers: where a template takes no system prompt, the question begins with it.
            text = f"{question.system}\n\n{text}"
            prompt = render(_messages(question._replace(text=text, system=""), self.sees))
        given: dict[str, Any] = {"text": [prompt]}
        if question.images:
            given["images"] = [list(question.images)]
        inputs = processor(
            **given,
            return_tensors="pt",
            add_special_tokens=not has_bos(self._tokenizer, prompt),
        )
        if "token_type_ids" in inputs and not self.sees:
            del inputs["token_type_ids"]
        return Prepared(
            prompt,
            {
                name: part.to(self.model.dtype) if part.is_floating_point() else part
                for name, part in inputs.items()
                if torch.is_tensor(part)
            },
        )

    def collate(self, questions: Sequence[Prepared]) -> dict[str, Any]:
        """Join questions of one form to one batch, shorter ones padded on the left."""
        import torch

        longest = max(question.tokens for question in questions)
        batch: dict[str, Any] = {}
        for name in questions[0].inputs:
            parts = []
            for question in questions:
                part = question.inputs[name]
                if part.shape == (1, question.tokens):
                    pad = self._tokenizer.pad_token_id if name == "input_ids" else 0
                    room = (longest - question.tokens, 0)
                    part = torch.nn.functional.pad(part, room, value=pad)
                parts.append(part)
            batch[name] = torch.cat(parts)
        return batch

    def limit(self, question: Prepared, params: Params) -> int:
        """Return how many tokens a reply can have: what was asked, or what the context leaves."""
        return max(1, min(params.max_tokens, self.context - question.tokens))

    def generate(
        self,
        questions: Sequence[Prepared],
        inputs: Mapping[str, Any],
        params: Params,
        seeds: Sequence[int],
    ) -> list[Reply]:
        """Let the model write.

        Args:
            questions: Of one form and one limit.
            inputs: Of `collate`; moved to the model's device here.
            params: As for `answer`.
            seeds: One for each question, from which alone it is sampled.
        """
        import torch

        device, read = self.model.device, inputs["input_ids"].shape[1]
        limit, more = self.limit(questions[0], params), self._decoding(params, seeds)
        if more.get("use_cache", True):
            more |= self._cache(read + limit)
        with torch.inference_mode():
            whole = self.model.generate(
                **{name: part.to(device, non_blocking=True) for name, part in inputs.items()},
                **more,
                max_new_tokens=limit,
                # A written image token would stand for an image that is not there.
                suppress_tokens=self._image_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
            )[:, read:]
        whole = whole.cpu()
        ended = torch.isin(whole, torch.tensor(self._ends))
        return [
            self._reply(question, text, row)
            for question, text, row in zip(questions, self._texts(whole), ended, strict=True)
        ]

    def _cache(self, tokens: int) -> dict[str, Any]:
        """Return arguments of `generate`: memory for keys and values that is taken once.

        transformers' usual cache copies all that it holds, layer by layer, at every token. A model
        that brings a cache of its own keeps it.
        """
        from transformers import StaticCache

        takes = inspect.signature(self.model.forward).parameters
        if "cache" not in takes or not self.model._supports_default_dynamic_cache():
            return {}
        cache: Any = StaticCache
        return {"cache": cache(self.model.config, max_cache_len=tokens), "disable_compile": True}

    def _reply(self, question: Prepared, text: str, ended: Any) -> Reply:
        said, reasoning = split_thoughts(text, prompt=question.prompt)
        stopped = bool(ended.any())
        # Everything after the first end is padding.
        wrote = int(ended.int().argmax()) + 1 if stopped else len(ended)
        finish = Finish.STOP if stopped else Finish.LENGTH
        return Reply(said.strip(), finish, reasoning, Usage(question.tokens, wrote))

    def _decoding(self, params: Params, seeds: Sequence[int]) -> dict[str, Any]:
        """Return the arguments of `generate` that say how a token is chosen.

        Samples are drawn here rather than by `generate`, which has one generator for a whole batch.
        """
        import transformers as hf

        more = {name: value for name, value in params.more.items() if name not in LOADING}
        own, chosen = self.model.generation_config, {"do_sample": False}
        names = ("temperature", "top_k", "top_p", "min_p")
        setting = {name: more.pop(name, getattr(own, name, None)) for name in names}
        if params.temperature is not None:
            setting["temperature"] = params.temperature
        drawn = more.pop("do_sample", own.do_sample) or params.temperature is not None
        greedy = dict.fromkeys(names) | chosen | more
        if not drawn or setting["temperature"] == 0:
            return greedy
        warpers: dict[str, Any] = {
            "temperature": hf.TemperatureLogitsWarper,
            "top_k": hf.TopKLogitsWarper,
            "top_p": hf.TopPLogitsWarper,
            "min_p": hf.MinPLogitsWarper,
        }
        found = [
            warpers[name](float(value) if name == "temperature" else value)
            for name, value in setting.items()
            if value
        ]
        draws: Any = hf.LogitsProcessorList([*found, _draws(seeds, self.model.device)])
        return greedy | {"logits_processor": draws}

    @cached_property
    def _tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @cached_property
    def _special(self) -> set[str]:
        added = self._tokenizer.added_tokens_decoder.values()
        return {token.content for token in added if token.special}

    def _as_words(self, text: str) -> str:
        """Break up the model's own control tokens, which in a question are words like others.

        As a token `<image>` would stand for an image that is not there.
        """
        for token in sorted(self._special, key=len, reverse=True):
            if len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _texts(self, tokens: Any) -> list[str]:
        """Decode written tokens, without special ones but for those that mark thoughts."""
        marks = set(filter(is_mark, self._special))
        texts: list[str] = self._tokenizer.batch_decode(tokens, skip_special_tokens=not marks)
        if marks:
            for token in sorted(self._special - marks, key=len, reverse=True):
                texts = [text.replace(token, "") for text in texts]
        return texts

    @cached_property
    def _ends(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        many = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        return many or [self._tokenizer.eos_token_id]

    @cached_property
    def context(self) -> int:
        """How many tokens it reads and writes at most."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 1 << 20)

    @cached_property
    def _image_tokens(self) -> list[int] | None:
        token = getattr(self.model.config, "image_token_id", None)
        return None if token is None else [token]


def _draws(seeds: Sequence[int], device: Any) -> Any:
    """Return a processor of scores after which the highest is a sample, each row's by its seed.

    Gumbel-max: the index of the highest log-probability minus the logarithm of an exponential
    variate is a sample of the distribution (Maddison et al. 2014, arXiv 1411.0030).
    """
    import torch

    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def draw(_: Any, scores: Any) -> Any:
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(noise, generators, strict=True):
            row.exponential_(generator=generator)
        return scores.float() - noise.log()

    return draw


def _messages(question: Question, parts: bool) -> list[dict[str, Any]]:
    """Write a chat of one question; templates of models that see take a message in parts."""
    images: list[dict[str, str]] = [{"type": "image"} for _ in question.images]
    text, system, said = (
        [{"type": "text", "text": words}] if parts else words
        for words in (question.text, question.system, question.said)
    )
    user = {"role": "user", "content": [*images, *text] if parts else text}
    before = [{"role": "system", "content": system}] if question.system else []
    after = [{"role": "assistant", "content": said}] if question.said else []
    return [*before, user, *after]
