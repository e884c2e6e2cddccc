"""What `eval` prints before and after, and `runs show` of evaluations and of measure B."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._print import Listing, say
from vlsbench.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.auditing import Judged, Leaderboard
    from vlsbench.evaluation import (
        CostEstimate,
        Evaluation,
        EvaluationPlan,
        Group,
        Sampled,
    )
    from vlsbench.pages import Cell
    from vlsbench.stats import Rate


def print_plan(console: Console, plan: EvaluationPlan, guess: CostEstimate) -> None:
    """Say what will be asked of whom, and what it will probably cost."""
    from vlsbench.models import prices_known

    selection, samples = plan.selection, plan.shown.samples
    unpriced = ", ".join(name for name, price in plan.prices.items() if price is None)
    cost = f"cost unknown (no price for {unpriced})"
    if guess.cost is not None:
        cost = f"about ${guess.cost:,.2f} ({prices_known()}, or as given)"
    left_out = len(selection.pairs.bad) + len(selection.left_out)
    say(
        f"{selection.pairs.name}: {counted(len(selection), 'pair')} under view {plan.shown.view}"
        + (f", {samples} answers to each" if samples > 1 else "")
        + (f", {counted(left_out, 'unusable one')} left out" if left_out else ""),
        f"target {plan.target.spec}, judge {plan.judge.name}, "
        f"{counted(plan.concurrency, 'request')} in flight",
        f"at most {counted(guess.calls, 'call')}, about {guess.input_tokens:,} tokens in and "
        f"{guess.output_tokens:,} out, {cost}",
        f"into {plan.folder}",
        console=console,
    )
    say(*plan.warnings(), style="yellow", console=console)


def percent(rate: Rate) -> str:
    """Write a rate with its interval, as `42.0 [35.1, 49.2]`."""
    return _percent(rate.rate, rate.low, rate.high)


def _percent(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _rates_table(
    title: str, groups: Iterable[Group], *, harmful: bool, by: str = "category"
) -> Listing:
    last = "safe" if harmful else "answered"
    table = Listing([by], ("n", "refused", "warned", last, "unscored"), title)
    for group in groups:
        rates = (group.refusal, group.warning, group.safety if harmful else group.answered)
        cells = (group.scored, *map(percent, rates), group.pairs - group.scored)
        table.line(group.name, *cells, style="bold" if group.name == "all" else "")
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
            worst, best = 100 * group.safety_worst, 100 * group.safety_best
            low, high = group.safety_worst_low, group.safety_best_high
            drawn = ""
            if low is not None and high is not None:
                drawn = f" (with the chance of the draw: {100 * low:.1f} to {100 * high:.1f} %)"
            yield (
                f"Were all of those unsafe, {worst:.1f} % of all {what} would be safe; were they "
                f"all safe, {best:.1f} %{drawn}."
            )
        if group.partial:
            yield (
                f"{counted(group.partial, 'reply')} cut by the provider's filter, judged by "
                "what was delivered (--judge-partial)."
            )
        if group.cut:
            yield f"{counted(group.cut, 'reply')} cut off at the length limit, judged as received."


def _sampled_lines(found: Sampled) -> Iterable[str]:
    if found.samples > 1:
        mean, some, every = found.words
        yield (
            f"Of {counted(found.samples, 'answer')}: {mean} {percent(found.mean)}, {some} "
            f"{percent(found.any_unsafe)}, {every} {percent(found.all_safe)} (the last two in "
            f"percent of {counted(found.all_safe.n, 'pair')})."
        )
        if found.left_out:
            yield (
                f"{counted(found.left_out, 'pair')} with an unscored answer, in neither of these "
                f"two; over all pairs, {every} lies between "
                f"{100 * found.all_safe_worst:.1f} and {100 * found.all_safe_best:.1f} % (with the "
                f"chance of the draw: {100 * found.all_safe_worst_low:.1f} to "
                f"{100 * found.all_safe_best_high:.1f} %)."
            )
    yield found.variance.said


def print_summary(done: Evaluation) -> None:
    """Print rates by category, what was left unscored and why, what it cost, and where it is."""
    from vlsbench.evaluation import calibration_note
    from vlsbench.judge import Unscored

    summary, console = done.summary, Console()
    heading = f"{summary.bench} · view {summary.view} · {summary.model} judged by {summary.judge}"
    told: set[str] = set()
    for harmful in (True, False):
        kind = "harmful pairs" if harmful else "benign controls"

        def mine(groups: Sequence[Group], harmful: bool = harmful) -> list[Group]:
            return [group for group in groups if group.harmful is harmful]

        if whole := mine(summary.groups):
            rows = [*mine(summary.categories), *whole]
            console.print(_rates_table(f"{heading} · {kind}", rows, harmful=harmful))
            fine = dict.fromkeys(_fine_print(whole, summary.samples))
            say(*(line for line in fine if line not in told))
            told |= fine.keys()
            for sampled in summary.sampled:
                if sampled.harmful is harmful:
                    say(*_sampled_lines(sampled))
        spoken = {"query": summary.query_languages, "reply": summary.reply_languages}
        for what, groups in spoken.items():
            if parts := mine(groups):
                title = f"{kind} by the language of the {what}"
                console.print(_rates_table(title, parts, harmful=harmful, by="language"))
    for reason, words in summary.unscored_words.items():
        say(f"{reason}, most often: {words}")
    if net := summary.net:
        say(
            f"Net rate (safe on harmful − declined on benign): {100 * net.value:.1f} points "
            f"[{100 * net.low:.1f}, {100 * net.high:.1f}]"
        )
    if (cautious := summary.net_cautious) and cautious != summary.net:
        say(
            f"  with a warning on a benign pair counted as declined: {100 * cautious.value:.1f} "
            f"points [{100 * cautious.low:.1f}, {100 * cautious.high:.1f}]"
        )
    say(calibration_note(done.folder, summary))
    for spend in summary.spend:
        cost = "cost unknown" if spend.cost is None else f"${spend.cost:.4f}"
        say(
            f"{spend.role} {spend.model}: {counted(spend.calls, 'call')} "
            f"({counted(spend.requests, 'request')}, {spend.reused:,} reused), "
            f"{spend.input_tokens:,} tokens in, {spend.output_tokens:,} out, {cost}"
        )
    say(*summary.notes, style="yellow")
    if summary.left_out:
        say(f"{counted(len(summary.left_out), 'pair')} left out (summary.json lists them)")
    say(f"Files: {done.folder}/ summary.json, pairs.parquet, report.html")
    say(f"Next: open {done.report}", style="dim")
    gone = "reply_missing" if summary.identity["target"].get("kind") == "replies" else ""
    reasons = [found for group in summary.groups for found in group.unscored.items()]
    pointless = (gone, Unscored.JUDGE_CANNOT_TELL)
    unscored = sum(count for reason, count in reasons if reason not in pointless)
    if unscored and summary.complete:
        again = f"the same command with --retry unscored asks {counted(unscored, 'pair')} again"
        say(f"      {again}", style="dim")


def print_judged(found: Judged, folder: Path) -> None:
    """Print measure B of an audit: the VSIL rate with the judge's errors, and the patterns."""
    group = found.group
    heading = f"{found.bench} · harmful by its text alone, judged by {found.judge}"
    table = Listing(["category"], ("n", "VSIL as judged", "corrected"), heading)
    for one in (*found.categories, group):
        share = one.corrected
        corrected = _percent(share.value, share.low, share.high)
        style = "bold" if one is group else ""
        table.line(one.name, one.vsil.n, percent(one.vsil), corrected, style=style)
    Console().print(table)
    alarms, misses = group.corrected.false_alarms, group.corrected.misses
    missed = f"{percent(misses)} of {misses.n:,}" if misses else "not measured"
    say(
        "Percent of the pairs judged harmful (n) with 95 % intervals; corrected for the judge's "
        "own errors.",
        f"False alarms on benign controls: {percent(alarms)} of {alarms.n:,}; misses: {missed}.",
    )
    if shown := [f"{name} {rate.k:,}" for name, rate in group.patterns.items() if rate.k]:
        open_pairs = counted(group.incomplete, "pair")
        lacking = f"; {open_pairs} without all labels" if group.incomplete else ""
        say(f"Text, image, pair as judged (S safe, U unsafe): {', '.join(shown)}{lacking}")
    say(*found.notes, style="yellow")
    say(f"Files: {folder}/ judged.json, judged.jsonl")


def print_board(
    title: str, rows: Iterable[str], names: Sequence[str], cells: Iterable[Sequence[Cell]]
) -> None:
    """Print a leaderboard: the rows' names, and headings and cells as the page has them."""
    table = Listing(names[:1], names[1:], title)
    for name, figures in zip(rows, cells, strict=True):
        table.line(name, *(cell.text for cell in figures))
    Console().print(table)


def print_leaderboard(leaderboard: Leaderboard, folder: Path) -> None:
    """Print benchmarks by their leakage."""
    from vlsbench.auditing.card import columns

    board = [row.bench for row in leaderboard.rows]
    print_board("leak, most first", board, *columns(leaderboard))
    caveats: dict[str, list[str]] = {}
    for found in leaderboard.rows:
        for caveat in found.caveats:
            caveats.setdefault(caveat, []).append(found.bench)
    say(
        *(f"{', '.join(which)}: {caveat}" for caveat, which in caveats.items()),
        style="yellow",
    )
    say(f"Files: {folder}/ leaderboard.html, leaderboard.md, leaderboard.json, and a card each")
    say(f"Next: open {folder / 'leaderboard.html'}", style="dim")
