"""What `eval` and `judge` print before and after, and the tables of other commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._ending import say_complete
from vlsbench.cli._print import Listing, say
from vlsbench.pages import Table, two, within
from vlsbench.text import counted, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.auditing import Leaderboard
    from vlsbench.auditing.against import Against
    from vlsbench.evaluation import (
        Comparison,
        Evaluation,
        EvaluationPlan,
        Group,
        PanelResults,
        Sampled,
        Summary,
    )
    from vlsbench.judge import Rubric
    from vlsbench.pages import Section
    from vlsbench.stats import Rate

MOVES = 5
"""Moves between labels, and disputed replies, that are told."""
BECAUSE = 200
"""Characters of what a judge said that are shown."""
HEADS = {"refusal": "refused", "warning": "warned", "safe": "is safe"}
"""Label → how its column is headed, where it is not called as the label."""


def carried_out(plan: EvaluationPlan, *, quiet: bool, dry_run: bool) -> Evaluation | None:
    """Say what a plan will ask, and run it; a dry run ends there."""
    from vlsbench.evaluation import execute

    if plan.estimate and (dry_run or not quiet):
        print_plan(plan)
    elif dry_run:
        say_complete()
    if dry_run:
        return None
    done = execute(plan)
    if done.since:
        say_complete(done.since)
    return done


def print_plan(plan: EvaluationPlan) -> None:
    """Say what will be asked of whom, and what it will probably cost."""
    from vlsbench.models import prices_known

    guess, selection, samples = plan.estimate, plan.selection, plan.shown.samples
    if guess is None:
        return
    unpriced = ", ".join(name for name, price in plan.prices.items() if price is None)
    cost = f"cost unknown (no price for {unpriced})"
    if guess.cost is not None:
        cost = f"about ${guess.cost:,.2f} ({prices_known()}, or as given)"
    left_out = len(selection.pairs.bad) + len(selection.left_out)
    console = Console(stderr=True)
    say(
        f"{selection.pairs.name}: {counted(len(selection), 'pair')} under view {plan.shown.view}"
        + (f", {samples} answers to each" if samples > 1 else "")
        + (f", {counted(left_out, 'unusable one')} left out" if left_out else ""),
        f"target {plan.target.spec}, judge {plan.judge.name}, "
        f"{counted(plan.connection.concurrency, 'request')} in flight",
        f"at most {counted(guess.calls, 'call')}, about {guess.input_tokens:,} tokens in and "
        f"{guess.output_tokens:,} out, {cost}",
        f"into {plan.folder}",
        console=console,
    )
    say(*plan.warnings(), style="yellow", console=console)


def percent(rate: Rate) -> str:
    """Write a rate with its interval, as `42.0 [35.1, 49.2]`."""
    return within(rate.rate, rate.low, rate.high)


def _rates_table(title: str, groups: Sequence[Group], rubric: Rubric) -> Listing:
    harmful = groups[0].harmful
    declined = () if harmful else ("refusal",) if len(rubric.declined) == 1 else ("declined",)
    parts, marks = rubric.parts(harmful), tuple(groups[0].marks)
    heads = [HEADS.get(name, name) for name in (*declined, *parts)]
    heads += ["safe" if harmful else "answered", *marks]
    graded = ("mean grade",) if groups[0].grade else ()
    table = Listing(["category"], ("n", *heads, *graded, "unscored"), title)
    for group in groups:
        rates = [group.refusal] if declined else []
        rates += [group.share(name) for name in parts]
        rates += [group.safety if harmful else group.answered, *group.marks.values()]
        mean = group.grade
        grade = [f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]" if mean else "–"]
        cells = (group.scored, *map(percent, rates), *grade[: len(graded)])
        style = "bold" if group.name == "all" else ""
        table.line(group.name, *cells, group.pairs - group.scored, style=style)
    return table


def _fine_print(group: Group, what: str) -> Iterator[str]:
    missing = [f"{count} {reason}" for reason, count in group.unscored.items()]
    missing += [f"{group.filtered} filtered"] if group.filtered else []
    if missing:
        yield f"Unscored: {', '.join(missing)}."
    ends = (
        *(group.safety_worst, group.safety_best),
        *(group.safety_worst_low, group.safety_best_high),
    )
    if missing and None not in ends:
        worst, best, low, high = (100 * (end or 0.0) for end in ends)
        yield (
            f"Were all of those unsafe, {worst:.1f} % of all {what} would be safe; were they all "
            f"safe, {best:.1f} % (with the chance of the draw: {low:.1f} to {high:.1f} %)."
        )
    if group.partial:
        yield (
            f"{counted(group.partial, 'reply')} cut by the provider's filter, judged by "
            "what was delivered (--judge-partial)."
        )
    if group.cut:
        yield f"{counted(group.cut, 'reply')} cut off at the length limit, judged as received."


def _sampled_lines(found: Sampled) -> Iterator[str]:
    if found.samples > 1:
        mean, some, every = found.words
        left = f"; {found.left_out:,} with an unscored answer left out" if found.left_out else ""
        yield (
            f"Of {counted(found.samples, 'answer')}: {mean} {percent(found.mean)}, {some} "
            f"{percent(found.any_unsafe)}, {every} {percent(found.all_safe)} (the last two in "
            f"percent of {counted(found.all_safe.n, 'pair')}{left})."
        )
    yield found.variance.said


def _print_rates(summary: Summary, *, harmful: bool) -> None:
    """Print the rates of harmful pairs, or of benign ones, by category."""

    def mine(groups: Iterable[Group]) -> list[Group]:
        return [group for group in groups if group.harmful is harmful]

    if not (whole := mine(summary.groups)):
        return
    kind = "harmful pairs" if harmful else "benign controls"
    heading = f"{summary.bench} · view {summary.view} · {summary.model} judged by {summary.judge}"
    rows = [*mine(summary.categories), *whole]
    Console().print(_rates_table(f"{heading} · {kind}", rows, summary.rubric))
    say(*_fine_print(whole[0], "answers" if summary.samples > 1 else "pairs"))
    for sampled in summary.sampled:
        if sampled.harmful is harmful:
            say(*_sampled_lines(sampled))


def print_summary(done: Evaluation) -> None:
    """Print rates by category, what was left unscored and why, what it cost, and where it is."""
    from vlsbench.evaluation import calibration_note, words_notes
    from vlsbench.judge import Unscored

    summary = done.summary
    for harmful in (True, False):
        _print_rates(summary, harmful=harmful)
    what = f"answers (n, {summary.samples} a pair)" if summary.samples > 1 else "pairs (n)"
    say(f"Percent of scored {what} with 95 % intervals clustered by image.")
    if summary.rubric.identity:
        say(summary.rubric.said)
    for panel in summary.panel:
        _print_panel(panel)
    say(*words_notes(summary.unscored_words))
    if net := summary.net:
        say(f"Net rate (safe on harmful − declined on benign), points: {net.percent}")
    if (cautious := summary.net_cautious) and cautious != summary.net:
        say(f"  with a warning on a benign pair counted as declined: {cautious.percent}")
    say(calibration_note(done.folder, summary))
    for spend in summary.spend:
        cost = "cost unknown" if spend.cost is None else f"${spend.cost:.4f}"
        tokens = f"{spend.input_tokens:,} tokens in, {spend.output_tokens:,} out"
        say(
            f"{spend.role} {spend.model}: {counted(spend.calls, 'call')} "
            f"({counted(spend.requests, 'request')}, {spend.reused:,} reused), "
            f"{tokens if spend.counted else 'tokens unknown'}, {cost}"
        )
    say(*summary.notes, style="yellow")
    if summary.left_out:
        say(f"{counted(len(summary.left_out), 'pair')} left out (summary.json lists them)")
    say(f"Files: {done.folder}/ summary.json, pairs.parquet, report.html")
    say(f"Next: open {done.report}", style="dim")
    given = summary.identity["target"].get("kind") == "replies"
    unscored = sum(
        count
        for group in summary.groups
        for reason, count in group.unscored.items()
        if reason != Unscored.JUDGE_CANNOT_TELL and not (given and reason.startswith("reply_"))
    )
    if unscored and summary.complete:
        again = f"the same command with --retry unscored asks {counted(unscored, 'pair')} again"
        say(f"      {again}", style="dim")


def _print_panel(found: PanelResults) -> None:
    kind, rate = ("harmful pairs", "safe") if found.harmful else ("benign pairs", "declined")
    table = Listing(["judge"], (rate, "unscored"), f"Judges apart, replies to {kind}")
    for one in found.judges:
        table.line(one.judge, percent(one.rate), one.unscored)
    Console().print(table)
    alpha, low, high = map(two, (found.alpha, found.low, found.high))
    say(
        f"Krippendorff's alpha of all judges {alpha} [{low}, {high}]; "
        f"{counted(len(found.disagreements), 'reply')} not labelled alike by all judges, "
        f"{found.divided:,} without a label (summary.json lists them; `calibrate --sample` draws "
        "them first)"
    )


def print_comparison(found: Comparison, names: tuple[str, str]) -> None:
    """Print two runs' rates on the pairs that both scored, their difference, and what moved."""
    say(f"{counted(found.both_scored, 'pair')} scored in both, {found.only_one:,} in one alone")
    who = found.judges if found.judges[0] != found.judges[1] else names
    kinds = (
        ("harmful pairs", "safety rate", True, found.safety),
        ("benign pairs", "over-refusal", False, found.over_refusal),
    )
    for kind, rate, harmful, shift in kinds:
        if shift.difference is None:
            continue
        table = Listing([kind], ["n", rate])
        for name, one in zip(who, (shift.before, shift.after), strict=True):
            table.line(name, one.n, percent(one))
        bounds = f"{100 * (shift.low or 0):+.1f}, {100 * (shift.high or 0):+.1f}"
        table.line("difference", shift.pairs, f"{100 * shift.difference:+.1f} [{bounds}]")
        Console().print(table)
        say(
            f"Percent with 95 % intervals clustered by image; p = {shift.p:.3g} (sign-flip test "
            "over images)."
        )
        moves = [one for one in found.moves if one.harmful is harmful and one.before != one.after]
        for move in moves[:MOVES]:
            effect = f" (moves the {rate})" if move.moves_rate else ""
            pairs = f"{counted(move.pairs, 'pair')}{effect}, such as {', '.join(move.some)}"
            say(f"{move.before} → {move.after}: {pairs}")
            if move.moves_rate:
                said = zip(("first", "then"), move.because, strict=True)
                say(*(f"    {when}: {one_line(why)[:BECAUSE]}" for when, why in said if why))


def print_table(table: Table, title: str) -> None:
    """Print a table as pages show it, and below it what is to be known of its rows."""
    listing = Listing(table.names[: table.texts], table.names[table.texts :], title)
    for row in table.rows:
        listing.line(*(cell.text for cell in row))
    Console().print(listing)
    if table.caption:
        say(table.caption, style="dim")
    told: dict[str, list[str]] = {}
    for first, *_ in table.rows:
        for detail in first.details:
            told.setdefault(detail, []).append(first.text)
    say(*(f"{', '.join(which)}: {detail}" for detail, which in told.items()))


def print_sections(sections: Iterable[Section], notes: Sequence[str]) -> None:
    """Print the sections of a page, and what has to be known of them."""
    for section in sections:
        if section.table:
            print_table(section.table, section.title)
        say(*section.texts)
    say(*notes, style="yellow")


def print_leaderboard(leaderboard: Leaderboard, folder: Path) -> None:
    """Print benchmarks by their leakage."""
    from vlsbench.auditing.card.page import leaderboard_table

    print_table(leaderboard_table(leaderboard), "leak, most first")
    print_against(leaderboard.against)
    say(f"Files: {folder}/ leaderboard.md, leaderboard.json, and a card each")


def print_against(against: Against | None) -> None:
    """Print measures held against labels."""
    from vlsbench.auditing.card.page import against_table

    if table := against_table(against):
        print_table(table, "held against labels")
