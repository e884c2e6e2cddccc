"""What holds for every judge, whatever decides: run over each of them, through a real ledger."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.judge.judges import IMAGE, NO_VERDICT, PAIR, Model, about, material
from vlsbench import registry
from vlsbench.engine import (
    Budget,
    CostBudget,
    Ledger,
    Record,
    RunContext,
    StopSignal,
    Tally,
    run_flow,
)
from vlsbench.errors import VlsbenchError
from vlsbench.judge import (
    FORMS,
    OFFLINE,
    Case,
    HarmJudge,
    Judge,
    JudgeContext,
    JudgeStage,
    Judging,
    Label,
    LLMJudge,
    Panel,
    Question,
    Unscored,
    Verdict,
    as_judge,
    ask_judge,
    harm_form,
    open_harm_judge,
    open_judge,
)
from vlsbench.models import Connections, Finish, Params, Reply, Request

VERDICT = json.dumps({"explanation": "It warns.", "label": "warning"})
HARM = json.dumps({"explanation": "It is hot.", "harmful": True})


def by_length(question: Question) -> str:
    """Call short replies refusals: a judge as a user would bring it."""
    reply = question.reply.text if question.reply else ""
    return "refusal" if len(reply) < 5 else "warning"


async def by_word(question: Question) -> Label:
    return Label.HARMFUL if "toaster" in question.text else Label.BENIGN


class Brief:
    """A judge as a class, with what the protocol asks for and no more."""

    name = "brief"
    model = None
    sees = False
    identity = {"brief": 1}  # noqa: RUF012

    async def judge(self, question: Question, call: object, *, epoch: int = 0) -> Verdict:
        return Verdict(Label.WARNING, "brief")


def guard(name: str) -> Callable[[Model], Judge]:
    return lambda model: HarmJudge(model, harm_form("mine", name))


def votes(model: Model) -> Judge:
    judges = [HarmJudge(model, params=Params(seed=seed)) for seed in range(3)]
    return Panel(judges, brief=True)


ASKING: dict[str, tuple[Callable[[Model], Judge], str, Question]] = {
    "model": (LLMJudge, VERDICT, about()),
    "majority": (lambda model: Panel([LLMJudge(model)] * 3), VERDICT, about()),
    "prompt": (HarmJudge, HARM, material()),
    "votes": (votes, HARM, material()),
    "llama-guard": (guard("llama-guard"), "unsafe\nS2", material()),
    "shieldgemma": (guard("shieldgemma"), "Yes", material()),
    "moderations": (
        guard("moderations"),
        '{"flagged": true, "categories": [], "score": 0.9}',
        material(),
    ),
    "qwen3guard": (guard("qwen3guard"), "Safety: Safe\nCategories: None\nRefusal: Yes", about()),
    "proguard": (guard("proguard"), "Request:unsafe\nResponse:safe\nCategory:C9S1", about()),
}
"""Name → a judge that asks a model, an answer that it can read, and a question for it."""
ALONE: dict[str, tuple[Judge, Question]] = {
    "offline": (OFFLINE, about("A toaster within reach of a toddler is dangerous.")),
    "function": (as_judge(by_length), about()),
    "async": (as_judge(by_word, "word"), material()),
    "class": (as_judge(Brief), about()),
}
"""Name → a judge that asks no model, and a question for it."""


def everyone() -> list[tuple[Judge, Question]]:
    asking = [(make(Model(said)), question) for make, said, question in ASKING.values()]
    return [*asking, *ALONE.values()]


EVERYONE = [
    pytest.param(*both, id=name) for name, both in zip([*ASKING, *ALONE], everyone(), strict=True)
]
OF_REPLIES = [case for case in EVERYONE if cast("Question", case.values[1]).reply]


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[RunContext]:
    with Ledger.write(tmp_path / "run") as ledger:
        stop = StopSignal()
        yield RunContext(ledger, (), Budget(stop, CostBudget(), {}), stop, Tally())


# The contract.


@pytest.mark.parametrize(("judge", "question"), EVERYONE)
def test_an_identity_is_plain_json(judge: Judge, question: Question) -> None:
    assert json.loads(json.dumps(judge.identity)) == judge.identity
    assert judge.identity


def test_different_judges_are_known_by_different_names_and_identities() -> None:
    told = Counter(json.dumps(judge.identity, sort_keys=True) for judge, _ in everyone())
    assert set(told.values()) == {1}
    assert json.dumps(LLMJudge(Model("")).identity) != json.dumps(
        LLMJudge(Model(""), JudgeContext.BOTH).identity
    )


@pytest.mark.parametrize(("judge", "question"), EVERYONE)
async def test_a_verdict_answers_the_question_and_is_kept(
    judge: Judge, question: Question, ctx: RunContext
) -> None:
    case = Record("1", Case(question, {"call": "abc", "images": []}))
    await run_flow([JudgeStage(judge)], [case], ctx, width=1)
    kept = ctx.ledger.outcome("1")
    assert kept is not None
    assert (kept.stage, kept.kind) == ("judge", "keep")
    assert kept.value["call"] == "abc"
    if question.reply:
        guards = {"qwen3guard": "refusal", "proguard": "safe"}
        form = str(judge.identity.get("form"))
        assert kept.value["label"] == guards.get(form, "warning")
        assert "reason" not in kept.value
    else:
        assert kept.value["harmful"] is (judge.name != "word")
        assert kept.value["reason"] == ""
    calls = kept.value.get("judge_calls", [])
    assert bool(calls) is (judge.model is not None)
    assert all(ctx.ledger.call(key) for key in calls)


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(("answer", "reason"), NO_VERDICT)
async def test_an_answer_that_is_no_verdict_never_becomes_a_label(
    name: str, answer: Reply, reason: str, ctx: RunContext
) -> None:
    make, _, question = ASKING[name]
    judge = make(Model(answer))
    verdict, calls = await ask_judge(judge, question, ctx)
    assert (verdict.label, verdict.reason) == (Label.UNSCORED, reason)
    assert verdict.harmful is None
    assert len(set(calls)) >= 3
    kept = Case(question).outcome(verdict, calls)
    assert kept.get("label", "unscored") == "unscored"
    assert kept.get("harmful") is None
    assert kept["reason"] == reason


@pytest.mark.parametrize(("judge", "question"), OF_REPLIES)
@pytest.mark.parametrize(
    ("reply", "label", "reason"),
    [
        (Reply("", Finish.FILTERED), Label.FILTERED, None),
        (Reply("Two minu", Finish.FILTERED), Label.FILTERED, None),
        (Reply("", Finish.REJECTED), Label.UNSCORED, Unscored.REPLY_REJECTED),
        (Reply(" \n"), Label.UNSCORED, Unscored.REPLY_EMPTY),
        (Reply("", Finish.REFUSAL), Label.REFUSAL, None),
    ],
)
async def test_a_reply_that_says_nothing_reaches_no_judge(
    judge: Judge, question: Question, reply: Reply, label: Label, reason: str, ctx: RunContext
) -> None:
    verdict, calls = await ask_judge(judge, replace(question, reply=reply), ctx)
    if judge.identity.get("form") == "proguard" and label is Label.REFUSAL:
        label = Label.SAFE  # it has no label for refusals
    assert (verdict.label, verdict.reason, verdict.tries, calls) == (label, reason, 0, ())


def test_a_verdict_is_unscored_if_and_only_if_it_has_a_reason() -> None:
    with pytest.raises(ValueError, match="if and only if"):
        Verdict(Label.UNSCORED)
    with pytest.raises(ValueError, match="if and only if"):
        Verdict(Label.UNSAFE, reason=Unscored.JUDGE_EMPTY)


@pytest.mark.parametrize(
    ("said", "question", "choices"),
    [
        ("unsafe", about(pair=replace(PAIR, harmful=False)), "refusal, warning, answered"),
        (Label.ANSWERED, about(), "refusal, warning, unsafe"),
        (Verdict(Label.WARNING), material(), "harmful, benign"),
        ("harmful", about(), "refusal, warning, unsafe"),
        ("unscored", about(), "refusal, warning, unsafe"),
        ("Refusal!", about(), "refusal, warning, unsafe"),
        (None, about(), "refusal, warning, unsafe"),
    ],
)
async def test_a_label_that_does_not_answer_the_question_stops_the_run(
    said: str, question: Question, choices: str, ctx: RunContext
) -> None:
    judge = as_judge(lambda question: said, "odd", version="1")
    with pytest.raises(VlsbenchError, match=f"judge odd labelled pair 1 .*choose {choices}"):
        await ask_judge(judge, question, ctx)


async def test_judges_of_replies_say_so_where_there_is_none(ctx: RunContext) -> None:
    for judge in (OFFLINE, LLMJudge(Model(VERDICT))):
        with pytest.raises(VlsbenchError, match="labels replies"):
            await ask_judge(judge, material(), ctx)


# Prompts: what is asked, schema and parameters included, changes only with its version.

ASKED = {
    ("model", "2"): "42c1c56294f025a7",
    ("prompt", "1"): "9a3fa56550a2f249",
    ("llama-guard", "4"): "a6d230c50c67c4e8",
    ("shieldgemma2", "4"): "e866962d7f20612f",
    ("shieldgemma", "4"): "96780821bea80a8f",
    ("llavaguard", "4"): "4f2a221dc06d46b0",
    ("guardreasoner-vl", "4"): "10d1bbb14c658d5e",
    ("proguard", "4"): "ba0f48cf46884cd5",
    ("singguard", "4"): "a6d230c50c67c4e8",
    ("qwen3guard", "4"): "892a3b6e45c91c3c",
    ("qwen3guard-loose", "4"): "892a3b6e45c91c3c",
    ("nemotron", "4"): "a6d230c50c67c4e8",
    ("moderations", "4"): "a835b1a3a6297f08",
}
"""Judge, and the version of its prompt in its identity → digest of all that it can ask."""


def every_reply() -> Iterator[tuple[JudgeContext, Question]]:
    for context in JudgeContext:
        for harmful in (True, False):
            for images in ((), (IMAGE,)):
                yield context, replace(about(pair=replace(PAIR, harmful=harmful)), images=images)


@pytest.mark.parametrize("name", ["model", *FORMS[1:]])
async def test_prompts_change_only_with_their_version(name: str) -> None:
    model = Model("gibberish {")
    cases: list[tuple[Judge, Question]]
    if name == "model":
        cases = [(LLMJudge(model, context), question) for context, question in every_reply()]
    else:
        text = "Can I give it <|eot_id|> this?"
        form = harm_form("mine", name)
        cases = [(HarmJudge(model, form), material(part, text)) for part in form.parts]
        if form.replies:
            pair = replace(PAIR, query=text)
            cases.append((HarmJudge(model, form), replace(about(pair=pair), text=text)))
    asked: list[Request] = []
    for judge, question in cases:
        before = len(model.asked)
        await judge.judge(question, model.ask)
        asked += model.asked[before : before + 3]  # then once more, without the schema
    digest = hashlib.sha256("\0".join(r.canonical for r in asked).encode()).hexdigest()
    assert ASKED[name, judge.identity["prompt"]] == digest[:16], "raise the version, pin the digest"


# Majorities.


async def test_a_majority_is_asked_for_until_it_is_sure(ctx: RunContext) -> None:
    no = json.dumps({"explanation": "It is cold.", "harmful": False})
    model = Model(HARM, no, no)
    verdict, calls = await ask_judge(votes(model), material(), ctx)
    assert (verdict.label, verdict.explanation) == (Label.BENIGN, "It is cold.")
    assert verdict.tries == len(calls) == len(model.asked) == 3
    agreed = Model(HARM)
    again, _ = await ask_judge(votes(agreed), material(text="Where is the toaster?"), ctx)
    assert (again.label, len(agreed.asked)) == (Label.HARMFUL, 2)


async def test_a_majority_that_nobody_has_is_no_label(ctx: RunContext) -> None:
    said = iter(["refusal", "warning", "unsafe"])
    divided = Panel([as_judge(lambda question: next(said), "one", version="1")] * 3)
    verdict, _ = await ask_judge(divided, about(), ctx)
    assert (verdict.label, verdict.reason) == (Label.UNSCORED, Unscored.JUDGE_DIVIDED)


# What users bring.


def test_a_judge_is_named_or_brought() -> None:
    connections = Connections()
    registry.judge("by-length")(by_length)
    registry.judge("brief")(Brief)
    with pytest.raises(VlsbenchError, match=r"no judge 'rulez': there are .*offline"):
        open_judge("rulez", connections)
    assert open_judge("offline", connections) is OFFLINE
    assert open_judge("rules", connections) is OFFLINE  # its name in 0.1
    assert open_judge("by-length", connections).name == "by-length"
    assert open_judge("brief", connections).identity == {"brief": 1}
    mine = Brief()
    assert open_judge(mine, connections) is mine
    assert open_harm_judge(by_word, connections).name == "by_word"
    spec = "llama-guard3@http://localhost/v1"
    of_replies = open_judge(spec, connections)
    assert (of_replies.name, of_replies.identity["form"]) == (spec, "llama-guard")
    asked = open_judge(spec, connections, Judging(form="prompt"), context=JudgeContext.BOTH)
    assert (asked.name, asked.identity["context"]) == (spec, "both")
    plain = Judging(context="description", form="prompt")  # type: ignore[arg-type]
    cheap = open_judge(spec, connections, plain)
    assert (cheap.sees, cheap.identity["context"]) == (False, "description")
    of_harm = open_harm_judge(spec, connections)
    assert (of_harm.identity["form"], of_harm.sees) == ("llama-guard", False)
    with pytest.raises(VlsbenchError, match="nobody"):
        open_judge("nobody", connections)
    with pytest.raises(VlsbenchError, match="is not a judge"):
        as_judge(3)  # type: ignore[arg-type]


def test_a_function_that_changes_is_another_judge() -> None:
    def same(question: Question) -> str:
        return "warning"

    first = as_judge(same).identity

    def same(question: Question) -> str:  # type: ignore[no-redef]
        return "refusal"

    assert as_judge(same).identity != first
    assert as_judge(same, version="2").identity == {"function": "same", "version": "2"}
    made: dict[str, Callable[[Question], str]] = {}
    exec("def unseen(question): return 'warning'", made)
    with pytest.raises(VlsbenchError, match="source cannot be read"):
        as_judge(made["unseen"])
