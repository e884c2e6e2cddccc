"""Measure how much of the images' risk the texts of a benchmark tell."""

from __future__ import annotations

from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.auditing import AuditConfig, total_cost
from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped
from vlsbench.cli._print import Listing, dollars, print_json, prose, say
from vlsbench.cli._tables import print_against, print_leaderboard
from vlsbench.config import values_of
from vlsbench.errors import UsageError, VlsbenchError
from vlsbench.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlsbench.auditing import Audit, Card, Expense, Measure
    from vlsbench.pairs import Bench, PairSet


@command(AuditConfig)
def audit(config: AuditConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Measure how much of the images' risk the texts of a benchmark tell.

    Writes a leakage card (card.html, card.json) and pairs.parquet with every pair's
    scores; several benchmarks also a leaderboard. The same command again goes on where it
    stopped.

    **Examples**

    - `vlsbench audit vlsbench`

    - `vlsbench audit lab/mixed --drop-leaking 0.5`

    - `vlsbench audit vlsbench msts mm-safetybench --data-root ./sets --out leaderboard`

    - `vlsbench audit vlsbench --measures overlap,judged --judge openai/gpt-4o
      --controls mossbench,xstest --limit 100 --max-cost 2`

    - `vlsbench audit lab/leakless --measures overlap,judged,behaviour --judge lab
      --model lab/careful --controls lab/benign`
    """
    from vlsbench import auditing

    benches: Sequence[Bench] = config.bench
    if config.all:
        named = [auditing.open_from(bench, config) for bench in config.bench]
        found, skipped = auditing.at_hand(config)
        benches = [*found, *(one for one in named if one.name not in {two.name for two in found})]
        left_out = (f"left out: {name}: {why}" for name, why in skipped.items())
        say(*left_out, console=prose(quiet=quiet))
    if not benches:
        what = "none is at hand" if config.all else "give BENCH, one or more, or --all"
        raise UsageError(f"no benchmark to audit: {what}")
    single = len(benches) == 1 and not config.all
    if single:
        benches = [_open(config)]
    elif config.data.data is not None or config.data.columns or config.data.leave_out:
        raise VlsbenchError(
            "--data, --columns and --leave-out are for one benchmark; several: --data-root DIR"
        )
    if dry_run:
        for plan in auditing.plan_audits(benches, config):
            _print_expenses(plan.selection.pairs.name, list(auditing.expenses(plan)))
        return
    if single:
        (plan,) = auditing.plan_audits(benches, config)
        audits: Sequence[Audit] = [auditing.run_audit(plan)]
        written: object = audits[0].card
        shown = partial(_print_card, audits[0])
    else:
        written, audits = auditing.run_leaderboard(benches, config)
        shown = partial(print_leaderboard, written, config.output.out or auditing.AUDITS)
    if as_json:
        print_json(written)
    else:
        shown()
    end_if_stopped(next((one.stopped for one in audits if one.stopped), None))
    _need_figures([one.card for one in audits])


def _need_figures(cards: Sequence[Card]) -> None:
    """Fail where models were asked for nothing, or no measure gives a figure of any benchmark."""
    from vlsbench.auditing import Measure, caveats

    nothing = all(card.unmeasured == card.measures for card in cards)
    for card in cards:
        if nothing or {*card.unmeasured} - {Measure.OVERLAP}:
            asked = card.judged or card.behaviour
            why = "see its notes" if asked else "; ".join(caveats(card)) or "no pair gave a figure"
            raise VlsbenchError(f"nothing could be measured of {card.bench}: {why}")


def _open(config: AuditConfig) -> PairSet:
    from vlsbench import auditing
    from vlsbench.pairs import load

    bench: Bench = config.bench[0]
    if config.data_root is not None and config.data.data is None:
        bench = auditing.open_from(bench, config)
    return load(bench, **values_of(config.data), skip_bad=config.sample.skip_bad)


def _print_expenses(bench: str, found: Sequence[tuple[Measure, Expense]]) -> None:
    title = f"{bench}: what models are asked"
    table = Listing(("measure", "set", "part"), ("calls, at most", "cost, roughly"), title)

    for measure, one in found:
        cells = ("–", "not run") if one.missing else (one.calls, dollars(one.cost))
        table.line(measure, one.set, one.part, *cells)
    parts = [one for _, one in found]
    total = dollars(total_cost(parts))
    table.line("all", "", "", sum(one.calls for one in parts), total, style="bold")
    Console().print(table)
    say(*(f"{one.set}, {one.part}: not run ({one.missing})" for one in parts if one.missing))


def _print_card(done: Audit) -> None:
    from vlsbench.auditing import caveats, finding

    card = done.card
    say(f"{card.bench}: {finding(card)}")
    print_against(card.against)
    measures = (card.overlap, card.judged, card.behaviour)
    notes = [note for one in measures if one for note in one.notes]
    # Its caveats say it once already.
    notes = [note for note in notes if not note.startswith("Simulated:")]
    say(*(f"note: {note}" for note in dict.fromkeys((*caveats(card), *notes))), style="yellow")
    say(f"Files: {done.folder}/ card.html, card.json, pairs.parquet")
    if found := card.dropped:
        file = done.folder / found.file
        unmeasured = f" ({found.unmeasured:,} of them without a score)" if found.unmeasured else ""
        say(
            f"       {file}: {counted(found.dropped, 'pair')} to leave out at "
            f"{found.threshold:g}, {found.kept:,} kept{unmeasured}"
        )
        if found.dropped:
            rest = f"{card.arguments} --leave-out {quote(str(file))}"
            say(f"       vlsbench eval {rest} … runs the rest")
        if card.limit is not None:
            say("       only the sample was audited: the list says nothing of other pairs")
    say(f"Next: open {done.page}", style="dim")
