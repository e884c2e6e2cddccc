"""PPO's sums against figures worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.aligning.ppo_math import Advantages, clipped_losses, gae, token_rewards, whiten


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values])


def test_the_score_stands_on_the_last_token_and_leaving_the_reference_costs() -> None:
    rewards = token_rewards(
        torch.tensor([1.0]),
        row(-1.0, -2.0, -9.0),
        row(-1.5, -1.0, -1.0),
        row(1, 1, 0),
        kl=0.1,
    )
    # -0.1·(-1+1.5) = -0.05; -0.1·(-2+1) + 1 = 1.1; past the end nothing.
    assert rewards.tolist()[0] == pytest.approx([-0.05, 1.1, 0.0])


def test_advantages_by_hand() -> None:
    found = gae(row(0.0, 0.0, 1.0), row(0.5, 0.4, 0.3), row(1, 1, 1), gamma=0.9, lam=0.8)
    # deltas: 0.9·0.4 - 0.5 = -0.14; 0.9·0.3 - 0.4 = -0.13; 1 - 0.3 = 0.7. Back from the
    # end by 0.72: 0.7; -0.13 + 0.504 = 0.374; -0.14 + 0.26928 = 0.12928.
    assert found.advantages.tolist()[0] == pytest.approx([0.12928, 0.374, 0.7])
    assert found.returns.tolist()[0] == pytest.approx([0.62928, 0.774, 1.0])


def test_nothing_past_the_end_of_an_answer_counts() -> None:
    short = gae(row(0.0, 1.0), row(0.5, 0.4), row(1, 1), 1.0, 0.95)
    padded = gae(row(0.0, 1.0, 5.0), row(0.5, 0.4, 7.0), row(1, 1, 0), 1.0, 0.95)
    assert padded.advantages[0, :2].tolist() == pytest.approx(short.advantages[0].tolist())
    assert padded.advantages[0, 2] == padded.returns[0, 2] == 0


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    st.lists(st.floats(-3, 3), min_size=6, max_size=6),
)
def test_with_lambda_one_the_return_is_the_discounted_sum(
    rewards: list[float], values: list[float]
) -> None:
    length = len(rewards)
    found = gae(row(*rewards), row(*values[:length]), torch.ones(1, length), 0.9, 1.0)
    expected = [sum(0.9**k * r for k, r in enumerate(rewards[at:])) for at in range(length)]
    assert found.returns[0].tolist() == pytest.approx(expected, abs=1e-4)


def whitened(values: torch.Tensor, mask: torch.Tensor, answers: int) -> list[float]:
    sums = mask.sum(), (values * mask).sum(), (values**2 * mask).sum()
    found: list[float] = whiten(values, mask, *sums, torch.tensor(answers)).flatten().tolist()
    return found


def test_whitening_looks_at_counted_values_alone() -> None:
    found = whitened(torch.tensor([[1.0, 100.0], [3.0, 100.0]]), row(1, 0).expand(2, 2), 2)
    assert found == pytest.approx([-1.0, 0.0, 1.0, 0.0], abs=1e-4)


def test_a_single_answer_keeps_its_advantage() -> None:
    assert whitened(row(2.0, 2.0, 9.0), row(1, 1, 0), 1) == pytest.approx([2.0, 2.0, 0.0])


def test_a_clipped_step_by_hand() -> None:
    losses = clipped_losses(
        row(math.log(1.5), math.log(0.5), 0.0),
        row(0.9, 0.0, 0.0),
        row(0.0, 0.0, 0.0),
        row(0.5, 0.0, 0.0),
        Advantages(row(1.0, -2.0, 9.0), row(1.0, 0.5, 9.0)),
        row(1, 1, 0),
        torch.tensor(2.0),
        clip=0.2,
        value_clip=0.1,
    )
    # Policy: token 1 gains, ratio 1.5 is cut to 1.2: -1.2. Token 2 loses, ratio 0.5 is cut to 0.8:
    # max(1.0, 1.6) = 1.6. Mean 0.2.
    assert losses.policy.item() == pytest.approx(0.2)
    # Value: token 1 may move from 0.5 to 0.6 only: max(0.01, 0.16); token 2: 0.25.
    assert losses.value.item() == pytest.approx(0.5 * (0.16 + 0.25) / 2)
    assert losses.clipped.item() == 1.0


def test_the_gradient_of_a_clipped_token_is_zero() -> None:
    log_probs = row(math.log(1.5), math.log(0.9)).requires_grad_()
    losses = clipped_losses(
        log_probs,
        row(0.0, 0.0),
        row(0.0, 0.0),
        row(0.0, 0.0),
        Advantages(row(1.0, 1.0), row(0.0, 0.0)),
        row(1, 1),
        torch.tensor(2.0),
        clip=0.2,
        value_clip=0.2,
    )
    losses.policy.backward()
    assert log_probs.grad is not None
    # Token 1 already moved too far; token 2 pulls with -A·ratio/2.
    assert log_probs.grad.tolist()[0] == pytest.approx([0.0, -0.45])
