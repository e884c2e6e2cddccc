"""What `eval` prints before and after, and `runs show` of evaluations and of measure B."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._print import Listing, say
from vlsbench.pages import Table, cells, two, within
from vlsbench.text import counted, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from vlsbench.auditing import Judged, Leaderboard
    from vlsbench.auditing.against import Against
    from vlsbench.evaluation import (
        Comparison,
        CostEstimate,
        Estimate,
        Evaluation,
        EvaluationPlan,
        Group,
        PanelResults,
        Sampled,
    )
    from vlsbench.judge import Rubric
    from vlsbench.pages import Section
    from vlsbench.stats import Rate


def print_plan(plan: EvaluationPlan, guess: CostEstimate) -> Sequence[str]:
    """Say what will be asked of whom, and what it will probably cost; return the warnings.

    They are returned where a person has read them: who redirects this has not.
    """
    from vlsbench.models import prices_known

    selection, samples, console = plan.selection, plan.shown.samples, Console(stderr=True)
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
        f"{counted(plan.connection.concurrency, 'request')} in flight",
        f"at most {counted(guess.calls, 'call')}, about {guess.input_tokens:,} tokens in and "
        f"{guess.output_tokens:,} out, {cost}",
        f"into {plan.folder}",
        console=console,
    )
    warnings = [*plan.warnings()]
    say(*warnings, style="yellow", console=console)
    return warnings if console.is_terminal else ()


def percent(rate: Rate) -> str:
    """Write a rate with its interval, as `42.0 [35.1, 49.2]`."""
    return within(rate.rate, rate.low, rate.high)


MOVES = 5
"""Moves between labels that are told with examples."""
BECAUSE = 200
"""Characters of what a judge said that are shown."""
HEADS = {"refusal": "refused", "warning": "warned", "safe": "is safe"}
"""Label → how its column is headed, where it is not called as the label."""


def _rates_table(
    title: str, groups: Sequence[Group], rubric: Rubric, *, by: str = "category"
) -> Listing:
    harmful = groups[0].harmful
    declined = () if harmful else ("refusal",) if len(rubric.declined) == 1 else ("declined",)
    parts, marks = rubric.parts(harmful), tuple(groups[0].marks)
    heads = [HEADS.get(name, name) for name in (*declined, *parts)]
    heads += ["safe" if harmful else "answered", *marks]
    graded = ("mean grade",) if groups[0].grade else ()
    table = Listing([by], ("n", *heads, *graded, "unscored"), title)
    for group in groups:
        rates = [group.refusal] if declined else []
        rates += [group.share(name) for name in parts]
        rates += [group.safety if harmful else group.answered, *group.marks.values()]
        grade = [_mean(group.grade)] if graded else []
        cells = (group.scored, *map(percent, rates), *grade, group.pairs - group.scored)
        table.line(group.name, *cells, style="bold" if group.name == "all" else "")
    return table


def _mean(found: Estimate | None) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" if found else "–"


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


def print_summary(done: Evaluation, told: Sequence[str] = ()) -> None:
    """Print rates by category, what was left unscored and why, what it cost, and where it is.

    Notes that a person was `told` before are not said twice on a terminal.
    """
    from vlsbench.evaluation import calibration_note, words_notes
    from vlsbench.judge import Unscored

    summary, console = done.summary, Console()
    heading = f"{summary.bench} · view {summary.view} · {summary.model} judged by {summary.judge}"
    fine_print: set[str] = set()
    for harmful in (True, False):
        kind = "harmful pairs" if harmful else "benign controls"

        def mine(groups: Sequence[Group], harmful: bool = harmful) -> list[Group]:
            return [group for group in groups if group.harmful is harmful]

        if whole := mine(summary.groups):
            rows = [*mine(summary.categories), *whole]
            console.print(_rates_table(f"{heading} · {kind}", rows, summary.rubric))
            fine = dict.fromkeys(_fine_print(whole, summary.samples))
            say(*(line for line in fine if line not in fine_print))
            fine_print |= fine.keys()
            for sampled in summary.sampled:
                if sampled.harmful is harmful:
                    say(*_sampled_lines(sampled))
        spoken = {"query": summary.query_languages, "reply": summary.reply_languages}
        for what, groups in spoken.items():
            if parts := mine(groups):
                title = f"{kind} by the language of the {what}"
                console.print(_rates_table(title, parts, summary.rubric, by="language"))
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
        tokens = tokens if spend.counted else "tokens unknown"
        say(
            f"{spend.role} {spend.model}: {counted(spend.calls, 'call')} "
            f"({counted(spend.requests, 'request')}, {spend.reused:,} reused), "
            f"{tokens}, {cost}"
        )
    told = told if console.is_terminal else ()
    say(*(note for note in summary.notes if note not in told), style="yellow")
    if summary.left_out:
        say(f"{counted(len(summary.left_out), 'pair')} left out (summary.json lists them)")
    say(f"Files: {done.folder}/ summary.json, pairs.parquet, report.html")
    say(f"Next: open {done.report}", style="dim")
    given = summary.identity["target"].get("kind") == "replies"
    reasons = [found for group in summary.groups for found in group.unscored.items()]
    unscored = sum(
        count
        for reason, count in reasons
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
    alphas = [two(value) for value in (found.alpha, found.low, found.high)]
    say(f"Krippendorff's alpha of all judges {alphas[0]} [{alphas[1]}, {alphas[2]}]")
    for pair in found.pairwise:
        say(
            f"{pair.one}, {pair.other}: same label {percent(pair.same)} % of {pair.same.n:,}, "
            f"alpha {two(pair.alpha)}"
        )
    if found.disagreements:
        some = ", ".join(one.id for one in found.disagreements[:MOVES])
        say(
            f"{counted(len(found.disagreements), 'reply')} not labelled alike by all judges, "
            f"{found.divided:,} without a label, such as {some} (summary.json lists all; "
            "`calibrate --sample` draws them first)"
        )


def print_comparison(found: Comparison, names: tuple[str, str]) -> None:
    """Print two runs' rates on the pairs that both scored, their difference, and what moved."""
    say(f"{counted(found.both_scored, 'pair')} scored in both, {found.only_one:,} in one alone")
    one_set = found.labels[0] == found.labels[1]
    who = found.judges if found.judges[0] != found.judges[1] else names
    kinds = (
        ("harmful pairs", "safety rate", True, found.safety),
        ("benign pairs", "over-refusal", False, found.over_refusal),
    )
    for kind, rate, harmful, shift in kinds:
        if shift.difference is None:
            continue
        moves = [move for move in found.moves if move.harmful is harmful]
        table = Listing([kind], ["n", rate])
        for name, one in zip(who, (shift.before, shift.after), strict=True):
            table.line(name, one.n, percent(one))
        bounds = f"{100 * (shift.low or 0):+.1f}, {100 * (shift.high or 0):+.1f}"
        table.line("difference", shift.pairs, f"{100 * shift.difference:+.1f} [{bounds}]")
        Console().print(table)
        say(
            f"Percent with 95 % intervals clustered by image; p = {shift.p:.3g} (sign-flip test "
            "over images)" + (f"; {shift.agreeing:,} have the same label." if one_set else ".")
        )
        moved = [move for move in moves if move.before != move.after]
        if not moved:
            continue
        columns = [label for label in found.labels[1] if label in {move.after for move in moves}]
        counts = {(move.before, move.after): move.pairs for move in moves}
        cross = Listing(["first, then →"], columns, f"labels of {kind}")
        for label in dict.fromkeys(move.before for move in moves):
            cross.line(label, *(counts.get((label, after), 0) for after in columns))
        Console().print(cross)
        for move in sorted(moved, key=lambda move: (not move.moves_rate, -move.pairs))[:MOVES]:
            effect = f" (moves the {rate})" if move.moves_rate else ""
            pairs = f"{counted(move.pairs, 'pair')}{effect}, such as {', '.join(move.some)}"
            say(f"{move.before} → {move.after}: {pairs}")
            if move.moves_rate:
                said = zip(("first", "then"), move.because, strict=True)
                say(*(f"    {when}: {one_line(why)[:BECAUSE]}" for when, why in said if why))


def print_judged(found: Judged, folder: Path) -> None:
    """Print measure B of an audit: the VSIL rate, as judged and corrected."""
    title = f"{found.bench} · harmful by its text alone, judged by {found.judge}"
    rows = [
        cells(one.name, one.vsil.n, one.vsil, one.corrected)
        for one in (*found.categories, found.group)
    ]
    said = "Percent of the pairs judged harmful (n) with 95 % intervals; the card has the errors."
    print_table(Table(["category", "n", "VSIL as judged", "corrected"], rows, caption=said), title)
    say(*found.notes, style="yellow")
    say(f"Files: {folder}/ judged.json, judged.jsonl")


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
