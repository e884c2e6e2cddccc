"""Answers as they are read, and the limit on requests in flight, without a server."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.models import Finish, Limiter, Usage, parse_answer


@pytest.mark.parametrize(
    ("message", "reasoning", "text"),
    [
        ({"content": "yes", "reasoning_content": "hmm"}, "hmm", "yes"),
        ({"content": "yes", "reasoning": "hmm"}, "hmm", "yes"),
        ({"content": "<think>hmm</think>\n\nyes"}, "hmm", "yes"),
        ({"content": "<think>hmm and on"}, "hmm and on", ""),
        ({"content": "a <think> in the text"}, "", "a <think> in the text"),
    ],
)
def test_reasoning_is_kept_apart(message: dict[str, str], reasoning: str, text: str) -> None:
    reply = parse_answer(json.dumps({"choices": [{"message": message}]}).encode())
    assert (reply.reasoning, reply.text) == (reasoning, text)


@pytest.mark.parametrize(
    "name", ["usage", "provider", "prompt_logprobs", "kv_transfer_params", "timings"]
)
def test_what_servers_tell_beside_an_answer_is_no_word_of_a_filter(name: str) -> None:
    answer = {"choices": [{"message": {"content": "yes"}}]}
    told = {"code": "content_filter", "filtered": True, "guardrail_name": "none"}
    assert parse_answer(json.dumps({**answer, name: told}).encode()).finish is Finish.STOP
    other = parse_answer(json.dumps({**answer, "guardrails": told}).encode())
    assert other.finish is Finish.FILTERED


def test_what_a_stream_took_that_nobody_asked_for_is_unknown() -> None:
    reply = parse_answer(b'data: {"choices": [{"delta": {"content": "yes"}}]}\n\n')
    assert (reply.finish, reply.usage) == (Finish.REJECTED, Usage())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
messages = st.fixed_dictionaries(
    {},
    optional={
        "content": json_values,
        "reasoning": json_values,
        "refusal": json_values,
    },
)


@pytest.mark.long
@given(message=messages | json_values, finish=json_values, usage=json_values, served=json_values)
def test_no_answer_does_worse_than_not_to_parse(
    message: Any, finish: Any, usage: Any, served: Any
) -> None:
    body = {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": usage,
        "model": served,
    }
    try:
        reply = parse_answer(json.dumps(body).encode())
    except ValueError:
        return
    reply.text.encode("utf-8")
    reply.reasoning.encode("utf-8")


async def test_the_limit_shrinks_under_overload_and_grows_back() -> None:
    limiter = Limiter(16)
    limiter.overloaded(None)
    limiter.overloaded(None)  # the same event
    assert limiter.limit == 8
    for _ in range(200):
        limiter.good()
    assert limiter.limit == 16


async def test_no_more_than_the_limit_are_in_flight_and_nobody_is_lost() -> None:
    limiter = Limiter(3)
    most = now = 0

    async def work(number: int) -> None:
        nonlocal most, now
        async with limiter:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1

    tasks = [asyncio.create_task(work(n)) for n in range(40)]
    await asyncio.sleep(0.002)
    for task in tasks[::7]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 3
    assert limiter.in_flight == 0
