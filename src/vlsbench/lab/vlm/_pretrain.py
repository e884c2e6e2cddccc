"""Pre-train the tiny model to be always helpful: first its eyes, then its words.

The vision tower learns to tell the things apart, every patch for itself, and is then frozen, as
LLaVA's is. The projector and the language model learn to name what the image shows and to help
with whatever is asked, risky or not. The result is the `vanilla` model of the experiment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning import Progress
from vlsbench.lab.vlm._make import ASSISTANT, IMAGE, PATCH, SIDE, USER, make_processor, untrained
from vlsbench.lab.vlm.rows import Case, frame_for, pretraining
from vlsbench.lab.vlm.world import ACTS, THINGS, Thing, drawing, knowledge

if TYPE_CHECKING:
    from torch import Tensor

JITTER = 1
"""Pixels by which a training image is moved about, at the tower's resolution."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How long, on how much."""

    images: int = 40
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
    """Make a model and teach it to be helpful; return the folder, in plain Hugging Face format.

    `seed` decides weights, images and order; `things` are what images and requests are about.
    Raises `MissingExtra` where torch or transformers is not installed.
    """
    school = _School(seed, how, things, progress)
    school.teach_tower()
    school.teach_words()
    school.teach_images()
    school.model.save_pretrained(folder)
    school.processor.save_pretrained(folder)
    return folder


class _School:
    """The model, what it is taught with, and the three lessons."""

    def __init__(
        self, seed: int, how: Pretraining, things: Sequence[Thing], progress: Progress
    ) -> None:
        self.seed, self.how, self.things, self.progress = seed, how, things, progress
        self.processor = make_processor()
        self.model: Any = untrained(self.processor.tokenizer, seed)
        self.encode = _Encoder(self.processor.tokenizer)
        self.cases = pretraining(how.steps * how.batch, seed, things=things, images=how.images)
        keys = list(dict.fromkeys(case.key for case in self.cases if case.drawn))
        self.places = {key: place for place, key in enumerate(keys)}
        self.shown = [thing for thing, _ in keys]
        drawings = [drawing(*key) for key in keys]
        make: Any = self.processor.image_processor
        self.pixels: Tensor = make(drawings, return_tensors="pt")["pixel_values"]
        self.done = 0

    def teach_tower(self) -> None:
        """Teach every patch of the vision tower what it is a part of, then freeze the tower."""
        import torch
        from torch.nn.functional import cross_entropy

        how, tower = self.how, self.model.model.vision_tower
        truth = torch.tensor([self.things.index(thing) for thing in self.shown])
        head = torch.nn.Linear(tower.config.hidden_size, len(self.things))
        rng = random.Random(f"tower:{self.seed}")
        tower.train()

        def loss(step: int) -> Tensor:
            places = [rng.randrange(len(truth)) for _ in range(how.tower_batch)]
            logits = head(tower(self.look(places, rng)).last_hidden_state)
            wanted = truth[places].repeat_interleave(logits.shape[1])
            return cross_entropy(logits.flatten(0, 1), wanted)

        parameters = [*tower.parameters(), *head.parameters()]
        self.learn(parameters, how.tower_rate, how.tower_steps, loss)
        tower.requires_grad_(False)

    def teach_words(self) -> None:
        """Teach the language first, as real ones are: text then has its own way to the reply."""
        how = self.how
        rng = random.Random(f"words:{self.seed}")
        self.model.train()

        def loss(step: int) -> Any:
            cells = [(rng.choice(ACTS), rng.choice(self.things)) for _ in range(how.text_batch)]
            asked = [Case(thing, act, frame_for(act, rng), True) for act, thing in cells]
            helping = self.model(**self.encode([(False, c.text, c.helpful) for c in asked])).loss
            return helping + self.model(**self.facts(how.text_batch, rng)).loss

        self.learn(self.unfrozen(), how.rate, how.text_steps, loss)

    def teach_images(self) -> None:
        """Teach to name what an image shows, and to help with it."""
        how = self.how
        rng = random.Random(f"pictures:{self.seed}")

        def loss(step: int) -> Any:
            chosen = self.cases[step * how.batch : (step + 1) * how.batch]
            batch = self.encode([(bool(c.drawn), c.text, c.helpful) for c in chosen])
            places = [self.places[case.key] for case in chosen if case.drawn]
            if places:
                batch["pixel_values"] = self.look(places, rng)
            found = self.model(**batch).loss
            found = found + self.model(**self.facts(how.facts, rng)).loss
            if how.seen_facts:
                found = found + self.model(**self.seen_facts(rng)).loss
            return found

        self.learn(self.unfrozen(), how.rate, how.steps, loss)
        self.model.eval()
        self.model.requires_grad_(True)

    def look(self, places: Sequence[int], rng: random.Random) -> Tensor:
        """Return images (places × 3 × side × side), moved about a little."""
        import torch

        shift = (rng.randint(-JITTER, JITTER), rng.randint(-JITTER, JITTER))
        # The border is plain ground, so what is pushed out on one side fits in on the other.
        return torch.roll(self.pixels[list(places)], shift, (2, 3))

    def facts(self, count: int, rng: random.Random) -> dict[str, Tensor]:
        """Ask about the rule in words."""
        cells = [(rng.choice(ACTS), rng.choice(self.things)) for _ in range(count)]
        return self.encode([(False, *knowledge(act, t, f"the {t.name}")) for act, t in cells])

    def seen_facts(self, rng: random.Random) -> dict[str, Tensor]:
        """Ask about the rule with images, of other things than the text names."""
        places = [rng.randrange(len(self.shown)) for _ in range(self.how.seen_facts)]
        asked = []
        for place in places:
            act = rng.choice(ACTS)
            if self.how.grounded and rng.random() < 0.5:
                asked.append((True, *knowledge(act, self.shown[place], "this")))
            else:
                thing = rng.choice(self.things)
                asked.append((True, *knowledge(act, thing, f"the {thing.name}")))
        return {**self.encode(asked), "pixel_values": self.look(places, rng)}

    def unfrozen(self) -> list[Any]:
        """Return the parameters that still learn."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def learn(
        self, parameters: Sequence[Any], rate: float, steps: int, loss: Callable[[int], Any]
    ) -> None:
        """Take so many steps down a loss, which is made anew for each."""
        import torch

        optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=max(2, steps), pct_start=0.1
        )
        for step in range(steps):
            loss(step).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            self.done += 1
            self.progress(self.done, self.how.total)


class _Encoder:
    """Tokenises as the chat template would, each sentence once."""

    def __init__(self, tokenizer: Any) -> None:
        self._ids = lru_cache(maxsize=None)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        )
        self._user, self._image, self._assistant = (
            tokenizer.convert_tokens_to_ids(token) for token in (USER, IMAGE, ASSISTANT)
        )
        self._end, self._pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    def __call__(self, rows: Sequence[tuple[bool, str, str]]) -> dict[str, Tensor]:
        """Encode image or none, request and reply; pad on the right. Only replies are learnt."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        image = [self._image] * (SIDE // PATCH) ** 2
        ids, labels = [], []
        for shown, asked, said in rows:
            start = [self._user, *(image if shown else ()), *self._ids(asked), self._assistant]
            reply = [*self._ids(said), self._end]
            ids.append(torch.tensor(start + reply))
            labels.append(torch.tensor([IGNORED] * len(start) + reply))
        padded = pad_sequence(ids, batch_first=True, padding_value=self._pad)
        there = [torch.ones_like(one) for one in ids]
        return {
            "input_ids": padded,
            "attention_mask": pad_sequence(there, batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }
