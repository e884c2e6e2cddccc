"""From rows to the tensors a trainer feeds: encoded once, padded per batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vlsbench.aligning._settings import Row
from vlsbench.aligning.rows import answers_of, kind_of, open_image, prompt_of, text_of
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.models import has_bos

CACHE_BYTES = 1 << 30
"""Pixels of prepared rows that are kept for the next epoch."""
IGNORED = -100
"""Label of a token that is not learnt (PyTorch's cross entropy)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as tokens: one prompt, with its images, and its answers."""

    prompt: list[int]
    answers: list[list[int]]
    kind: str
    per_token: dict[str, list[int]] = field(default_factory=dict)
    """What the processor says of each token of the prompt (`mm_token_type_ids`, …)."""
    pixels: dict[str, Tensor] = field(default_factory=dict)
    """What the processor says of the images (`pixel_values`, `image_grid_thw`, …)."""


class Encoder:
    """Rows to tokens, as the model will see them when it is asked.

    A prompt is tokenised exactly as `processor.apply_chat_template` does for inference, special
    tokens included, so that what is trained is what is later sampled. An answer is what the chat
    template adds to the prompt. Where the template does not end it (LLaVA-1.5's does not), the
    end-of-sequence token is added, or the model would never learn to stop.
    """

    def __init__(
        self,
        processor: Any,
        rows: Sequence[Row],
        *,
        max_length: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Prepare to encode `rows` by their place.

        Answers are cut where prompt and answer together reach `max_length` tokens; so many
        `cache_bytes` of pixels are kept for later epochs.
        """
        self.processor = processor
        self.tokenizer = processor.tokenizer
        self.rows = rows
        self.max_length = max_length
        self._room = cache_bytes
        self._kept: dict[int, Encoded] = {}

    def __getitem__(self, place: int) -> Encoded:
        """Return row `place`. Raises `VlsbenchError` naming it where it cannot be encoded."""
        if place in self._kept:
            return self._kept[place]
        encoded = self._encode(place)
        if self._room > 0:
            images = sum(pixels.nbytes for pixels in encoded.pixels.values())
            self._room -= images + 8 * (len(encoded.prompt) + 64)
            self._kept[place] = encoded
        return encoded

    def check(self, name: str) -> None:
        """Raise `BadRows` for those whose words the model would read as its markers (`<image>`)."""
        special = [token for token in self.tokenizer.all_special_tokens if len(token) > 2]
        bad = []
        for place, row in enumerate(self.rows, start=1):
            words = _words(row)
            if found := [token for token in special if token in words]:
                reason = f"its words hold {', '.join(found)}, which the model takes for a marker"
                bad.append(BadRow(name, str(place), reason))
        if bad:
            raise BadRows(name, bad)

    def _encode(self, place: int) -> Encoded:
        from trl.data_utils import prepare_multimodal_messages

        row, render = self.rows[place], self.processor.apply_chat_template
        images = [open_image(image) for image in row.get("images") or ()]
        try:
            prompt = prepare_multimodal_messages(prompt_of(row), images=images)
        except ValueError as error:
            raise VlsbenchError(f"row {place}: {error}") from None
        rendered = render(prompt, tokenize=False, add_generation_prompt=True)
        start = self._ids(rendered)
        texts = [
            render([*prompt, *prepare_multimodal_messages(answer)], tokenize=False)
            for answer in answers_of(row)
        ]
        if not all(text.startswith(rendered.rstrip()) for text in texts):
            raise VlsbenchError(
                f"row {place}: with its answer the model's chat template renders the prompt "
                "otherwise than it is asked, so nothing tells which tokens are the answer (as "
                "templates that add or drop thoughts do); choose another template for it"
            )
        wholes = list(map(self._ended, texts))
        # A tokeniser may merge the prompt's last character with the answer's first.
        alike = takewhile(lambda ids: len({*ids}) == 1, zip(start, *wholes, strict=False))
        common = len(list(alike))
        # Without images there is nothing that only the processor could say.
        ids, per_token, pixels = self._looked(prompt) if images else (start, {}, {})
        ids = ids[: len(ids) - (len(start) - common)]
        room = None if self.max_length is None else self.max_length - len(ids)
        if texts and room is not None and room < 1:
            raise VlsbenchError(
                f"row {place}: its prompt alone takes {len(ids)} tokens and the limit is "
                f"{self.max_length}; raise --max-length"
            )
        answers = [whole[common:][:room] for whole in wholes]
        per_token = {key: value[: len(ids)] for key, value in per_token.items()}
        return Encoded(ids, answers, kind_of(row), per_token, pixels)

    def _looked(
        self, prompt: list[Any]
    ) -> tuple[list[int], dict[str, list[int]], dict[str, Tensor]]:
        """Return a prompt's tokens, what is said of each, and what of the images."""
        # One at a time, a processor pads nothing.
        batch = self.processor.apply_chat_template(
            prompt,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        shape = batch.pop("attention_mask").shape
        ids: list[int] = batch.pop("input_ids")[0].tolist()
        each = {key: value[0].tolist() for key, value in batch.items() if value.shape == shape}
        return ids, each, {key: value for key, value in batch.items() if key not in each}

    def _ids(self, text: str) -> list[int]:
        special = not has_bos(self.tokenizer, text)
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids

    def _ended(self, text: str) -> list[int]:
        end = self.tokenizer.eos_token_id
        ids = self._ids(text)
        # Two, as some templates end a turn with the token and a line break.
        return ids if end in ids[-2:] else [*self._ids(text.rstrip()), end]


def _words(row: Row) -> str:
    turns = (prompt_of(row), *answers_of(row))
    return " ".join(text_of(message) for turn in turns for message in turn)


class Collator:
    """Batches of row places to padded tensors. Prompts and answers stand on the left."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.pad = encoder.tokenizer.pad_token_id

    def encoded(self, examples: Sequence[Mapping[str, Any]]) -> list[Encoded]:
        """Look the rows of a batch up; a `datasets` row holds its place as `row`."""
        return [self.encoder[int(example["row"])] for example in examples]

    def batch(self, sequences: Sequence[tuple[Encoded, list[int]]]) -> dict[str, Tensor]:
        """Pad prompts with their answers on the right.

        Returns:
            `input_ids`, `attention_mask`, `labels` (batch × tokens; prompts are ignored), and
            what the model wants of the images.
        """
        wholes = [[*row.prompt, *answer] for row, answer in sequences]
        labels = [[*[IGNORED] * len(row.prompt), *answer] for row, answer in sequences]
        return {
            "labels": _padded(labels, IGNORED),
            **_inputs([row for row, _ in sequences], wholes, self.pad),
        }

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate for supervised training: every row with its first answer."""
        return self.batch([(row, row.answers[0]) for row in self.encoded(examples)])


class PreferenceCollator(Collator):
    """As TRL's DPO trainer wants it: all chosen answers, then all rejected ones."""

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate pairs of answers."""
        rows = self.encoded(examples)
        batch = self.batch([(row, row.answers[which]) for which in (0, 1) for row in rows])
        batch["completion_mask"] = (batch.pop("labels") != IGNORED).long()
        return batch


class PromptCollator(Collator):
    """Prompts padded on the left, for sampling."""

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate prompts; `row` says which rows they are."""
        rows = self.encoded(examples)
        return {
            "row": torch.tensor([int(example["row"]) for example in examples]),
            **_inputs(rows, [row.prompt for row in rows], self.pad, left=True),
        }


def _inputs(
    rows: Sequence[Encoded], ids: Sequence[list[int]], pad: int, *, left: bool = False
) -> dict[str, Tensor]:
    """Pad what a model is given: tokens, what is said of each, and the images."""
    batch = {
        "input_ids": _padded(ids, pad, left),
        "attention_mask": _padded([[1] * len(one) for one in ids], 0, left),
    }
    for key in sorted({key for row in rows for key in row.per_token}):
        said = (row.per_token.get(key, []) for row in rows)
        # Of an answer's tokens 0 is said.
        whole = [[*one, *[0] * (len(of) - len(one))] for one, of in zip(said, ids, strict=True)]
        batch[key] = _padded(whole, 0, left)
    return {**batch, **join_pixels(rows)}


def _padded(rows: Sequence[Sequence[int]], pad: int, left: bool = False) -> Tensor:
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    side = "left" if left else "right"
    return pad_sequence(tensors, batch_first=True, padding_value=pad, padding_side=side)


def join_pixels(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """Put the images of several rows one after another, as processors do.

    Images cut into differing numbers of tiles (LLaVA-1.6) are padded to the most.
    """
    joined = {}
    for key in sorted({key for row in rows for key in row.pixels}):
        parts = [row.pixels[key] for row in rows if key in row.pixels]
        if len({part.shape[1:] for part in parts}) > 1:
            every = [tiles for part in parts for tiles in part]
            joined[key] = pad_sequence(every, batch_first=True)
        else:
            joined[key] = torch.cat(parts)
    return joined
