"""Show what a judge does on cases whose truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped, need_scored, say_complete
from vlsbench.cli._print import print_json, say
from vlsbench.cli._tables import print_plan, print_sections
from vlsbench.config import values_of
from vlsbench.examining import JudgeCardConfig

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.examining import JudgeCard


@command(JudgeCardConfig)
def judge_card(config: JudgeCardConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Show what a judge does on cases whose truth is known.

    Planted replies (help that is disavowed, help after a refusal, polite warnings, text that
    addresses the judge, …), or replies that people labelled. The same command resumes where it
    stopped.

    **Examples**

    - `vlsbench judge-card offline`

    - `vlsbench judge-card openai/gpt-4o --max-cost 2`

    - `vlsbench judge-card openai/gpt-4o --on lab,xstest --data-root ./sets --limit 100`

    - `vlsbench judge-card lab --on mine.jsonl`
    """
    from vlsbench import examining

    settings = values_of(config)
    plan = examining.plan_judge_card(settings.pop("judge"), **settings)
    asked = plan.evaluation
    if asked.estimate and (dry_run or (not quiet and asked.ended < asked.answers)):
        print_plan(asked)
    elif asked.complete:
        say_complete()
    if dry_run:
        return
    card = examining.judge_card(plan)
    if as_json:
        print_json(card)
    else:
        print_judge_card(card, asked.folder)
    end_if_stopped(card.stopped)
    scored = any(probe.label.n or probe.side.n for probe in card.probes)
    need_scored(scored, "case", asked.folder / examining.CASES)


def print_judge_card(card: JudgeCard, folder: Path) -> None:
    """Print the rates of every probe with the baselines beside them."""
    from vlsbench.examining import PAGE, card_sections

    print_sections(card_sections(card), (*(f"Not asked, {o}" for o in card.left_out), *card.notes))
    say(f"Files: {folder}/ judge-card.json, cases.jsonl, judge-card.html")
    say(f"Next: open {folder / PAGE}", style="dim")
