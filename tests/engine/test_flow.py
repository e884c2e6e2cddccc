"""The executor: overlap, fan-out, what ends a record, and what leaves it open."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from vlsbench.config import Limits
from vlsbench.engine import (
    Budget,
    Children,
    Context,
    CostBudget,
    Drop,
    Keep,
    Ledger,
    Quarantine,
    Record,
    Result,
    RunContext,
    Stage,
    StopSignal,
    Tally,
    run_flow,
)
from vlsbench.models import CallFailed, FatalCall, Finish, Params, Reply, Request, Usage
from vlsbench.models import Price as ModelPrice


class Echo:
    """A model in process that answers with the question, slowly."""

    spec = "echo"
    endpoint = "echo"
    identity = {"name": "echo"}  # noqa: RUF012

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.asked: list[str] = []
        self.now = self.most = 0

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request.text)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.delay)
        self.now -= 1
        if "unanswerable" in request.text:
            raise CallFailed("http 500", 7)
        if "fatal" in request.text:
            raise FatalCall("the key is wrong")
        finish = Finish.REJECTED if "rejected" in request.text else Finish.STOP
        return Reply(request.text, finish, usage=Usage(10, 10))

    async def close(self) -> None:
        """Nothing to close."""


class Ask:
    name = "ask"
    version = "1"

    def __init__(self, model: Echo) -> None:
        self.model = model
        self.ended: list[str] = []

    async def run(self, record: Record, ctx: Context) -> Result:
        reply = await ctx.call("target", self.model, Request(record.value))
        self.ended.append(record.id)
        return Keep(reply.text)


class Decide:
    name = "decide"
    version = "1"

    def __init__(self) -> None:
        self.began: list[str] = []

    async def run(self, record: Record, ctx: Context) -> Result:
        self.began.append(record.id)
        if "bad" in record.value:
            return Drop("bad", {"text": record.value})
        if "odd" in record.value:
            return Quarantine("odd")
        return Keep({"text": record.value})


class Split:
    name = "split"
    version = "1"

    async def run(self, record: Record, ctx: Context) -> Result:
        return Children([Record(f"{record.id}/{n}", f"{record.value} {n}") for n in range(3)])


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    with Ledger.write(tmp_path / "run") as opened:
        yield opened


def context(ledger: Ledger, **budget: float | int | None) -> RunContext:
    signal = StopSignal()
    prices = {"echo": ModelPrice(1e6, 1e6)}  # a dollar a token
    spending = CostBudget.of(Limits(**budget))  # type: ignore[arg-type]
    return RunContext(ledger, [], Budget(signal, spending, prices), signal, Tally())


def records(*texts: str) -> list[Record]:
    return [Record(f"{n:04}", text) for n, text in enumerate(texts)]


async def test_every_record_ends_once_in_the_way_its_stage_says(ledger: Ledger) -> None:
    ctx = context(ledger)
    model = Echo()
    stages: list[Stage] = [Ask(model), Decide()]
    await run_flow(stages, records("good", "bad", "odd"), ctx, width=2)
    assert [(o.record, o.stage, o.kind, o.reason) for o in ledger.outcomes()] == [
        ("0000", "decide", "keep", ""),
        ("0001", "decide", "drop", "bad"),
        ("0002", "decide", "quarantine", "odd"),
    ]
    assert ctx.tally.done == 3
    again = context(ledger)
    await run_flow(stages, records("good", "bad", "odd", "new"), again, width=2)
    assert model.asked == ["good", "bad", "odd", "new"]


async def test_stages_overlap_and_width_bounds_what_is_under_way(ledger: Ledger) -> None:
    model, decide = Echo(0.005), Decide()
    ask = Ask(model)
    seen_ahead = []

    def source() -> Iterator[Record]:
        for number in range(60):
            seen_ahead.append(number - len(ledger.ended()))
            yield Record(f"{number:04}", f"q{number}")

    await run_flow([ask, decide], source(), context(ledger), width=4)
    assert model.most == 4
    # Some record was decided while others were not yet asked.
    assert decide.began
    assert ask.ended[:20] != [f"{n:04}" for n in range(60)][-20:]
    assert max(seen_ahead) <= 8
    assert len(ledger.ended()) == 60


async def test_children_go_on_in_their_parents_place_and_survive_a_stop(ledger: Ledger) -> None:
    model = Echo()
    ctx = context(ledger, max_calls=4)
    stages: list[Stage] = [Split(), Ask(model), Decide()]
    await run_flow(stages, records("a", "b"), ctx, width=2)
    assert ctx.signal.reason is not None
    assert len(ledger.ended()) == 4
    await run_flow(stages, records("a", "b"), context(ledger), width=2)
    assert ledger.ended() == {f"{p}/{n}" for p in ("0000", "0001") for n in range(3)}
    assert sorted(model.asked) == sorted(f"{p} {n}" for p in "ab" for n in range(3))


async def test_equal_questions_in_flight_are_asked_once(ledger: Ledger) -> None:
    model = Echo(0.01)
    await run_flow([Ask(model), Decide()], records(*["same"] * 10), context(ledger), width=10)
    assert model.asked == ["same"]
    assert len(ledger.ended()) == 10


async def test_equal_questions_in_flight_fail_together(ledger: Ledger) -> None:
    model = Echo(0.01)
    texts = ["unanswerable"] * 5 + ["good"] * 30
    await run_flow([Ask(model), Decide()], records(*texts), context(ledger), width=10)
    assert model.asked.count("unanswerable") == 1
    lost = [outcome for outcome in ledger.outcomes() if outcome.kind == "quarantine"]
    assert [(one.record, one.reason) for one in lost] == [
        (f"{n:04}", "unanswered") for n in range(5)
    ]


async def test_a_question_is_on_record_as_it_was_asked(ledger: Ledger) -> None:
    request = Request(
        'Ünï "q"\\ \n\u2028 \ud800 😀', system="be brief", params=Params(99, 0.5, 3), sample=2
    )
    await context(ledger).call("target", Echo(), request)
    (call,) = ledger.calls()
    assert call.asked == request.rendered()


async def test_no_answer_closes_a_record_only_if_the_run_went_all_the_way(ledger: Ledger) -> None:
    texts = ["good"] * 30 + ["unanswerable"]
    ctx = context(ledger)
    await run_flow([Ask(Echo()), Decide()], records(*texts), ctx, width=1)
    lost = ledger.outcome("0030")
    assert lost is not None
    assert (lost.stage, lost.kind, lost.reason) == ("ask", "quarantine", "unanswered")


@pytest.mark.parametrize("kind", ["unanswerable", "rejected"])
async def test_a_run_of_failures_stops_it(ledger: Ledger, kind: str) -> None:
    model = Echo()
    ctx = context(ledger)
    texts = [f"{kind} {n}" for n in range(500)]
    await run_flow([Ask(model), Decide()], records(*texts), ctx, width=4)
    assert ctx.signal.reason is not None
    assert "too many calls fail" in ctx.signal.reason
    assert len(model.asked) <= 14
    if kind == "unanswerable":
        assert ledger.ended() == set()


async def test_a_fatal_error_ends_the_run_and_is_handed_up(ledger: Ledger) -> None:
    ctx = context(ledger)
    await run_flow([Ask(Echo()), Decide()], records("a", "fatal", *["b"] * 50), ctx, width=1)
    assert isinstance(ctx.signal.error, FatalCall)
    assert ledger.ended() == {"0000"}


async def test_a_defect_of_ours_is_not_swallowed(ledger: Ledger) -> None:
    class Broken:
        name = "broken"
        version = "1"

        async def run(self, record: Record, ctx: Context) -> Result:
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        await run_flow([Broken()], records("a", "b"), context(ledger), width=2)


async def test_money_in_flight_counts_with_the_most_it_can_cost(ledger: Ledger) -> None:
    ctx = context(ledger, max_cost=9000.0)
    model = Echo(0.001)
    texts = [f"question {n}" for n in range(400)]
    await run_flow([Ask(model), Decide()], records(*texts), ctx, width=20)
    assert ctx.signal.reason is not None
    assert "$9000" in ctx.signal.reason
    # 20 dollars a call; one call more could have cost over 2,048.
    assert 9000 - 2100 <= ctx.tally.cost <= 9000
    assert model.most <= 4


async def test_a_reply_is_on_disk_before_the_next_stage_sees_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    import sqlite3

    class Look:
        name = "look"
        version = "1"

        async def run(self, record: Record, ctx: Context) -> Result:
            with sqlite3.connect(tmp_path / "run" / "ledger.sqlite") as other:
                (count,) = other.execute("SELECT count(*) FROM calls").fetchone()
            return Keep({"recorded": count})

    await run_flow([Ask(Echo()), Look()], records("a"), context(ledger), width=1)
    outcome = ledger.outcome("0000")
    assert outcome is not None
    assert outcome.value == {"recorded": 1}
