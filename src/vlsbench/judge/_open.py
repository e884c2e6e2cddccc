"""From what a user names or brings to a judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vlsbench import registry
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.files import unreadable
from vlsbench.judge._function import OFFLINE, STRINGS, Brought, FunctionJudge, as_judge
from vlsbench.judge._guards import harm_form
from vlsbench.judge._harm import HarmJudge
from vlsbench.judge._judge import Judge, Part, rubric_of
from vlsbench.judge._llm import JUDGE_PARAMS, JudgeContext, LLMJudge
from vlsbench.judge._panel import Panel, Vote
from vlsbench.judge._rubric import SHIPPED, Rubric, read_rubric
from vlsbench.models import FORMS, Connections, Params
from vlsbench.registry import Kind
from vlsbench.text import did_you_mean

Judges = str | Brought | Sequence[str | Brought]
"""A judge as users give it, or several: a panel."""


@settings(panel="Judge")
class Judging:
    """How a model is asked for verdicts."""

    context: JudgeContext | None = option(
        "What tells the judge about the image: the image itself, the benchmark's description "
        "of it (the cheap judge), or both.",
        default=None,
        flags=("--judge-context",),
        unset="both; the image alone where it is swapped, and with --rubric paper",
    )
    max_tokens: int = option(
        "Length limit of a verdict, in tokens.",
        default=JUDGE_PARAMS.max_tokens,
        flags=("--judge-max-tokens",),
        least=1,
    )
    rubric: str | Rubric = option(
        f"Labels, what they mean and what they count for: {', '.join(SHIPPED)}, or a TOML file "
        "(docs/judges.md).",
        default="vlsbench",
        metavar="NAME|FILE",
    )
    temperature: float | None = option(
        "Sampling temperature of the judge; `none` leaves it to the server.",
        default=JUDGE_PARAMS.temperature,
        flags=("--judge-temperature",),
    )
    extra: tuple[str, ...] = option(
        "Pass anything else to the judge, as --param does to the target.",
        default=(),
        flags=("--judge-param",),
        metavar="NAME=JSON",
        whole=True,
    )
    vote: Vote = option(
        "What the labels of several --judge make: that of more than half of them (unscored "
        "ones count), the worst that any gave, the mean grade, or the likeliest by their "
        "estimated errors.",
        default=Vote.MAJORITY,
    )
    repeats: int = option(
        "Judgements of each answer; their majority is its label, and how far they differ is "
        "the judge's part of the variance.",
        default=1,
        flags=("--judge-repeats",),
        least=1,
        metavar="J",
    )
    form: str = option(
        "How a guard is asked (docs/guards.md lists the forms); `auto` knows guards by their "
        "names, `prompt` asks one like any chat model.",
        default="auto",
        flags=("--judge-form",),
    )
    policy: Path | None = option(
        "Text file with the policy of a guard, in place of ours.",
        default=None,
        flags=("--guard-policy",),
    )
    partial: bool = option(
        "Judge what was delivered of replies that the provider's filter cut; else they are "
        "`filtered`, and in no rate.",
        default=False,
        flags=("--judge-partial",),
    )


def open_judge(
    judge: Judges,
    connections: Connections,
    judging: Judging | None = None,
    *,
    context: JudgeContext = JudgeContext.BOTH,
) -> Judge:
    """Return a judge of replies.

    Args:
        judge: The name of a registered judge (`offline`, `lab`), the spec of a model, or what
            `as_judge` takes; several of them are a panel.
        connections: Opens the model that a spec names.
        judging: How a model is asked.
        context: How a model learns what is in the image where `judging` does not say.

    Raises:
        VlsbenchError: It is none of these, or a judge is given twice.
    """
    judging = judging or Judging()
    vote = Vote(judging.vote)  # from Python it may come as plain text
    judges = [judge] if isinstance(judge, str) or not isinstance(judge, Sequence) else [*judge]
    if not judges:
        raise VlsbenchError("no judge given: give one, or several for a panel")
    if twice := next((one for one in judges if judges.count(one) > 1), None):
        raise VlsbenchError(f"judge {twice} is given twice; --judge-repeats asks one again")
    if vote is not Vote.MAJORITY and len(judges) < 2:
        raise VlsbenchError(f"--vote {vote} needs several judges: repeat --judge")
    found = [_opened(one, connections, judging, context) for one in judges]
    rubric = read_rubric(judging.rubric)
    if rubric.identity and rubric.digest not in {rubric_of(one).digest for one in found}:
        raise VlsbenchError(
            f"judge {found[0].name} has labels of its own and follows no --rubric: name a model, "
            "or a function of a Question, which gives one of its labels"
        )
    return found[0] if len(found) == 1 else Panel(found, vote)


def _opened(
    judge: str | Brought, connections: Connections, judging: Judging, context: JudgeContext
) -> Judge:
    """Return one judge, by the rubric where it follows one."""
    rubric, found = read_rubric(judging.rubric), _given(judge, "model")
    if isinstance(found, str) and (form := harm_form(found, judging.form)).guard:
        if not form.replies:
            raise VlsbenchError(
                f"{found}: the form {form.name} judges no replies; choose another guard, or "
                "--judge-form prompt"
            )
        found = HarmJudge(
            connections.open(found, form.chat),
            form,
            params=replace(form.params, extra=judging.extra),
            policy=_read(judging.policy),
        )
    if isinstance(found, str):
        params = Params(judging.max_tokens, judging.temperature, extra=judging.extra)
        found = LLMJudge(
            connections.open(found, extra=params.more),
            judging.context or JudgeContext(rubric.context or context),
            params,
            rubric=rubric,
        )
    elif rubric.identity and isinstance(found, FunctionJudge) and found not in (OFFLINE, STRINGS):
        found = replace(found, rubric=rubric, identity={**found.identity, **rubric.identity})
    return Panel([found] * judging.repeats) if judging.repeats > 1 else found


def _read(path: Path | None) -> str:
    """Read a guard's policy; empty where none is given."""
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise VlsbenchError(f"--guard-policy {unreadable(path, error)}") from None
    if not text:
        raise VlsbenchError(f"--guard-policy {path}: the file is empty")
    return text


def open_harm_judge(
    judge: str | Brought,
    connections: Connections,
    *,
    form: str = "auto",
    policy: Path | None = None,
    needs: Part | None = Part.TEXT,
) -> Judge:
    """Return a judge of material: is it harmful?

    Args:
        judge: As for `open_judge`.
        connections: Opens the model that a spec names.
        form: How the model is asked, one of `FORMS`; `auto` knows guard models by their names.
        policy: Text file with what a guard holds material to, in place of our words.
        needs: What it must be able to judge.

    Raises:
        VlsbenchError: It is none of these, or a guard that does not judge what is needed.
    """
    found = _given(judge, "harm")
    if found is OFFLINE or found is STRINGS:
        raise VlsbenchError(f"judge {judge} labels replies: name a model as the judge of harm")
    if not isinstance(found, str):
        return found
    how = harm_form(found, form)
    if needs and needs not in how.parts:
        raise VlsbenchError(
            f"{found} ({how.name}) judges images alone: choose a guard that reads text"
        )
    return HarmJudge(connections.open(found, how.chat), how, policy=_read(policy))


def _given(judge: str | Brought, role: str) -> Judge | str:
    """Return a judge that is brought or registered, else the spec of the model to ask."""
    if not isinstance(judge, str):
        return as_judge(judge)
    entry = registry.find(Kind.JUDGE, judge) if judge.isidentifier() or "-" in judge else None
    if entry is None:
        bare = judge.partition("/")[0]
        if "@" in judge or "/" in judge or registry.find(Kind.MODEL, bare):
            return judge
        known = registry.names(Kind.JUDGE)
        raise VlsbenchError(
            f"no judge {judge!r}: {did_you_mean(judge, known)}there are "
            f"{', '.join(known)}, or a model's spec ({FORMS})"
        )
    if spec := entry.declaration.get(role):
        return str(spec)
    return as_judge(entry.target, judge)
