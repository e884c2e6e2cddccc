"""The sums of PPO, apart from any model: advantages, clipped losses.

PPO: Schulman et al. 2017, arXiv 1707.06347. GAE: Schulman et al. 2016, arXiv 1506.02438. The
reward of a token is its penalty for leaving the reference; the last one gets the judge's score
besides (Ouyang et al. 2022, arXiv 2203.02155).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def token_rewards(
    scores: Tensor, log_probs: Tensor, reference: Tensor, mask: Tensor, kl: float
) -> Tensor:
    """Spread a score over an answer (answers × tokens).

    Args:
        scores: What each answer earned (answers).
        log_probs: Of the sampled tokens under the model that sampled them.
        reference: The same under the model before training.
        mask: 1 for an answer's tokens, its end included; 0 after.
        kl: Weight of the divergence.
    """
    rewards = -kl * (log_probs - reference) * mask
    last = (mask.sum(1) - 1).clamp(min=0).long()
    rewards[torch.arange(len(rewards), device=rewards.device), last] += scores
    return rewards


class Advantages(NamedTuple):
    """Of each token (answers × tokens), 0 where masked."""

    advantages: Tensor
    returns: Tensor
    """What the value head should have said."""


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Advantages:
    """Estimate how much better each token was than expected (generalised advantage estimation).

    Args:
        rewards: Of each token (answers × tokens).
        values: What was expected before each token.
        mask: Which tokens count; they stand at the front of a row.
        gamma: Discount of later rewards.
        lam: 0 trusts the values, 1 the rewards.
    """
    found = torch.zeros_like(rewards)
    ahead = torch.zeros_like(rewards[:, 0])
    for at in reversed(range(rewards.shape[1])):
        more = mask[:, at + 1] if at + 1 < rewards.shape[1] else torch.zeros_like(ahead)
        following = values[:, at + 1] * more if at + 1 < rewards.shape[1] else 0.0
        delta = rewards[:, at] + gamma * following - values[:, at]
        ahead = (delta + gamma * lam * more * ahead) * mask[:, at]
        found[:, at] = ahead
    return Advantages(found, (found + values) * mask)


def whiten(
    values: Tensor, mask: Tensor, count: Tensor, total: Tensor, squares: Tensor, answers: Tensor
) -> Tensor:
    """Scale counted values to deviation 1 and, of several answers, shift them to mean 0.

    A single answer has nothing to be compared with but what the value head expected: its own mean
    would take the reward away.

    Args:
        values: Of some tokens of an optimiser step (answers × tokens).
        mask: Which of them count.
        count: Counted tokens of the whole step, all processes included.
        total: Sum of their values.
        squares: Sum of their squares.
        answers: Answers of the step.
    """
    if answers <= 1:
        return values * mask
    mean = total / count.clamp(min=1)
    variance = (squares / count.clamp(min=1) - mean**2).clamp(min=0)
    whitened = (values.double() - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened * mask).to(values.dtype)


class Losses(NamedTuple):
    """Sums over the counted tokens, by the tokens that the caller says."""

    policy: Tensor
    value: Tensor
    clipped: Tensor
    """Share of tokens whose step was cut."""


def clipped_losses(
    log_probs: Tensor,
    values: Tensor,
    old_log_probs: Tensor,
    old_values: Tensor,
    found: Advantages,
    mask: Tensor,
    count: Tensor,
    *,
    clip: float,
    value_clip: float,
) -> Losses:
    """Return the losses of one step (Schulman et al. 2017, equations 7 and 9).

    Args:
        log_probs: Of the sampled tokens, now.
        values: Expected, now.
        old_log_probs: When they were sampled.
        old_values: When they were sampled.
        found: Advantages and returns.
        mask: Which tokens count.
        count: What the sums are divided by; the counted tokens for a mean.
        clip: How far the ratio of probabilities may leave 1.
        value_clip: How far a value may leave what it was.
    """
    ratio = torch.exp(log_probs - old_log_probs)
    plain = -found.advantages * ratio
    cut = -found.advantages * ratio.clamp(1 - clip, 1 + clip)
    near = old_values + (values - old_values).clamp(-value_clip, value_clip)
    value = torch.maximum((values - found.returns) ** 2, (near - found.returns) ** 2)
    return Losses(
        (torch.maximum(plain, cut) * mask).sum() / count,
        0.5 * (value * mask).sum() / count,
        ((cut > plain) * mask).sum() / count,
    )
