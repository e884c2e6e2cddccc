"""Judge a run's replies again, by another judge or rubric; the target is not asked."""

from __future__ import annotations

from dataclasses import asdict

from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped, need_scored
from vlsbench.cli._print import print_json
from vlsbench.config import values_of
from vlsbench.evaluation import JudgeConfig


@command(JudgeConfig)
def judge(config: JudgeConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Judge a run's replies again, by another judge or rubric; the target is not asked.

    The result is a run of its own, which names the one it was judged from. One table sets both
    beside each other, pair by pair. The same command resumes where it stopped.

    **Examples**

    - `vlsbench judge runs/A --judge openai/gpt-4o --rubric paper`

    - `vlsbench judge runs/A --judge inspect/anthropic/claude-sonnet-4-0`

    - `vlsbench judge runs/A --judge openai/gpt-4o --rubric mine.toml --dry-run`
    """
    from vlsbench import evaluation
    from vlsbench.cli._tables import carried_out, print_comparison, print_summary

    settings = values_of(config)
    before, _ = evaluation.read_run(settings.pop("run"), allow_unfinished=True)
    plan = evaluation.plan_again(before, **settings)
    done = carried_out(plan, quiet=quiet, dry_run=dry_run)
    if done is None:
        return
    compared = evaluation.compare_runs(before, done.folder) if done.scored else None
    if as_json:
        beside = asdict(compared) if compared else None
        print_json({"summary": asdict(done.summary), "comparison": beside})
    else:
        print_summary(done)
        if compared:
            print_comparison(compared, (before.name, done.folder.name))
    end_if_stopped(done.stopped)
    need_scored(done.scored, "reply", done.pairs)
