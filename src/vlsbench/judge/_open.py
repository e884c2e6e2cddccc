"""From what a user names or brings to a judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vlsbench.judge._asking import JudgeFormat
from vlsbench.judge._function import RULES, Brought, as_judge
from vlsbench.judge._guards import harm_form
from vlsbench.judge._harm import HarmJudge
from vlsbench.judge._judge import Judge
from vlsbench.judge._llm import JUDGE_PARAMS, JudgeContext, LLMJudge
from vlsbench.models import ChatModel, HttpChat, Params


class OpenModel(Protocol):
    """Opens a model; see `Connections.open`."""

    def __call__(self, spec: str, *, chat: type[HttpChat] = HttpChat) -> ChatModel:
        """Return the model that a spec names."""


Find = Callable[[str], Brought | None]
"""Looks a registered judge up by its name; None where there is none."""


def open_judge(
    judge: str | Brought,
    open_model: OpenModel,
    *,
    context: JudgeContext = JudgeContext.IMAGE,
    form: JudgeFormat = JudgeFormat.AUTO,
    params: Params = JUDGE_PARAMS,
    find: Find | None = None,
) -> Judge:
    """Return a judge of replies.

    Args:
        judge: `rules`, the name of a registered judge, the spec of a model, or what `as_judge`
            takes.
        open_model: Opens the model that a spec names.
        context: How a model learns what is in the picture; see `LLMJudge`.
        form: How it is held to its format.
        params: Sampling parameters of its calls.
        find: Looks registered judges up.

    Raises:
        VlsbenchError: It is none of these.
    """
    if judge == RULES.name:
        return RULES
    return _given(judge, find) or LLMJudge(open_model(str(judge)), context, form, params)


def open_harm_judge(
    judge: str | Brought,
    open_model: OpenModel,
    *,
    form: str = "auto",
    sees: bool = True,
    find: Find | None = None,
) -> Judge:
    """Return a judge of material: is it harmful?

    Args:
        judge: The name of a registered judge, the spec of a model, or what `as_judge` takes.
        open_model: Opens the model that a spec names.
        form: How the model is asked, one of `FORMS`; `auto` knows guard models by their names.
        sees: False for a model that takes no images.
        find: Looks registered judges up.

    Raises:
        VlsbenchError: It is none of these, or a guard that judges no text.
    """
    if given := _given(judge, find):
        return given
    how = harm_form(str(judge), form)
    return HarmJudge(open_model(str(judge), chat=how.chat), how, sees=sees)


def _given(judge: str | Brought, find: Find | None) -> Judge | None:
    """Return a judge that is not the spec of a model."""
    if not isinstance(judge, str):
        return as_judge(judge)
    found = find(judge) if find else None
    return None if found is None else as_judge(found, judge)
