"""PPO for vision-language models. TRL has none; this is ours, over transformers' trainer.

One optimiser step of the trainer is one pass over one batch of samples, whatever parts and
processes it is split into: advantages are compared, and losses averaged, over all of it. A batch is
sampled when its turn comes, kept for `inner_epochs` passes, and thrown away. Checkpoints, logs,
several GPUs and resuming are the trainer's.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments
from trl.trainer.utils import RepeatSampler, disable_dropout_in_model

from vlsbench.aligning._trainers import TrainerParts
from vlsbench.aligning.encode import PromptCollator
from vlsbench.aligning.ppo_math import (
    Advantages,
    clipped_losses,
    gae,
    token_rewards,
    whiten,
)

VALUE_HEAD = "value_head.pt"


class ActorCritic(nn.Module):
    """The policy, and a head on its last hidden state that expects the reward to come."""

    _keys_to_ignore_on_save = None
    """Asked for by transformers' trainer."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        width = policy.config.get_text_config().hidden_size
        self.value_head = nn.Linear(width, 1)
        # Starts with no expectation at all, rather than a random one.
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    @property
    def config(self) -> Any:
        """The policy's."""
        return self.policy.config

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """Recompute the policy's activations."""
        self.policy.activation_checkpointing_enable(**options)
        self.policy.enable_input_require_grads()

    def forward(
        self, inputs: dict[str, Tensor], answers: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Return each answer token's log-probability and the value before it.

        `answers` (answers × tokens), sampled at `temperature`, are the last columns of `inputs`.
        """
        chosen, hidden = _answers_under(self.policy, inputs, answers, temperature)
        values = self.value_head(hidden.to(self.value_head.weight.dtype)).squeeze(-1).float()
        return chosen, values


def _answers_under(
    policy: Any, inputs: dict[str, Tensor], answers: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return log-probability of, and hidden state before, each token of the answers."""
    model = policy.get_base_model() if hasattr(policy, "peft_config") else policy
    hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
    # A token is decided by the state before it.
    hidden = hidden[:, -answers.shape[1] - 1 : -1]
    spread = (model.get_output_embeddings()(hidden).float() / temperature).log_softmax(-1)
    return spread.gather(-1, answers.unsqueeze(-1)).squeeze(-1), hidden


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of samples with all that is known when they are drawn."""

    inputs: dict[str, Tensor]
    answers: Tensor
    mask: Tensor
    log_probs: Tensor
    values: Tensor
    found: Advantages
    tokens: Tensor
    """Counted tokens of a part on average, over all parts and processes of the step."""


class PPOTrainer(Trainer):
    """Proximal policy optimisation with generalised advantage estimation."""

    loss_is_scaled_for_ga = False

    def __init__(self, parts: TrainerParts) -> None:
        """Make a trainer; without LoRA its reference is the model before training."""
        policy, reference, encoder = parts.model, parts.reference(), parts.encoder
        if parts.lora:
            from peft import get_peft_model

            policy = get_peft_model(policy, parts.lora)
        disable_dropout_in_model(policy)
        self.parts, self.settings = parts, parts.settings
        self.processor, self.tokenizer = encoder.processor, encoder.tokenizer
        ends = policy.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self.ends = sorted({*ends, self.tokenizer.eos_token_id} - {None})
        self._rollouts: list[Rollout] = []
        self._step = self._part = 0
        self._noted: dict[str, list[float]] = defaultdict(list)
        # The model as it is, whatever wraps it later.
        self.actor = ActorCritic(policy)
        self._batches = parts.places()
        super().__init__(
            model=self.actor,
            args=TrainingArguments(**parts.arguments),
            data_collator=PromptCollator(encoder),
            train_dataset=self._batches,
            processing_class=encoder.processor,
            callbacks=parts.callbacks,
        )
        # Several processes must not draw the same numbers.
        set_seed(self.args.seed, device_specific=True)
        self.reference = reference
        if reference is not None:
            self.reference = self.accelerator.prepare_model(reference, evaluation_mode=True)
            disable_dropout_in_model(reference)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Sampler[int]:
        together = (
            self._train_batch_size
            * self.args.gradient_accumulation_steps
            * self.accelerator.num_processes
        )
        return RepeatSampler(
            self._batches,
            mini_repeat_count=1,
            batch_size=min(together, len(self._batches)),
            repeat_count=self.settings.inner_epochs,
            seed=self.args.seed,
        )

    def create_optimizer(self, model: Any = None) -> Any:
        """Give the value head, which starts from nothing, a learning rate of its own."""
        optimizer = super().create_optimizer(model)
        head = list(self.actor.value_head.parameters())
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if all(p is not own for own in head)]
        optimizer.add_param_group({"params": head, "lr": self.settings.value_learning_rate})
        return optimizer

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: sampling would be left out."""
        return 0

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Collect the parts of an optimiser step, and sample answers to all of them at its turn."""
        parts, items = super().get_batch_samples(*args, **kwargs)
        turn = self._step % self.settings.inner_epochs
        # A resumed training may start in the middle of a batch's passes.
        if parts and (turn == 0 or len(self._rollouts) != len(parts)):
            prepared = [super(PPOTrainer, self)._prepare_inputs(part) for part in parts]
            self._rollouts = self._compared([self._sample(part) for part in prepared])
            self.actor.train()
        self._step, self._part = self._step + 1, 0
        return parts, items

    def _prepare_inputs(self, inputs: dict[str, Any]) -> Any:
        self._part += 1
        return self._rollouts[self._part - 1]

    def _compared(self, parts: list[Rollout]) -> list[Rollout]:
        """Whiten the advantages over all samples of the step, those of other processes included."""
        # Advantages are 0 where a token does not count.
        found = torch.cat([part.found.advantages.flatten() for part in parts]).double()
        masks = torch.cat([part.mask.flatten() for part in parts]).double()
        samples = found.new_tensor(sum(len(part.mask) for part in parts))
        sums = torch.stack([masks.sum(), found.sum(), (found**2).sum(), samples])
        tokens, total, squares, answers = self.accelerator.reduce(sums, "sum")
        share = tokens.clamp(min=1) / (len(parts) * self.accelerator.num_processes)
        compared = []
        for part in parts:
            whitened = whiten(part.found.advantages, part.mask, tokens, total, squares, answers)
            better = part.found._replace(advantages=whitened)
            compared.append(replace(part, found=better, tokens=share.to(part.mask)))
        return compared

    @torch.no_grad()
    def _sample(self, prompts: dict[str, Tensor]) -> Rollout:
        actor = self.actor
        actor.eval()
        places = prompts.pop("row").tolist()
        with self.compute_loss_context_manager():
            whole = actor.policy.generate(
                **prompts,
                do_sample=True,
                temperature=self.settings.temperature,
                top_k=0,
                top_p=1.0,
                # Some models' own settings have one: samples must come from the policy itself.
                repetition_penalty=1.0,
                max_new_tokens=self.settings.max_new_tokens,
                suppress_tokens=_image_tokens(actor.config),
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.ends,
            )
            answers = whole[:, prompts["input_ids"].shape[1] :]
            ended = torch.isin(answers, torch.tensor(self.ends, device=answers.device)).long()
            # A token counts if no end came before it: the end itself is an action too.
            mask = (ended.cumsum(1) - ended == 0).float()
            answers = torch.where(mask.bool(), answers, self.tokenizer.pad_token_id)
            inputs = _with_answers(prompts, answers, mask)
            log_probs, values = actor(inputs, answers, self.settings.temperature)
            policy = actor.policy if self.reference is None else self.reference
            with policy.disable_adapter() if self.reference is None else nullcontext():
                reference, _ = _answers_under(policy, inputs, answers, self.settings.temperature)
        texts = self.tokenizer.batch_decode(
            [row[kept.bool()] for row, kept in zip(answers, mask, strict=True)],
            skip_special_tokens=True,
        )
        assert self.parts.reward is not None
        earned = self.parts.reward([self.parts.encoder.rows[place] for place in places], texts)
        scores = torch.tensor(earned, dtype=torch.float32, device=answers.device)
        rewards = token_rewards(scores, log_probs, reference, mask, self.settings.kl or 0.0)
        found = gae(rewards, values, mask, self.settings.gamma, self.settings.gae_lambda)
        self._note(
            reward=scores.mean(),
            kl=((log_probs - reference) * mask).sum(1).mean(),
            length=mask.sum(1).float().mean(),
        )
        return Rollout(inputs, answers, mask, log_probs, values * mask, found, mask.sum())

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Return the clipped loss of the policy and, weighted, of the value head."""
        rollout: Rollout = inputs
        log_probs, values = model(rollout.inputs, rollout.answers, self.settings.temperature)
        losses = clipped_losses(
            log_probs,
            values,
            rollout.log_probs,
            rollout.values,
            rollout.found,
            rollout.mask,
            rollout.tokens,
            clip=self.settings.clip,
            value_clip=self.settings.value_clip,
        )
        self._note(policy_loss=losses.policy, value_loss=losses.value, clipped=losses.clipped)
        loss = losses.policy + self.settings.value_weight * losses.value
        return (loss, None) if return_outputs else loss

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._noted[name].append(self.accelerator.gather(value.detach()).mean().item())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log what was noted since the last time."""
        means = {name: sum(found) / len(found) for name, found in self._noted.items() if found}
        self._noted.clear()
        super().log({**logs, **means}, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or ".")
        self.actor.policy.save_pretrained(folder)
        self.processor.save_pretrained(folder)
        torch.save(self.actor.value_head.state_dict(), folder / VALUE_HEAD)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        head = torch.load(Path(resume_from_checkpoint) / VALUE_HEAD, weights_only=True)
        self.actor.value_head.load_state_dict(head)
        super()._load_from_checkpoint(resume_from_checkpoint, self.actor.policy)


def _image_tokens(config: Any) -> list[int]:
    """Return the tokens that, if sampled, would stand for an image or video that is not there."""
    found = (getattr(config, name, None) for name in ("image_token_id", "video_token_id"))
    return [token for token in found if token is not None]


def _with_answers(prompts: dict[str, Tensor], answers: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Append answers to left-padded prompts; what is said of a token is 0 for theirs."""
    shape = prompts["input_ids"].shape
    joined = {}
    for key, value in prompts.items():
        if key == "input_ids":
            value = torch.cat([value, answers], 1)
        elif key == "attention_mask":
            value = torch.cat([value, mask.to(value.dtype)], 1)
        elif value.shape == shape:
            value = torch.cat([value, value.new_zeros(answers.shape)], 1)
        joined[key] = value
    return joined
