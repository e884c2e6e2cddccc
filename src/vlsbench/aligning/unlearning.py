"""Unlearning: make harmful answers unlikely. TRL has no such trainer; this is ours, over its SFT.

*Unlearning* ascends the loss on harmful answers, bounded: a token that already costs `bound` nats
is left alone, so the model is pushed as far as guessing and no further. Unbounded ascent has no
minimum and destroys the model.

*Safe unlearning* (Zhang et al. 2024, arXiv 2407.02855, section 3) minimises

    alpha · -log sigmoid(-beta · (log p(harmful) - log p_ref(harmful)))
      + theta · -log p(safe) + -log p(retain)

with log p the mean over an answer's tokens. Its first term levels off by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.utils.data import Sampler
from trl import SFTConfig, SFTTrainer

from vlsbench.aligning._settings import Method
from vlsbench.aligning._trainers import TrainerParts
from vlsbench.aligning.encode import Collator, Encoder
from vlsbench.aligning.rows import HARMFUL, KINDS, kind_of


def ascent_loss(log_probs: Tensor, mask: Tensor, bound: float) -> Tensor:
    """Return how far harmful tokens (rows × tokens) are from costing `bound`, in nats per token."""
    missing = (bound + log_probs).clamp(min=0) * mask
    return missing.sum() / mask.sum().clamp(min=1)


def preference_loss(log_probs: Tensor, mask: Tensor, reference: Tensor, beta: float) -> Tensor:
    """Return safe unlearning's loss on harmful answers (Zhang et al. 2024, section 3).

    `reference` is the mean log-probability of each answer before training, `beta` the slope.
    """
    return -logsigmoid(-beta * (mean_log_prob(log_probs, mask) - reference)).mean()


def mean_log_prob(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over each row's counted tokens (rows)."""
    return (log_probs * mask).sum(1) / mask.sum(1).clamp(min=1)


class _KindCollator(Collator):
    def __init__(self, encoder: Encoder, reference: dict[int, float]) -> None:
        super().__init__(encoder)
        self.reference = reference

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        batch = super().__call__(examples)
        rows = self.encoded(examples)
        batch["kind"] = torch.tensor([KINDS.index(row.kind) for row in rows])
        batch["reference"] = torch.tensor(
            [self.reference.get(int(example["row"]), 0.0) for example in examples]
        )
        return batch


class Mixed(Sampler[int]):
    """Shuffled, with every stretch of the data holding the kinds in their overall proportion."""

    def __init__(self, kinds: Sequence[str], seed: int) -> None:
        self.kinds = kinds
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[int]:
        placed = []
        for kind in KINDS:
            rows = [row for row, other in enumerate(self.kinds) if other == kind]
            order = torch.randperm(len(rows), generator=self.generator).tolist()
            placed += [((at + 0.5) / len(rows), rows[which]) for at, which in enumerate(order)]
        yield from (row for _, row in sorted(placed))


class UnlearningTrainer(SFTTrainer):
    """SFT with one loss per kind of row, each the mean over the rows of that kind in a batch."""

    loss_is_scaled_for_ga: bool | None = False  # type: ignore[assignment]

    def __init__(self, parts: TrainerParts) -> None:
        """Make a trainer, and note how likely harmful answers are before training."""
        settings, self.encoder = parts.settings, parts.encoder
        self.reference: dict[int, float] = {}
        self.safe = parts.method is Method.T_SAFE_UNLEARNING
        self.alpha = settings.alpha if self.safe else 1.0
        self.beta = settings.beta or 0.0
        self.theta = settings.theta if self.safe else 1.0
        # The cost of a blind guess.
        self.bound = math.log(parts.model.config.get_text_config().vocab_size)
        super().__init__(
            args=SFTConfig(**parts.arguments, max_length=None),
            data_collator=_KindCollator(self.encoder, self.reference),
            **parts.options,
        )
        self._remember_reference()

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int]:
        return Mixed([kind_of(row) for row in self.encoder.rows], self.args.seed)

    def _remember_reference(self) -> None:
        """Note how likely harmful answers are: no second model need be held beside this one."""
        harmful = [r for r, row in enumerate(self.encoder.rows) if kind_of(row) == HARMFUL]
        size = self.args.per_device_train_batch_size
        assert self.model is not None
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(harmful), size):
                part = harmful[start : start + size]
                inputs = self._prepare_inputs(self.data_collator([{"row": r} for r in part]))
                log_probs, mask = self._log_probs(self.model, inputs)
                found = mean_log_prob(log_probs, mask).float().tolist()
                self.reference.update(zip(part, found, strict=True))

    def _log_probs(self, model: Any, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        kept = {k: v for k, v in inputs.items() if k not in ("kind", "reference")}
        outputs = model(**kept, use_cache=False, fused_lm_head=True)
        return outputs.log_probs, outputs.label_mask.to(outputs.log_probs.dtype)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the weighted sum of the losses of the kinds that the batch holds."""
        log_probs, mask = self._log_probs(model, inputs)
        weights = (self.alpha, self.theta, 1.0)
        # Starts from a zero that depends on the model: a batch may hold nothing to learn.
        loss = log_probs.sum() * 0.0
        for which, (kind, weight) in enumerate(zip(KINDS, weights, strict=True)):
            here = inputs["kind"] == which
            if not here.any():
                continue
            ours, counted = log_probs[here], mask[here]
            if kind != HARMFUL:
                part = -(ours * counted).sum() / counted.sum().clamp(min=1)
            elif self.safe:
                part = preference_loss(ours, counted, inputs["reference"][here], self.beta)
            else:
                part = ascent_loss(ours, counted, self.bound)
            loss = loss + weight * part
            with torch.no_grad():
                nats = -(ours * counted).sum() / counted.sum().clamp(min=1)
            self._metrics["train"][f"nll/{kind}"].append(nats.item())
        return (loss, None) if return_outputs else loss
