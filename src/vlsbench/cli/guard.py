"""Evaluate a guard model: what it detects, what it alarms at, what it misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped, need_scored, say_complete
from vlsbench.cli._print import print_json, say
from vlsbench.cli._tables import print_sections
from vlsbench.config import values_of
from vlsbench.evaluation import REPORT
from vlsbench.guarding import GuardConfig
from vlsbench.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.guarding import GuardSummary


@command(GuardConfig)
def guard(config: GuardConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Evaluate a guard model: what it detects, what it alarms at, what it misses.

    It is asked about the text, the image and both of every pair. The same command resumes where it
    stopped, and costs nothing where it is done.

    **Examples**

    - `vlsbench guard lab/leakless --guard lab/llama-guard --controls lab/benign`

    - `vlsbench guard vlsbench --guard meta-llama/Llama-Guard-4-12B@http://localhost:8000/v1
      --controls mossbench`

    - `vlsbench guard vlsbench --guard openai/omni-moderation-latest --limit 100`

    - `vlsbench guard vlsbench --guard mine@http://localhost:8000/v1 --guard-form proguard
      --guard-policy policy.txt`
    """
    from vlsbench import guarding
    from vlsbench.pairs import load

    settings = values_of(config)
    bench, data = settings.pop("bench"), settings.pop("data")
    pairs = load(bench, **values_of(data), skip_bad=config.sample.skip_bad)
    plan = guarding.plan_guard(pairs, **settings)
    if dry_run or (not quiet and plan.ended < plan.questions):
        cost = plan.cost()
        dollars = "cost unknown (--judge-price)" if cost is None else f"about ${cost:,.2f}"
        say(
            f"{', '.join(group.name for group in plan.sets)}: "
            f"{counted(plan.questions, 'question')} to {plan.judge.name} in the form {plan.form} "
            f"({', '.join(plan.sets[0].parts)}), {plan.ended:,} answered already",
            f"at most {counted(plan.questions - plan.ended, 'call')} and retries, {dollars}",
            f"into {plan.folder}",
            console=Console(stderr=True),
        )
        say(*plan.warnings(), style="yellow", console=Console(stderr=True))
    if dry_run:
        return
    if plan.ended >= plan.questions and not config.output.retry:
        say_complete()
    found = guarding.evaluate_guard(plan)
    if as_json:
        print_json(found)
    else:
        print_guard(found, plan.folder)
    end_if_stopped(found.stopped)
    own = found.ways[0]
    need_scored(own.detection.n or own.false_alarms.n, "pair", plan.folder / guarding.PAIRS)


def print_guard(found: GuardSummary, folder: Path) -> None:
    """Print detection and false alarms, joint-only misses, and what has to be known of them."""
    from vlsbench.guarding import guard_sections

    print_sections(guard_sections(found), found.notes)
    say(f"Files: {folder}/ summary.json, pairs.jsonl, report.html")
    say(f"Next: open {folder / REPORT}", style="dim")
