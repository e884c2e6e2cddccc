"""One harmless question first: what a model does not take is left out before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.evaluation.runs import only, rows, run
from tests.scripted import VERDICT, Asked, Said, Scripted, answer, completion, refuse, scripted
from vlsbench.auditing import AuditOutput
from vlsbench.building import build
from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation, Output
from vlsbench.guarding import evaluate_guard, plan_guard
from vlsbench.models import FatalCall
from vlsbench.pairs import Pair


def evaluated(out: Path, server: Scripted, **options: Any) -> Evaluation:
    pairs = [Pair(id=f"p{n}", query=f"Is toaster {n} hot?", harmful=True) for n in range(12)]
    given = {"model": f"m@{server.url}", "judge": f"j@{server.url}", "retries": 0}
    return run(pairs, out, **{**given, "no_probe": False, **options})


def unless(refused: Callable[[Asked], Any], said: Said) -> Callable[[Asked], Said]:
    return lambda asked: said if refused(asked) else answer(asked)


def has_system(asked: Asked) -> bool:
    return any(message["role"] == "system" for message in asked.body["messages"])


DIALECTS: dict[str, tuple[Callable[[Asked], Any], Said, Any]] = {
    "max_completion_tokens": (
        lambda asked: "max_tokens" in asked.body,
        refuse(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "unsupported_parameter",
        ),
        {"max_tokens": "max_completion_tokens"},
    ),
    "no temperature": (
        lambda asked: "temperature" in asked.body,
        refuse(400, "Unsupported value: 'temperature' does not support 0 with this model."),
        {"temperature": ""},
    ),
    "no temperature, pydantic": (
        lambda asked: "temperature" in asked.body,
        Said(
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "temperature"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
            422,
        ),
        {"temperature": ""},
    ),
    "no system role": (
        has_system,
        refuse(400, "System role not supported"),
        {"system": "the beginning of the question"},
    ),
}


@pytest.mark.parametrize(("refused", "said", "changes"), DIALECTS.values(), ids=DIALECTS)
def test_what_is_refused_is_left_out_or_renamed_and_said(
    tmp_path: Path, refused: Callable[[Asked], bool], said: Said, changes: dict[str, str]
) -> None:
    with scripted(unless(refused, said)) as server:
        done = evaluated(tmp_path / "r", server, system="Be brief.", judge="offline")
        wrong = [asked for asked in server.asked if refused(asked)]
        paid = len(server.asked)
        again = evaluated(tmp_path / "r", server, system="Be brief.", judge="offline")
        assert len(server.asked) == paid
    assert (len(wrong), paid) == (1, 14)
    assert only(done).scored == 12
    assert all("Be brief." in asked.text for asked in server.asked)
    target: Any = done.summary.identity["target"]
    assert target["adapted"] == changes
    (note,) = [note for note in done.summary.notes if "does not take all" in note]
    assert next(iter(changes)) in note
    assert again.summary.identity == done.summary.identity
    assert again.summary.notes == done.summary.notes


@pytest.mark.parametrize("name", ["seed", "system message"])
def test_nothing_is_left_out_that_was_not_sent(tmp_path: Path, name: str) -> None:
    with scripted(unless(bool, refuse(400, f"{name} not supported"))) as server:
        done = evaluated(tmp_path / "r", server, judge="offline", limit=1)
        assert len(server.asked) == 2  # the probe, and the pair
    target: Any = done.summary.identity["target"]
    assert "adapted" not in target


def test_a_resumed_run_asks_as_the_first_found_out(tmp_path: Path) -> None:
    refused, said, _ = DIALECTS["max_completion_tokens"]
    with scripted(unless(refused, said)) as server:
        evaluated(tmp_path / "r", server, max_calls=7, concurrency=1)
        asked = len(server.asked)
        done = evaluated(tmp_path / "r", server)
        assert not any(refused(one) for one in server.asked[asked:])
        # Two probes and twelve pairs, each paid once, and one refusal each of target and judge.
        assert len(server.asked) == 2 + 24 + 2
    assert only(done).scored == 12


def test_without_a_probe_a_refusal_is_the_questions_own(tmp_path: Path) -> None:
    refused, said, _ = DIALECTS["max_completion_tokens"]
    with scripted(unless(refused, said)) as server:
        done = evaluated(tmp_path / "r", server, no_probe=True, judge="offline")
    assert done.stopped is not None
    assert "max_completion_tokens" in done.stopped


def test_a_judge_that_cannot_be_asked_is_found_before_anything_is_bought(tmp_path: Path) -> None:
    with scripted(
        unless(lambda asked: asked.body["model"] == "j", refuse(401, "no such key"))
    ) as server:
        with pytest.raises(FatalCall, match="no such key"):
            evaluated(tmp_path / "r", server)
        assert sum(asked.body["model"] == "m" for asked in server.asked) == 1  # the probe


# Other jobs.


def asks(server: Scripted, road: str, out: Path) -> None:
    """Ask two models, or one, for another job than an evaluation."""
    model, connection = f"m@{server.url}", Connection(retries=0)
    output = Output(out=out, progress=False)
    pairs = [Pair(id=f"p{n}", query=f"Is toaster {n} hot?", harmful=n > 0) for n in range(3)]
    if road == "guard":
        plan = plan_guard(pairs, guard=model, connection=connection, output=output)
        evaluate_guard(plan)
    elif road == "judged":
        vlsbench.audit(
            "lab/leakless?n=2",
            measures=("judged",),
            judge=model,
            controls=("lab/benign?n=2",),
            connection=connection,
            output=AuditOutput(out=out, progress=False),
        )
    else:
        sets = ["leak_filter.overlap=false", "near_duplicates=false", f"models.writer={model}"]
        sets += [f"models.judge=j@{server.url}"]
        build("lab", overrides=sets, limit=2, out=out, connection=connection, progress=False)


@pytest.mark.parametrize("road", ["guard", "judged", "build"])
def test_whatever_is_asked_what_is_refused_is_found_out_by_one_question(
    tmp_path: Path, road: str
) -> None:
    refused, said, _ = DIALECTS["max_completion_tokens"]
    with scripted(unless(refused, said)) as server:
        asks(server, road, tmp_path / "r")
        models = {asked.body["model"] for asked in server.asked}
        assert sum(map(refused, server.asked)) == len(models)
    file = "*/judged.json" if road == "judged" else "summary.json"
    found = json.loads(next((tmp_path / "r").glob(file)).read_text())
    assert any("max_tokens is sent as max_completion_tokens" in note for note in found["notes"])


def test_a_role_of_a_build_that_cannot_be_asked_is_found_before_anything_is_bought(
    tmp_path: Path,
) -> None:
    with scripted(
        unless(lambda asked: asked.body["model"] == "j", refuse(401, "no such key"))
    ) as server:
        with pytest.raises(FatalCall, match="no such key"):
            asks(server, "build", tmp_path / "r")
        assert sum(asked.body["model"] == "m" for asked in server.asked) <= 1  # the probe


# Schemas.

SCHEMA = {
    "refused": refuse(400, "response_format is not supported"),
    "unknown field": refuse(400, "Unknown field: response_format"),
    "broken": refuse(500, "internal error"),
    "nonsense": Said(completion("{{{{")),
}


@pytest.mark.parametrize("probe", [True, False])
@pytest.mark.parametrize("said", SCHEMA.values(), ids=SCHEMA)
def test_a_judge_without_schemas_is_asked_without(tmp_path: Path, said: Said, probe: bool) -> None:
    with scripted(unless(lambda asked: "response_format" in asked.body, said)) as server:
        done = evaluated(tmp_path / "r", server, no_probe=not probe)
    assert only(done).scored == 12
    judge: Any = done.summary.identity["judge"]
    assert judge["schema"] == "refused"
    assert any("takes no JSON schema" in note for note in done.summary.notes)
    assert not any("harmless question" in note for note in done.summary.notes)


def test_a_refusal_of_the_harmless_question_itself_is_said(tmp_path: Path) -> None:
    with scripted(lambda _: refuse(422, "no toasters")) as server:
        done = evaluated(tmp_path / "r", server, judge="offline", max_calls=5)
    assert any("harmless question: http 422: no toasters" in n for n in done.summary.notes)


def test_a_verdict_among_the_thoughts_is_read(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        thought = Said(completion("", reasoning_content=VERDICT))
        return thought if asked.judges else answer(asked)

    with scripted(say) as server:
        done = evaluated(tmp_path / "r", server)
    assert only(done).warning.k == 12


# Anything else.


def test_other_parameters_go_into_the_body_and_the_identity(tmp_path: Path) -> None:
    extra = ("reasoning_effort=low", "top_p=0.9", 'extra_body={"top_k": 3, "stop": ["x"]}')
    with scripted() as server:
        done = evaluated(tmp_path / "r", server, extra=extra)
        plain = evaluated(tmp_path / "s", server)
        body = server.of(judge=False)[0].body
    more = {"reasoning_effort": "low", "top_p": 0.9, "top_k": 3, "stop": ["x"]}
    assert {name: body[name] for name in more} == more
    params: Any = done.summary.identity["params"]
    assert params["extra"] == more
    assert "extra" not in json.dumps(plain.summary.identity)
    assert len(rows(plain)) == 12


def test_a_parameter_that_is_none_is_one_line(tmp_path: Path) -> None:
    with scripted() as server:
        with pytest.raises(VlsbenchError, match="expected NAME=JSON"):
            evaluated(tmp_path / "r", server, extra=("top_p",))
        assert server.asked == []
