"""Unlearning's losses against figures worked out by hand, and its order of rows."""

from __future__ import annotations

import math

import pytest
import torch

from vlsbench.aligning.unlearning import Mixed, ascent_loss, preference_loss


def test_ascent_stops_at_the_bound_token_by_token() -> None:
    log_probs = torch.tensor([[-1.0, -5.0, -0.5]], requires_grad=True)
    loss = ascent_loss(log_probs, torch.tensor([[1.0, 1.0, 0.0]]), bound=3.0)
    # 3 - 1 = 2 nats are missing from the first token and none from the second.
    assert loss.item() == pytest.approx(1.0)
    loss.backward()
    assert log_probs.grad is not None
    assert log_probs.grad.tolist() == [[0.5, 0.0, 0.0]]


def test_safe_unlearning_levels_off_as_the_answer_gets_unlikely() -> None:
    mask = torch.ones(1, 2)
    reference = torch.tensor([-1.0])
    losses = [
        preference_loss(torch.full((1, 2), nats), mask, reference, beta=2.0).item()
        for nats in (-1.0, -2.0, -30.0)
    ]
    # At the reference -log sigmoid(0) = log 2; one nat below, -log sigmoid(2).
    assert losses == pytest.approx([math.log(2), math.log(1 + math.exp(-2)), 0.0], abs=1e-6)


def test_every_stretch_of_the_data_holds_every_kind() -> None:
    kinds = ["harmful"] * 4 + ["safe"] * 4 + ["retain"] * 8
    order = list(Mixed(kinds, seed=1))
    assert sorted(order) == list(range(16))
    for start in range(0, 16, 4):
        part = sorted(kinds[row] for row in order[start : start + 4])
        assert part == ["harmful", "retain", "retain", "safe"]
