"""Prices: of a dated table, by the provider that is asked, and never guessed."""

import re

import pytest

from vlsbench.models import Price, price_of, prices_known


@pytest.mark.parametrize(
    "spec",
    [
        "openai/gpt-4o",
        "inspect/anthropic/claude-sonnet-4-0",
        "inspect/google/gemini-2.5-pro",
        "anthropic/claude-sonnet-4@https://openrouter.ai/api/v1",
        "gpt-4o@https://here.openai.azure.com/openai/v1",
    ],
)
def test_models_of_providers_have_a_price(spec: str) -> None:
    price = price_of(spec)
    assert price is not None
    assert 0 < price.input < price.output


@pytest.mark.parametrize(
    "spec",
    [
        "openai/no-such-model",
        "gpt-4o@http://127.0.0.1:8000/v1",  # a server that only has the name of it
        "inspect/openai-api/mine/gpt-4o",
        "openai/gpt-image-1",  # paid by the image
        "openai/text-embedding-3-small",
    ],
)
def test_what_is_not_known_has_none(spec: str) -> None:
    assert price_of(spec) is None


@pytest.mark.parametrize("spec", ["lab/blind", "offline", "hf/org/model"])
def test_what_runs_here_costs_nothing(spec: str) -> None:
    assert price_of(spec) == Price(0.0, 0.0)


def test_the_table_says_its_date() -> None:
    assert re.fullmatch(r"genai-prices \S+, latest change \d{4}-\d\d-\d\d", prices_known())
