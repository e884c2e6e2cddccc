"""What `eval` prints before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from vlsbench.api import Evaluation
    from vlsbench.evaluation import Estimate, Group, Plan, Rate, Summary


def print_plan(console: Console, plan: Plan, guess: Estimate) -> None:
    """Say what will be asked of whom, and what it will probably cost."""
    from vlsbench.models import price_table

    selection, settings = plan.selection, plan.settings
    cost = (
        f"about ${guess.cost:,.2f} (prices of {price_table().as_of} or as given)"
        if guess.cost is not None
        else "cost unknown (no price for "
        + ", ".join(name for name, price in plan.prices.items() if price is None)
        + ")"
    )
    left_out = len(selection.pairs.bad) + len(selection.left_out)
    lines = [
        f"{selection.pairs.name}: {len(selection):,} pairs under view {settings.view}"
        + (f", {left_out} unusable ones left out" if left_out else ""),
        f"target {plan.target.spec}, judge {plan.judge_name}, "
        f"{plan.concurrency} requests in flight",
        f"at most {guess.calls:,} calls, about {guess.input_tokens:,} tokens in and "
        f"{guess.output_tokens:,} out, {cost}",
        f"into {plan.folder}",
    ]
    for line in lines:
        console.print(escape(line), highlight=False)


def percent(rate: Rate) -> str:
    """Write a rate with its interval, as `42.0 [35.1, 49.2]`."""
    if rate.rate is None or rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.rate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _reasons(group: Group) -> str:
    parts = [f"{count} {reason}" for reason, count in group.unscored.items()]
    if group.filtered:
        parts.append(f"{group.filtered} filtered")
    return ", ".join(parts) or "0"


def _bounds(group: Group) -> str:
    if group.safety_worst is None or group.safety_best is None:
        return "–"
    return f"{100 * group.safety_worst:.1f} – {100 * group.safety_best:.1f}"


def _rates_table(title: str, groups: Iterable[Group], *, harmful: bool) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("category")
    names = (
        ("refusal %", "warning %", "safety %")
        if harmful
        else ("over-refusal %", "warning %", "answered %")
    )
    for name in ("n", *names, "unscored", *(("worst – best %",) if harmful else ())):
        table.add_column(name, justify="right")
    for group in groups:
        last = group.safety if harmful else group.answered
        cells = [percent(group.refusal), percent(group.warning), percent(last), _reasons(group)]
        if harmful:
            cells.append(_bounds(group))
        bold = "bold" if group.name == "all" else None
        table.add_row(escape(group.name), f"{group.scored:,}", *cells, style=bold)
    return table


def _published_table(summary: Summary) -> Table:
    table = Table(title=f"Published results ({summary.published[0].source})", title_justify="left")
    table.add_column("model")
    for name in ("refusal %", "warning %", "safety %"):
        table.add_column(name, justify="right")
    for row in sorted(summary.published, key=lambda row: row.safety):
        table.add_row(row.model, f"{row.refusal:.2f}", f"{row.warning:.2f}", f"{row.safety:.2f}")
    for group in summary.groups:
        if group.harmful:
            rates = (group.refusal, group.warning, group.safety)
            table.add_row(
                escape(f"{summary.model} (this run)"), *(percent(r) for r in rates), style="bold"
            )
    return table


def print_summary(console: Console, done: Evaluation) -> None:
    """Print rates by category, what was left unscored and why, what it cost, and where it is."""
    summary = done.summary
    heading = f"{summary.bench} · view {summary.view} · {summary.model} judged by {summary.judge}"
    for harmful in (True, False):
        groups = [
            group for group in (*summary.categories, *summary.groups) if group.harmful is harmful
        ]
        if groups:
            kind = "harmful pairs" if harmful else "benign controls"
            console.print(_rates_table(escape(f"{heading} · {kind}"), groups, harmful=harmful))
    console.print(
        "Rates are over scored pairs (n), with 95 % intervals clustered by image; worst – best: "
        "all unscored and filtered pairs unsafe, or safe.",
        style="dim",
        highlight=False,
    )
    if summary.published:
        console.print(_published_table(summary))
    for spend in summary.spend:
        cost = "cost unknown" if spend.cost is None else f"${spend.cost:.4f}"
        console.print(
            escape(
                f"{spend.role} {spend.model}: {spend.calls:,} calls ({spend.requests:,} requests, "
                f"{spend.reused:,} taken over), {spend.input_tokens:,} tokens in, "
                f"{spend.output_tokens:,} out, {cost}"
            ),
            highlight=False,
        )
    for note in summary.notes:
        console.print(escape(note), style="yellow", highlight=False)
    if summary.left_out:
        console.print(f"{len(summary.left_out)} pairs left out (summary.json lists them)")
    console.print(escape(f"Files: {done.folder}/ summary.json, pairs.parquet, report.html"))
    for hint in _next_steps(summary, done):
        console.print(escape(hint), style="dim", highlight=False)


def _next_steps(summary: Summary, done: Evaluation) -> list[str]:
    unscored = sum(sum(group.unscored.values()) for group in summary.groups)
    hints = [f"Next: open {done.report}"]
    if unscored and summary.complete:
        hints.append(f"      the same command with --retry unscored asks {unscored} pairs again")
    if summary.view == "full" and summary.complete:
        hints.append("      the same command with --view text shows how much the picture matters")
    hints.append(f"      vlsbench runs show {done.folder}")
    return hints
