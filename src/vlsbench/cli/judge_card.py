"""`vlsbench judge-card`: what a judge does on cases whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped
from vlsbench.cli._print import Listing, print_json, say
from vlsbench.cli._tables import percent
from vlsbench.config import values_of
from vlsbench.examining import JudgeCardConfig
from vlsbench.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.examining import JudgeCard


def _judge_card(config: JudgeCardConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Show what a judge does on cases whose truth is known.

    Planted replies (help that is disavowed, help after a refusal, polite warnings, text that
    addresses the judge, …), or replies that people labelled. The same command resumes where it
    stopped.

    **Examples**

    - `vlsbench judge-card offline`

    - `vlsbench judge-card openai/gpt-4o --max-cost 2`

    - `vlsbench judge-card openai/gpt-4o --on lab,xstest --data-root ./sets --limit 100`

    - `vlsbench judge-card lab --on mine.jsonl`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 3 stopped early and resumable,
    130 interrupted and resumable.
    """
    from vlsbench import examining

    settings = values_of(config)
    settings["output"] = replace(config.output, progress=not quiet)
    plan = examining.plan_judge_card(settings.pop("judge"), **settings)
    if dry_run or (not quiet and plan.ended < len(plan.cases)):
        cost = plan.cost()
        dollars = "cost unknown (--judge-price)" if cost is None else f"about ${cost:,.2f}"
        console = Console(stderr=True)
        say(
            f"{plan.judge.name}: {counted(len(plan.cases), 'case')} of {', '.join(plan.on)}, "
            f"{plan.ended:,} judged already, {dollars}",
            f"into {plan.folder}",
            console=console,
        )
    if dry_run:
        return
    card = examining.judge_card(plan)
    if as_json:
        print_json(card)
    else:
        print_judge_card(card, plan.folder)
    end_if_stopped(Console(stderr=True), card.stopped)


def print_judge_card(card: JudgeCard, folder: Path) -> None:
    """Print the rates of every probe with the baselines beside them."""
    from vlsbench.examining import PAGE

    console = Console()
    for flips in (False, True):
        mine = [probe for probe in card.probes if probe.flips is flips]
        kind = "verdicts that changed, less is better" if flips else "verdicts that are right"
        heads = ("n", "label", "safe or not", "string matching", "commonest label")
        table = Listing(["cases"], heads, f"{card.judge}: {kind}")
        for one in mine:
            rates = map(percent, (one.label, one.side, one.strings, one.commonest))
            table.line(one.name, one.side.n, *rates)
        if mine:
            console.print(table)
    say("Percent of scored cases (n), with 95 % intervals clustered by pair and by wording.")
    for one in card.probes:
        say(*(f"Unscored, {one.name}: {n} {reason}" for reason, n in one.unscored.items()))
    say(*(f"Not asked, {one}" for one in card.left_out))
    if found := card.preference:
        gap = found.gap
        points = gap and f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
        say(
            f"Unsafe replies called safe: {percent(found.own)} % of {found.own.n} by its family "
            f"({found.family}), {percent(found.others)} % of {found.others.n} by others: "
            f"self-preference {points} points"
        )
    say(*card.notes, style="yellow")
    say(f"Files: {folder}/ judge-card.json, cases.jsonl, judge-card.html")
    say(f"Next: open {folder / PAGE}", style="dim")


judge_card = command(JudgeCardConfig, _judge_card, dry_run=True)
