"""Several judgements of one question, and what more than half of them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from vlsbench.judge._asking import Caller
from vlsbench.judge._judge import Judge, Question, rubric_of
from vlsbench.judge._verdict import Label, Unscored, Verdict, is_scored
from vlsbench.pairs import Pair

T = TypeVar("T")


async def majority(
    votes: int, ask: Callable[[int], Awaitable[T]], side: Callable[[T], Hashable | None]
) -> T | None:
    """Ask until more than half of so many votes are on one side.

    Args:
        votes: How many there are at most.
        ask: Gets a vote, given its number.
        side: Tells which side a vote is on; None where it is on none.

    Returns:
        The first vote of the majority. Where there is none, the last vote on no side; None where
        all votes are on sides.
    """
    counts: Counter[Hashable] = Counter()
    first: dict[Hashable, T] = {}
    lost: T | None = None
    for number in range(votes):
        vote = await ask(number)
        if (chosen := side(vote)) is None:
            lost = vote
            continue
        counts[chosen] += 1
        first.setdefault(chosen, vote)
        if 2 * counts[chosen] > votes:
            return first[chosen]
    return lost


class MajorityJudge:
    """Judges of one model, each asked with its own parameters; implements `Judge`."""

    def __init__(self, judges: Sequence[Judge]) -> None:
        """Take the judges; an odd number, or two labels can tie."""
        self._judges = tuple(judges)
        self.name, self.model = judges[0].name, judges[0].model
        self.sees = all(judge.sees for judge in judges)
        self.rubric = rubric_of(judges[0])

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Judge.identity`."""
        asked = [
            {key: value for key, value in judge.identity.items() if key not in ("model", "sees")}
            for judge in self._judges
        ]
        model = {"model": dict(self.model.identity)} if self.model else {}
        return {**model, "asking": asked, "votes": len(asked)}

    def check(self, pair: Pair) -> None:
        """Raise what any of the judges raises."""
        for judge in self._judges:
            judge.check(pair)

    async def judge(self, question: Question, call: Caller, *, epoch: int = 0) -> Verdict:
        """Ask until a majority is sure; see `Judge.judge`."""
        tries = 0

        async def ask(number: int) -> Verdict:
            nonlocal tries
            verdict = await self._judges[number].judge(question, call, epoch=epoch)
            tries += verdict.tries
            return verdict

        found = await majority(
            len(self._judges),
            ask,
            lambda verdict: verdict.label if is_scored(verdict.label) else None,
        )
        found = found or Verdict(Label.UNSCORED, reason=Unscored.JUDGE_DIVIDED)
        return replace(found, tries=tries)


class RepeatedJudge:
    """A judge that is asked several times about each reply; implements `Judge`."""

    def __init__(self, judge: Judge, times: int) -> None:
        """Take the judge, and how often it is asked; with an odd number two labels cannot tie."""
        self._judge, self._times = judge, times
        self.name, self.model, self.sees = judge.name, judge.model, judge.sees
        self.rubric = rubric_of(judge)

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Judge.identity`."""
        return {**self._judge.identity, "repeats": self._times}

    def check(self, pair: Pair) -> None:
        """Raise what the judge raises."""
        self._judge.check(pair)

    async def judge(self, question: Question, call: Caller, *, epoch: int = 0) -> Verdict:
        """Ask every time, because the votes tell how far the judge varies; see `Judge.judge`."""
        verdicts = [
            await self._judge.judge(question, call, epoch=epoch * self._times + number)
            for number in range(self._times)
        ]
        votes = tuple(verdict.label for verdict in verdicts)
        found = next((v for v in verdicts if 2 * votes.count(v.label) > self._times), None)
        found = found or next((v for v in verdicts if not is_scored(v.label)), None)
        found = found or Verdict(Label.UNSCORED, reason=Unscored.JUDGE_DIVIDED)
        return replace(found, tries=sum(verdict.tries for verdict in verdicts), votes=votes)
