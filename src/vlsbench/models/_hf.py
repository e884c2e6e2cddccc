"""Models in this process: `hf/PATH` or `hf/ORG/NAME`, any that transformers takes images with.

Questions that come while others are being answered wait and are answered together, in batches of
one number of images and one set of parameters. Needs the extra `align`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsbench.errors import MissingExtra
from vlsbench.files import file_sha256
from vlsbench.models._chat import (
    CallFailed,
    FatalCall,
    Finish,
    Params,
    Reply,
    Request,
    Usage,
)
from vlsbench.models._processor import has_bos, load_processor, no_folder
from vlsbench.models._thoughts import is_mark, split_thoughts
from vlsbench.pairs import ImageError, decode
from vlsbench.text import first_line

if TYPE_CHECKING:
    from PIL import Image

PREFIX = "hf/"
BATCH = 32
"""Questions answered together, at most."""
GATHER_S = 0.01
"""How long the first question of a batch waits for company."""
DIGESTED = (".safetensors", ".bin", ".json", ".jinja", ".model", ".txt")
"""Files of a model's folder that could change an answer."""
NOT_DIGESTED = ("align.json", "trainer_state.json")
HUB_S = 10.0
"""How long the Hub is asked whether it has a model."""


class Question(NamedTuple):
    """What a model is shown: images in order, then the text."""

    text: str
    images: Sequence[Image.Image] = ()
    system: str = ""
    said: str = ""
    """An assistant's turn after the text, to be judged."""


@dataclass(frozen=True)
class LocalModel:
    """A vision-language model and its processor, in memory."""

    model: Any
    processor: Any

    @classmethod
    def load(cls, name: str) -> LocalModel:
        """Load a folder, adapters of PEFT included, or a model of the Hub.

        Weights are in bfloat16 where the device has it, on one GPU or spread over all there are.

        Raises:
            MissingExtra: transformers or torch is not installed.
            FatalCall: There is no such model, or it takes no images.
        """
        _find(name)
        try:
            import torch
            from transformers import AutoModelForImageTextToText
            from transformers.utils.logging import disable_progress_bar
        except ImportError:
            raise MissingExtra(f"model {PREFIX}{name}", "align") from None
        quiet: Any = disable_progress_bar
        quiet()
        local = Path(name).is_dir()
        cuda = torch.cuda.is_available()
        options: dict[str, Any] = {"dtype": torch.bfloat16 if cuda else torch.float32}
        if cuda:
            options["device_map"] = "auto"
        try:
            processor = load_processor(name, local_files_only=local)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                name, local_files_only=local, **options
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise FatalCall(f"model {PREFIX}{name}: {first_line(error)}") from None
        if not getattr(processor, "chat_template", None):
            raise FatalCall(f"model {PREFIX}{name}: its processor has no chat template")
        tokenizer = processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(model.eval(), processor)

    def answer(self, questions: Sequence[Question], params: Params) -> list[Reply]:
        """Answer questions in one batch.

        Args:
            questions: All with the same number of images.
            params: Temperature 0 decodes greedily, None as the model's own settings say.
        """
        import torch

        prompts = [
            self.processor.apply_chat_template(
                _messages(q._replace(text=self._as_words(q.text), said=self._as_words(q.said))),
                add_generation_prompt=True,
            )
            for q in questions
        ]
        images = [list(q.images) for q in questions]
        inputs = self.processor(
            text=prompts,
            images=images if images[0] else None,
            padding=True,
            return_tensors="pt",
            add_special_tokens=not has_bos(self.processor.tokenizer, prompts[0]),
        ).to(self.model.device, self.model.dtype)
        read = inputs["input_ids"].shape[1]
        sampling: dict[str, Any] = {}
        if params.temperature == 0:
            sampling = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        elif params.temperature is not None:
            sampling = {"do_sample": True, "temperature": params.temperature}
        sampling |= params.more
        if params.seed is not None:
            torch.manual_seed(params.seed)
        with torch.inference_mode():
            whole = self.model.generate(
                **inputs,
                **sampling,
                max_new_tokens=max(1, min(params.max_tokens, self._context - read)),
                # A written image token would stand for an image that is not there.
                suppress_tokens=self._image_tokens,
                pad_token_id=self.processor.tokenizer.pad_token_id,
            )[:, read:]
        ended = torch.isin(whole, torch.tensor(self._ends, device=whole.device))
        said = [
            split_thoughts(text, prompt=prompt)
            for text, prompt in zip(self._texts(whole), prompts, strict=True)
        ]
        asked = inputs["attention_mask"].sum(1).tolist()
        return [
            Reply(
                text.strip(),
                Finish.STOP if row.any() else Finish.LENGTH,
                reasoning,
                # Everything after the first end is padding.
                Usage(n, int(row.int().argmax()) + 1 if row.any() else len(row)),
            )
            for (text, reasoning), n, row in zip(said, asked, ended, strict=True)
        ]

    @cached_property
    def _special(self) -> set[str]:
        added = self.processor.tokenizer.added_tokens_decoder.values()
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
        tokenizer, special = self.processor.tokenizer, self._special
        marks = set(filter(is_mark, special))
        texts: list[str] = tokenizer.batch_decode(tokens, skip_special_tokens=not marks)
        if not marks:
            return texts
        others = re.compile(
            "|".join(map(re.escape, sorted(special - marks, key=len, reverse=True))) or r"\Z"
        )
        return [others.sub("", text) for text in texts]

    @cached_property
    def _ends(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        many = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        return many or [self.processor.tokenizer.eos_token_id]

    @cached_property
    def _context(self) -> int:
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 1 << 20)

    @cached_property
    def _image_tokens(self) -> list[int] | None:
        token = getattr(self.model.config, "image_token_id", None)
        return None if token is None else [token]


def _find(name: str) -> None:
    """Look for a model where it may be, which takes seconds; loading asks again for minutes.

    Raises:
        FatalCall: It is neither a folder, nor in the cache, nor on the Hub.
    """
    if Path(name).is_dir():
        return
    if fault := no_folder(name):
        raise FatalCall(f"model {PREFIX}{name}: {fault}")
    from huggingface_hub import HfApi, try_to_load_from_cache

    try:
        for file in ("config.json", "adapter_config.json"):
            if isinstance(try_to_load_from_cache(name, file), str):
                return
        HfApi().model_info(name, timeout=HUB_S)
    except Exception as error:  # the Hub's client raises kinds of its own
        raise FatalCall(
            f"model {PREFIX}{name}: no such folder, and the Hub does not give it "
            f"({first_line(error)})"
        ) from None


def _messages(question: Question) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": [{"type": "text", "text": question.system}]}]
    parts: list[dict[str, str]] = [{"type": "image"} for _ in question.images]
    user = {"role": "user", "content": [*parts, {"type": "text", "text": question.text}]}
    said = {"role": "assistant", "content": [{"type": "text", "text": question.said}]}
    return [*(system if question.system else []), user, *([said] if question.said else [])]


def digest_of(folder: Path) -> str:
    """Return one SHA-256 over a model's files, and over those of the model that it adapts."""
    whole = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in DIGESTED and path.name not in NOT_DIGESTED:
            whole.update(f"{path.name} {file_sha256(path)}\n".encode())
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
        if Path(base).is_dir() and Path(base) != folder:
            whole.update(digest_of(Path(base)).encode())
    return whole.hexdigest()


@dataclass(frozen=True, eq=False)
class _Waiting:
    request: Request
    reply: asyncio.Future[Reply]

    @property
    def group(self) -> tuple[int, Params, int]:
        """What must be equal within a batch; sampled answers are drawn one by one."""
        drawn = self.request.params.temperature != 0
        return len(self.request.images), self.request.params, id(self) if drawn else 0


class HfChat:
    """A model in this process; implements `ChatModel`.

    A schema is not enforced: what the prompt says of the form must do. Sampled answers depend on
    the request's seed and sample number alone, so they are drawn one at a time.
    """

    def __init__(self, spec: str) -> None:
        """Load the model.

        Args:
            spec: `hf/PATH` of a folder in Hugging Face format, or `hf/ORG/NAME` of the Hub.

        Raises:
            MissingExtra: transformers or torch is not installed.
            FatalCall: It cannot be loaded.
        """
        self.spec = spec
        self.endpoint = spec
        name = spec.removeprefix(PREFIX)
        self._local = LocalModel.load(name)
        folder = Path(name)
        revision = getattr(self._local.model.config, "_commit_hash", None)
        self.identity: Mapping[str, Any] = {
            "kind": "hf",
            **(
                {"weights": digest_of(folder)}
                if folder.is_dir()
                else {"name": name, "revision": revision}
            ),
            "dtype": str(self._local.model.dtype).removeprefix("torch."),
        }
        self._waiting: list[_Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Reply:
        """Answer one request, together with others that wait."""
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await waiting.reply

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_S)
        while batch := self._take():
            replies = await asyncio.to_thread(self._answer_all, [w.request for w in batch])
            for waiting, reply in zip(batch, replies, strict=True):
                if waiting.reply.done():
                    continue
                if isinstance(reply, CallFailed):
                    waiting.reply.set_exception(reply)
                else:
                    waiting.reply.set_result(reply)

    def _take(self) -> list[_Waiting]:
        waiting = [w for w in self._waiting if not w.reply.done()]
        batch = [w for w in waiting if w.group == waiting[0].group][:BATCH]
        self._waiting = [w for w in waiting if w not in batch]
        return batch

    def _answer_all(self, requests: Sequence[Request]) -> list[Reply | CallFailed]:
        try:
            return [*self._answer(requests)]
        except Exception as error:
            if len(requests) == 1:
                return [CallFailed(first_line(error), 1)]
            # One question must not cost the others their answers.
            return [reply for request in requests for reply in self._answer_all([request])]

    def _answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer a batch; an image that cannot be decoded is its own question's fault alone."""
        replies: list[Reply | None] = []
        questions: list[Question] = []
        for request in requests:
            try:
                images = [decode(image) for image in request.images]
            except ImageError as error:
                replies.append(Reply("", Finish.REJECTED, detail=str(error)))
            else:
                replies.append(None)
                questions.append(Question(request.text, images, request.system, request.said))
        answered = iter(self._ask(requests[0], questions) if questions else ())
        return [reply or next(answered) for reply in replies]

    def _ask(self, first: Request, questions: Sequence[Question]) -> list[Reply]:
        started = time.perf_counter()
        params = first.params
        if params.temperature != 0:
            # Each sample of the same question is another draw, whatever else was asked before.
            seed = (params.seed or 0) * 1_000_003 + first.sample
            params = replace(params, seed=seed)
        replies = self._local.answer(questions, params)
        took = time.perf_counter() - started
        return [replace(reply, latency_s=took, served_by=self.spec) for reply in replies]

    async def close(self) -> None:
        """Nothing is held open between calls."""
