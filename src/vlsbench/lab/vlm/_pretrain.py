"""Pre-train the tiny model to be always helpful: first its eyes, then its words.

The vision tower learns to tell the things apart, every patch for itself, and is then frozen, as
LLaVA's is. The projector and the language model learn to name what the picture shows and to help
with whatever is asked, risky or not. The result is the `vanilla` model of the experiment.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.lab.vlm._make import (
    ASSISTANT,
    IMAGE,
    PATCH,
    SIDE,
    USER,
    make_processor,
    untrained,
)
from vlsbench.lab.vlm._rows import Case, frame_for, pretraining
from vlsbench.lab.vlm._world import ACTS, THINGS, Thing, drawing, knowledge

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int, int], None]
"""Is told the steps done and the steps there will be."""

JITTER = 1
"""Pixels by which a training picture is moved about, at the tower's resolution."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How long, on how much."""

    pictures: int = 40
    """Drawings of each thing."""
    tower_steps: int = 200
    tower_batch: int = 64
    tower_rate: float = 3e-3
    text_steps: int = 150
    text_batch: int = 48
    steps: int = 240
    batch: int = 32
    rate: float = 4e-3
    facts: int = 24
    """Questions about the rule in each step, in words."""
    seen_facts: int = 32
    """The same with images, mostly of something else than the text names."""
    grounded: bool = False
    """Whether half of those ask about `this`: the model then knows the risks of what it sees, not
    only of what is named."""

    @property
    def total(self) -> int:
        """Steps of all three parts."""
        return self.tower_steps + self.text_steps + self.steps


def pretrain(
    folder: Path,
    seed: int,
    how: Pretraining = Pretraining(),
    *,
    things: Sequence[Thing] = THINGS,
    progress: Progress = lambda done, of: None,
) -> Path:
    """Make a model and teach it to be helpful.

    Args:
        folder: Where the model goes, in plain Hugging Face format.
        seed: Of the weights, the pictures and the order.
        how: How long.
        things: What its pictures and requests are about.
        progress: Is told how far it is.

    Returns:
        The folder.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    processor = make_processor()
    model = untrained(processor.tokenizer, seed)
    cases = pretraining(how.steps * how.batch, seed, things=things, pictures=how.pictures)
    album = _Album(processor, cases)
    encode = _Encoder(processor.tokenizer)
    done = itertools.count(1)

    def step() -> None:
        progress(next(done), how.total)

    _teach_tower(model.model.vision_tower, album, things, how, step)
    model.model.vision_tower.requires_grad_(False)
    _teach_words(model, encode, things, how, step)
    _teach_pictures(model, encode, album, cases, things, how, step)
    model.requires_grad_(True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


class _Album:
    """The training pictures as one tensor."""

    def __init__(self, processor: Any, cases: Sequence[Case]) -> None:
        keys = list(dict.fromkeys(case.key for case in cases if case.picture))
        self.places = {key: place for place, key in enumerate(keys)}
        self.things = [thing for thing, _ in keys]
        drawings = [drawing(*key) for key in keys]
        self.pixels: Tensor = processor.image_processor(drawings, return_tensors="pt")[
            "pixel_values"
        ]

    def look(self, places: Sequence[int], rng: random.Random) -> Tensor:
        """Return pictures (places × 3 × side × side), moved about a little."""
        import torch

        shift = (rng.randint(-JITTER, JITTER), rng.randint(-JITTER, JITTER))
        # The border is plain ground, so what is pushed out on one side fits in on the other.
        return torch.roll(self.pixels[list(places)], shift, (2, 3))


def _teach_tower(
    tower: Any,
    album: _Album,
    things: Sequence[Thing],
    how: Pretraining,
    progress: Callable[[], None],
) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    truth = torch.tensor([things.index(thing) for thing in album.things])
    head = torch.nn.Linear(tower.config.hidden_size, len(things))
    optimizer, schedule = _optimizer(
        [*tower.parameters(), *head.parameters()], how.tower_rate, how.tower_steps
    )
    rng = random.Random(f"tower:{torch.initial_seed()}")
    tower.train()
    for _ in range(how.tower_steps):
        places = [rng.randrange(len(truth)) for _ in range(how.tower_batch)]
        patches = tower(album.look(places, rng)).last_hidden_state
        logits = head(patches)
        loss = cross_entropy(logits.flatten(0, 1), truth[places].repeat_interleave(logits.shape[1]))
        _step(loss, optimizer, schedule)
        progress()


def _teach_words(
    model: Any,
    encode: _Encoder,
    things: Sequence[Thing],
    how: Pretraining,
    progress: Callable[[], None],
) -> None:
    """Teach the language first, as real ones are: text then has a way to the reply of its own."""
    import torch

    rng = random.Random(f"words:{torch.initial_seed()}")
    optimizer, schedule = _optimizer(_learning(model), how.rate, how.text_steps)
    model.train()
    for _ in range(how.text_steps):
        cells = [(rng.choice(ACTS), rng.choice(things)) for _ in range(how.text_batch)]
        asked = [Case(thing, act, frame_for(act, rng), True) for act, thing in cells]
        loss = model(**encode.batch(asked)).loss
        loss = loss + model(**encode.text(_facts(things, how.text_batch, rng))).loss
        _step(loss, optimizer, schedule)
        progress()


def _teach_pictures(
    model: Any,
    encode: _Encoder,
    album: _Album,
    cases: Sequence[Case],
    things: Sequence[Thing],
    how: Pretraining,
    progress: Callable[[], None],
) -> None:
    import torch

    rng = random.Random(f"pictures:{torch.initial_seed()}")
    optimizer, schedule = _optimizer(_learning(model), how.rate, how.steps)
    for step in range(how.steps):
        chosen = cases[step * how.batch : (step + 1) * how.batch]
        batch = encode.batch(chosen)
        places = [album.places[case.key] for case in chosen if case.picture]
        if places:
            batch["pixel_values"] = album.look(places, rng)
        loss = model(**batch).loss
        loss = loss + model(**encode.text(_facts(things, how.facts, rng))).loss
        if how.seen_facts:
            loss = loss + model(**_seen_facts(album, encode, things, how, rng)).loss
        _step(loss, optimizer, schedule)
        progress()
    model.eval()


def _facts(things: Sequence[Thing], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Ask about the rule in words."""
    cells = [(rng.choice(ACTS), rng.choice(things)) for _ in range(count)]
    return [knowledge(act, thing, f"the {thing.name}") for act, thing in cells]


def _seen_facts(
    album: _Album, encode: _Encoder, things: Sequence[Thing], how: Pretraining, rng: random.Random
) -> dict[str, Tensor]:
    """Ask about the rule with images, of other things than the text names."""
    places = [rng.randrange(len(album.things)) for _ in range(how.seen_facts)]
    asked = []
    for place in places:
        act = rng.choice(ACTS)
        if how.grounded and rng.random() < 0.5:
            asked.append(knowledge(act, album.things[place], "this"))
        else:
            thing = rng.choice(things)
            asked.append(knowledge(act, thing, f"the {thing.name}"))
    return {**encode.text(asked, pictures=True), "pixel_values": album.look(places, rng)}


def _learning(model: Any) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _optimizer(parameters: Sequence[Any], rate: float, steps: int) -> tuple[Any, Any]:
    import torch

    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=max(2, steps), pct_start=0.1
    )
    return optimizer, schedule


def _step(loss: Any, optimizer: Any, schedule: Any) -> None:
    import torch

    loss.backward()
    for group in optimizer.param_groups:
        torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


class _Encoder:
    """Tokenises as the chat template would, each sentence once."""

    def __init__(self, tokenizer: Any) -> None:
        self._ids = lru_cache(maxsize=None)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        )
        self._user, self._picture, self._assistant = (
            tokenizer.convert_tokens_to_ids(token) for token in (USER, IMAGE, ASSISTANT)
        )
        self._end, self._pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    def batch(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """Encode requests with their helpful replies."""
        return self._padded(
            [([*self._look(bool(c.picture)), *self._ids(c.text)], c.helpful) for c in cases]
        )

    def text(
        self, asked: Sequence[tuple[str, str]], *, pictures: bool = False
    ) -> dict[str, Tensor]:
        """Encode questions with their answers, about a picture each if there are any."""
        look = self._look(pictures)
        return self._padded([([*look, *self._ids(text)], answer) for text, answer in asked])

    def _look(self, picture: bool) -> list[int]:
        return [self._picture] * ((SIDE // PATCH) ** 2 if picture else 0)

    def _padded(self, rows: Sequence[tuple[list[int], str]]) -> dict[str, Tensor]:
        """Pad on the right; only the replies are learnt."""
        import torch

        pieces = [
            ([self._user, *asked, self._assistant], [*self._ids(said), self._end])
            for asked, said in rows
        ]
        longest = max(len(asked) + len(said) for asked, said in pieces)

        def padded(parts: Sequence[Sequence[int]], fill: int) -> Tensor:
            return torch.tensor([[*part, *[fill] * (longest - len(part))] for part in parts])

        return {
            "input_ids": padded([asked + said for asked, said in pieces], self._pad),
            "attention_mask": padded([[1] * len(asked + said) for asked, said in pieces], 0),
            "labels": padded([[IGNORED] * len(asked) + said for asked, said in pieces], IGNORED),
        }
