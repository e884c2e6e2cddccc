"""What `eval` prints before and after, and `runs show` of evaluations and of measure B."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from vlsbench.text import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.auditing import Corrected, Judged
    from vlsbench.evaluation import CostEstimate, EvaluationPlan, Group, Sampled, Summary
    from vlsbench.evaluation._evaluate import Evaluation
    from vlsbench.stats import Rate


def print_plan(console: Console, plan: EvaluationPlan, guess: CostEstimate) -> None:
    """Say what will be asked of whom, and what it will probably cost."""
    from vlsbench.models import price_table

    selection = plan.selection
    cost = (
        f"about ${guess.cost:,.2f} (prices of {price_table().as_of} or as given)"
        if guess.cost is not None
        else "cost unknown (no price for "
        + ", ".join(name for name, price in plan.prices.items() if price is None)
        + ")"
    )
    left_out = len(selection.pairs.bad) + len(selection.left_out)
    lines = [
        f"{selection.pairs.name}: {len(selection):,} pairs under view {plan.shown.view}"
        + (f", {plan.shown.samples} answers to each" if plan.shown.samples > 1 else "")
        + (f", {left_out} unusable ones left out" if left_out else ""),
        f"target {plan.target.spec}, judge {plan.judge.name}, "
        f"{plan.concurrency} requests in flight",
        f"at most {guess.calls:,} calls, about {guess.input_tokens:,} tokens in and "
        f"{guess.output_tokens:,} out, {cost}",
        f"into {plan.folder}",
    ]
    for line in lines:
        console.print(terminal(line), highlight=False)
    if plan.warning:
        console.print(terminal(plan.warning), style="yellow", highlight=False)


def percent(rate: Rate) -> str:
    """Write a rate with its interval, as `42.0 [35.1, 49.2]`."""
    return _percent(rate.rate, rate.low, rate.high)


def _percent(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _rates_table(
    title: str, groups: Iterable[Group], *, harmful: bool, by: str = "category"
) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(by, overflow="fold")
    last = ("refused", "warned", "safe") if harmful else ("refused", "warned", "answered")
    for name in ("n", *last, "unscored"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        rates = (group.refusal, group.warning, group.safety if harmful else group.answered)
        table.add_row(
            terminal(group.name),
            f"{group.scored:,}",
            *(percent(rate) for rate in rates),
            f"{group.pairs - group.scored:,}",
            style="bold" if group.name == "all" else None,
        )
    return table


def _fine_print(groups: Iterable[Group], samples: int) -> Iterable[str]:
    what, many = ("answers", f", {samples} a pair") if samples > 1 else ("pairs", "")
    yield f"Percent of scored {what} (n{many}) with 95 % intervals clustered by image."
    for group in groups:
        missing = [f"{count} {reason}" for reason, count in group.unscored.items()]
        missing += [f"{group.filtered} filtered"] if group.filtered else []
        if missing:
            yield f"Unscored: {', '.join(missing)}."
        if missing and group.safety_worst is not None and group.safety_best is not None:
            yield (
                f"Were all of those unsafe, {100 * group.safety_worst:.1f} % of all {what} would "
                f"be safe; were they all safe, {100 * group.safety_best:.1f} %"
                + (
                    f" (with the chance of the draw: {100 * group.safety_worst_low:.1f} to "
                    f"{100 * group.safety_best_high:.1f} %)."
                    if group.safety_worst_low is not None and group.safety_best_high is not None
                    else "."
                )
            )
        if group.partial:
            yield (
                f"{group.partial} replies that the provider's filter cut were judged by what was "
                "delivered of them (--judge-partial)."
            )
        if group.cut:
            yield f"{group.cut} replies were cut off at the length limit and judged as they are."


def _sampled_lines(found: Sampled) -> Iterable[str]:
    if found.samples > 1:
        mean, some, every = found.words
        yield (
            f"Of {found.samples} answers: {mean} {percent(found.mean)}, {some} "
            f"{percent(found.any_unsafe)}, {every} {percent(found.all_safe)} (the last two in "
            f"percent of {found.all_safe.n:,} pairs)."
        )
        if found.left_out:
            yield (
                f"{found.left_out:,} pairs with an answer that is not scored are in neither of "
                f"these two; over all pairs, {every} lies between "
                f"{100 * found.all_safe_worst:.1f} and {100 * found.all_safe_best:.1f} % (with the "
                f"chance of the draw: {100 * found.all_safe_worst_low:.1f} to "
                f"{100 * found.all_safe_best_high:.1f} %)."
            )
    yield found.variance.said


def _published_table(summary: Summary) -> Table:
    source = summary.published[0].source
    table = Table(
        title=f"Published results, percent ({source})", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("model", overflow="fold")
    for name in ("refused", "warned", "safe"):
        table.add_column(name, justify="right")
    for row in sorted(summary.published, key=lambda row: row.safety):
        table.add_row(row.model, f"{row.refusal:.2f}", f"{row.warning:.2f}", f"{row.safety:.2f}")
    for group in summary.groups:
        if group.harmful:
            rates = (group.refusal, group.warning, group.safety)
            table.add_row(
                terminal(f"{summary.model} (this run)"), *(percent(r) for r in rates), style="bold"
            )
    return table


def print_summary(console: Console, done: Evaluation) -> None:
    """Print rates by category, what was left unscored and why, what it cost, and where it is."""
    summary = done.summary
    heading = f"{summary.bench} · view {summary.view} · {summary.model} judged by {summary.judge}"
    for harmful in (True, False):
        whole = [group for group in summary.groups if group.harmful is harmful]
        parts = [group for group in summary.categories if group.harmful is harmful]
        if whole:
            kind = "harmful pairs" if harmful else "benign controls"
            groups = [*parts, *whole]
            console.print(_rates_table(terminal(f"{heading} · {kind}"), groups, harmful=harmful))
            for line in _fine_print(whole, summary.samples):
                console.print(terminal(line), highlight=False)
            for sampled in summary.sampled:
                if sampled.harmful is harmful:
                    for line in _sampled_lines(sampled):
                        console.print(terminal(line), highlight=False)
            _print_languages(console, summary, kind, harmful=harmful)
    if net := summary.net:
        console.print(
            f"Net rate (safe on harmful − declined on benign): {100 * net.value:.1f} points "
            f"[{100 * net.low:.1f}, {100 * net.high:.1f}]",
            highlight=False,
        )
    if summary.published:
        console.print(_published_table(summary))
    for spend in summary.spend:
        cost = "cost unknown" if spend.cost is None else f"${spend.cost:.4f}"
        console.print(
            terminal(
                f"{spend.role} {spend.model}: {spend.calls:,} calls ({spend.requests:,} requests, "
                f"{spend.reused:,} reused), {spend.input_tokens:,} tokens in, "
                f"{spend.output_tokens:,} out, {cost}"
            ),
            highlight=False,
        )
    for note in summary.notes:
        console.print(terminal(note), style="yellow", highlight=False)
    if summary.left_out:
        console.print(f"{len(summary.left_out)} pairs left out (summary.json lists them)")
    console.print(terminal(f"Files: {done.folder}/ summary.json, pairs.parquet, report.html"))
    for hint in _next_steps(summary, done):
        console.print(terminal(hint), style="dim", highlight=False)


def _print_languages(console: Console, summary: Summary, kind: str, *, harmful: bool) -> None:
    for what, groups in (("query", summary.query_languages), ("reply", summary.reply_languages)):
        parts = [group for group in groups if group.harmful is harmful]
        if parts:
            title = f"{kind} by the language of the {what}"
            console.print(_rates_table(title, parts, harmful=harmful, by="language"))


def _next_steps(summary: Summary, done: Evaluation) -> list[str]:
    unscored = sum(sum(group.unscored.values()) for group in summary.groups)
    hints = [f"Next: open {done.report}"]
    if unscored and summary.complete:
        hints.append(f"      the same command with --retry unscored asks {unscored} pairs again")
    if summary.view == "full" and summary.complete:
        hints.append("      the same command with --view text shows how much the image matters")
    hints.append(f"      vlsbench runs show {done.folder}")
    return hints


def print_judged(console: Console, found: Judged, folder: Path) -> None:
    """Print measure B of an audit: the VSIL rate with the judge's errors, and the patterns."""
    judge, group = found.judge, found.group
    heading = f"{found.bench} · harmful by its text alone, judged by {judge}"
    table = Table(title=terminal(heading), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("category", overflow="fold")
    for name in ("n", "VSIL as judged", "corrected"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in (*found.categories, group):
        style = "bold" if one is group else None
        share = one.corrected
        corrected = _percent(share.value, share.low, share.high)
        table.add_row(
            terminal(one.name), f"{one.vsil.n:,}", percent(one.vsil), corrected, style=style
        )
    console.print(table)
    for line in _judged_fine_print(group.corrected):
        console.print(terminal(line), highlight=False)
    shown = {name: rate for name, rate in group.patterns.items() if rate.k}
    if shown:
        console.print(
            "Text, image, pair as judged (S safe, U unsafe): "
            + ", ".join(f"{name} {rate.k:,}" for name, rate in shown.items())
            + (f"; {group.incomplete:,} pairs lack a label" if group.incomplete else ""),
            highlight=False,
        )
    for note in found.notes:
        console.print(terminal(note), style="yellow", highlight=False)
    console.print(terminal(f"Files: {folder}/ judged.json, judged.jsonl"))


def _judged_fine_print(corrected: Corrected) -> Iterable[str]:
    yield (
        "Percent of the pairs judged harmful (n) with 95 % intervals; corrected for the judge's "
        "own errors."
    )
    alarms, misses = corrected.false_alarms, corrected.misses
    said = f"False alarms on benign controls: {percent(alarms)} of {alarms.n:,}; misses: "
    yield said + (f"{percent(misses)} of {misses.n:,}." if misses else "not measured.")
