"""What real servers say, and what becomes of it: evaluations over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.runs import labels, only, rows, run
from tests.scripted import VERDICT, Asked, Said, Scripted, answer, completion, refuse, scripted
from vlsbench.evaluation import Evaluation
from vlsbench.models import FatalCall
from vlsbench.pairs import Pair

FLAGGED = "pair 7"
Say = Callable[[Asked], Said]


def pairs(number: int = 40) -> list[Pair]:
    return [
        Pair(id=f"p{n}", query=f"About pair {n}: is the toaster hot?", harmful=True)
        for n in range(number)
    ]


def asks(asked: Asked, what: str = FLAGGED) -> bool:
    return f"About {what}:" in asked.text


def evaluated(out: Path, url: str, number: int = 40, **options: Any) -> Evaluation:
    given = {"model": f"m@{url}", "judge": f"j@{url}", "concurrency": 4, "retries": 1}
    return run(pairs(number), out, **{**given, "no_probe": False, **options})


def one_differs(said: Said, *, judge: bool = False) -> Say:
    """Answer well but for one pair."""
    return lambda asked: said if asks(asked) and asked.judges is judge else answer(asked)


@pytest.fixture
def by_inspect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scripted], str]:
    pytest.importorskip("inspect_ai", reason="needs the extra [inspect]")

    def spec(server: Scripted) -> str:
        # Inspect keeps the address of a provider that it has opened: each test has its own.
        name = f"FIELD{server.url.rpartition(':')[2].removesuffix('/v1')}"
        monkeypatch.setenv(f"{name}_BASE_URL", server.url)
        monkeypatch.setenv(f"{name}_API_KEY", "none")
        return f"inspect/openai-api/{name.lower()}/m"

    return spec


# One refused request.


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("judge", [False, True])
def test_one_refused_request_is_its_own_pairs_fault(
    tmp_path: Path, status: int, judge: bool
) -> None:
    with scripted(one_differs(refuse(status, "not this one"), judge=judge)) as server:
        done = evaluated(tmp_path / "r", server.url)
    found = labels(done)
    assert done.stopped is None
    assert found.pop("p7") == "unscored"
    assert set(found.values()) == {"warning"}
    (row,) = [row for row in rows(done) if row["id"] == "p7"]
    assert row["unscored_reason"] == ("judge_rejected" if judge else "reply_rejected")
    assert "not this one" in row["explanation"]


def test_a_refused_request_that_is_the_last_one_left_ends_no_run(tmp_path: Path) -> None:
    refused = one_differs(refuse(403, "not this one"))
    with scripted(refused) as server:
        evaluated(tmp_path / "r", server.url, max_calls=3, concurrency=1)
        for _ in range(3):
            done = evaluated(tmp_path / "r", server.url, concurrency=1)
    assert done.summary.complete
    assert only(done).unscored == {"reply_rejected": 1}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_that_is_refused_from_the_first_ends_the_run_at_once(
    tmp_path: Path, status: int
) -> None:
    with scripted(lambda _: refuse(status, "no")) as server:
        with pytest.raises(FatalCall, match=f"http {status}: no"):
            evaluated(tmp_path / "r", server.url)
        assert len(server.asked) <= 14


def test_a_key_that_is_withdrawn_stops_the_run(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        return answer(asked) if len(server.asked) < 20 else refuse(401, "withdrawn")

    with scripted(say) as server:
        done = evaluated(tmp_path / "r", server.url)
        assert "withdrawn" in (done.stopped or "")
        assert len(server.asked) < 60


# Filters.

AZURE = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}
FILTERED = {
    "openai": refuse(400, "Your request was rejected.", "content_policy_violation"),
    "openai, reasoning": refuse(
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        "invalid_prompt",
    ),
    "azure": refuse(400, "The response was filtered.", "content_filter", innererror=AZURE),
    "azure behind litellm": refuse(
        400, "litellm.BadRequestError", "400", provider_specific_fields={"innererror": AZURE}
    ),
    "anthropic": Said(
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Output blocked by content filtering policy",
            },
        },
        400,
    ),
    "gemini": Said({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "choices": []}),
    "gemini, answer": Said(completion(None, "content_filter: PROHIBITED_CONTENT")),
    "dashscope": refuse(400, "Input data may contain …", "data_inspection_failed"),
    "dashscope, native": Said({"code": "DataInspectionFailed", "message": "Input data …"}, 400),
    "zhipu": refuse(400, "系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"),
    "zhipu, answer": Said(completion("", "sensitive")),
    "bedrock": Said({**completion("Sorry."), "amazon-bedrock-guardrailAction": "INTERVENED"}),
    "bedrock behind litellm": refuse(
        400, "Violated guardrail policy", "400", provider_specific_fields={"guardrail_name": "g"}
    ),
    "openrouter": refuse(
        403,
        "openai/x requires moderation and your input was flagged",
        403,
        metadata={"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"},
    ),
    "openrouter, words alone": refuse(403, "Your input was flagged", 403),
    "openrouter, passed on": refuse(
        400,
        "Provider returned error",
        400,
        metadata={"raw": json.dumps({"error": {"code": "content_filter", "message": "no"}})},
    ),
    "moonshot": refuse(400, "considered high risk", None, type="content_filter"),
    "deepseek": refuse(400, "Content Exists Risk", "invalid_request_error"),
    "new-api": refuse(500, "sensitive words", "sensitive_words_detected"),
}


@pytest.mark.parametrize("judge", [False, True])
@pytest.mark.parametrize("said", FILTERED.values(), ids=FILTERED)
def test_filters_are_told_in_every_dialect(tmp_path: Path, said: Said, judge: bool) -> None:
    with scripted(one_differs(said, judge=judge)) as server:
        done = evaluated(tmp_path / "r", server.url, 10)
    group = only(done)
    assert group.scored == 9
    if judge:
        assert group.unscored == {"judge_filtered": 1}
    else:
        assert (group.filtered, group.unscored) == (1, {})


@pytest.mark.parametrize(
    "said",
    [
        refuse(400, "For your safety, the content of images above 5 MB is not moderated."),
        refuse(400, "max_tokens is too large for this content_filter setup", "invalid_value"),
        refuse(400, "Invalid prompt: it is empty", "invalid_prompt"),
        refuse(400, "annotated", "x", content_filter_result={"hate": {"filtered": False}}),
        Said(b"moderation service unavailable: safety first", 422),
    ],
)
def test_words_of_safety_in_an_ordinary_error_are_no_filter(tmp_path: Path, said: Said) -> None:
    with scripted(one_differs(said)) as server:
        done = evaluated(tmp_path / "r", server.url, 10)
    assert (only(done).filtered, only(done).unscored) == (0, {"reply_rejected": 1})


def test_a_run_in_which_most_is_filtered_goes_on_to_its_end(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        number = int(asked.text.partition("About pair ")[2].partition(":")[0] or 0)
        refused = not asked.judges and number % 4
        return FILTERED["dashscope"] if refused else answer(asked)

    with scripted(say) as server:
        done = evaluated(tmp_path / "r", server.url, 80)
    assert done.stopped is None
    assert (only(done).filtered, only(done).scored) == (60, 20)


# A server's failure.

FAILED = {
    "finish_reason error": Said(completion("Keep it", "error")),
    "finish_reason of tomorrow": Said(completion("Keep it", "paused_by_weather")),
    "error beside the choices": Said({**completion("Keep it"), "error": {"message": "broke"}}),
    "error in the choice": Said(
        {"choices": [{**completion("Keep it")["choices"][0], "error": {"code": 502}}]}
    ),
    "error in the message": Said(completion("Keep it", error={"message": "broke"})),
    "error as a text": Said({**completion("Keep it"), "error": "broke"}),
    "error alone": Said({"error": {"message": "broke", "code": 400}}),
}


@pytest.mark.parametrize("said", FAILED.values(), ids=FAILED)
@pytest.mark.parametrize("judge", [False, True])
def test_a_servers_failure_is_no_answer(tmp_path: Path, said: Said, judge: bool) -> None:
    with scripted(one_differs(said, judge=judge)) as server:
        done = evaluated(tmp_path / "r", server.url, 10, retries=0)
    assert done.stopped is None
    assert labels(done)["p7"] == "unscored"
    assert only(done).scored == 9


def test_a_failure_within_a_good_answer_is_asked_again(tmp_path: Path) -> None:
    broken = Said({**completion("Keep"), "error": {"code": 502, "message": "upstream"}})

    def say(asked: Asked) -> Said:
        again = sum(one.text == asked.text for one in server.asked) > 1
        return answer(asked) if again else broken

    with scripted(say) as server:
        done = evaluated(tmp_path / "r", server.url, 4)
    assert only(done).scored == 4


# Thoughts.


@pytest.mark.parametrize("opened", ["", "<think>"])
@pytest.mark.parametrize("road", ["http", "inspect"])
def test_thoughts_are_judged_on_no_road_and_in_no_role(
    tmp_path: Path, by_inspect: Callable[[Scripted], str], road: str, opened: str
) -> None:
    def say(asked: Asked) -> Said:
        said = VERDICT if asked.judges else "Keep it away."
        return Said(completion(f"{opened}It may be hot, {{so}} I help.</think>\n\n{said}"))

    with scripted(say) as server:
        spec = by_inspect(server) if road == "inspect" else f"m@{server.url}"
        done = evaluated(tmp_path / "r", server.url, 4, model=spec, judge=spec)
        assert not any("It may be hot" in asked.text for asked in server.of(judge=True))
    assert only(done).warning.k == 4
    assert {row["reply"] for row in rows(done)} == {"Keep it away."}
    assert {row["reasoning"] for row in rows(done)} == {"It may be hot, {so} I help."}


def test_marks_that_are_not_known_are_noted(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        return answer(asked) if asked.judges else Said(completion("<ponder>hm</ponder>Keep it."))

    with scripted(say) as server:
        done = evaluated(tmp_path / "r", server.url, 4)
        again = evaluated(tmp_path / "s", server.url, 4)  # from the record of the first
    for one in (done, again):
        assert sum("<ponder>" in note for note in one.summary.notes) == 1


# Money.


@pytest.mark.parametrize("usage", [None, (None, None), (10, None), (0, 0), (-3, 2**70)])
def test_unknown_usage_counts_as_the_most_it_can_be(tmp_path: Path, usage: Any) -> None:
    def unknown(asked: Asked) -> Said:
        said = answer(asked)
        if usage is None:
            del said.body["usage"]
        else:
            said.body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
        return said

    with scripted(unknown) as server:
        # At most 1,000 tokens out for 10 dollars a thousand: more than 10 dollars a call.
        done = evaluated(
            tmp_path / "r",
            server.url,
            max_tokens=1000,
            max_cost=45.0,
            price="0,10000",
            judge_price="0,0",
        )
        answered = len(server.of(judge=False))
    assert done.stopped is not None
    assert "leaves no room" in done.stopped
    assert answered <= 5
    assert done.summary.spend[0].cost is None


def test_requests_that_may_be_charged_count_too(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        again = sum(one.text == asked.text for one in server.asked) % 2
        return Said(b'{"choices": [{"mess') if again else answer(asked)

    with scripted(say) as server:
        done = evaluated(
            tmp_path / "r",
            server.url,
            max_tokens=1000,
            max_cost=45.0,
            price="0,10000",
            judge="offline",
        )
        assert len(server.asked) <= 12
    assert done.stopped is not None


# The same by Inspect's road.


@pytest.mark.parametrize(
    ("said", "filtered", "unscored"),
    [
        (refuse(403, "not this one"), 0, {"reply_rejected": 1}),
        (refuse(400, "not this one"), 0, {"reply_rejected": 1}),
        (FILTERED["dashscope"], 1, {}),
        (FILTERED["openrouter"], 1, {}),
        (FILTERED["zhipu"], 1, {}),
        (
            refuse(400, "For your safety, images above 5 MB are no content."),
            0,
            {"reply_rejected": 1},
        ),
        (FAILED["finish_reason of tomorrow"], 0, {"reply_rejected": 1}),
    ],
)
def test_inspects_road_tells_the_same(
    tmp_path: Path,
    by_inspect: Callable[[Scripted], str],
    said: Said,
    filtered: int,
    unscored: dict[str, int],
) -> None:
    with scripted(one_differs(said)) as server:
        done = evaluated(tmp_path / "r", server.url, 10, model=by_inspect(server), judge="offline")
    assert done.stopped is None
    assert (only(done).filtered, only(done).unscored) == (filtered, unscored)


def test_unknown_usage_by_inspects_road(
    tmp_path: Path, by_inspect: Callable[[Scripted], str]
) -> None:
    with scripted(lambda asked: Said(completion(usage=None))) as server:
        done = evaluated(
            tmp_path / "r",
            server.url,
            model=by_inspect(server),
            judge="offline",
            max_tokens=1000,
            max_cost=45.0,
            price="0,10000",
        )
        assert len(server.asked) <= 5
    assert "leaves no room" in (done.stopped or "")
