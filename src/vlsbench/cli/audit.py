"""`vlsbench audit`: how much of the images' risk the texts of a benchmark tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from vlsbench.auditing._settings import AuditConfig
from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped
from vlsbench.cli._print import print_json
from vlsbench.config import NONE
from vlsbench.errors import VlsbenchError
from vlsbench.text import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vlsbench.auditing import Audit, Card, Dropped, Expense, Leaderboard
    from vlsbench.pairs import Bench, PairSet

ENDS = 3
"""Categories printed from both ends of the order."""


def _audit(config: AuditConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Measure how much of the images' risk the texts of a benchmark tell.

    Writes a leakage card (card.html, card.json) and pairs.parquet with every pair's
    scores; several benchmarks also a leaderboard. The same command again goes on where it
    stopped.

    **Examples**

    - `vlsbench audit vlsbench`

    - `vlsbench audit lab/mixed --drop-leaking 0.5`

    - `vlsbench audit vlsbench msts mm-safetybench --data-root ./sets --out leaderboard`

    - `vlsbench audit figstep:tiny --ocr`

    - `vlsbench audit vlsbench msts --embedder clip/openai/clip-vit-large-patch14`

    - `vlsbench audit vlsbench --measures overlap,judged --judge openai/gpt-4o
      --controls mossbench,xstest --limit 100 --max-cost 2`

    - `vlsbench audit lab/leakless --measures overlap,judged,behaviour --judge lab
      --model lab/careful --controls lab/benign`

    - `vlsbench audit vlsbench --measures behaviour --judge openai/gpt-4o --model openai/gpt-4o
      --controls mossbench --views text,blank,replicate --dry-run`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 3 stopped early and resumable,
    130 interrupted and resumable.
    """
    from vlsbench import auditing

    console = Console(stderr=True, soft_wrap=True)

    def say(line: str) -> None:
        if not quiet:
            console.print(terminal(line), highlight=False)

    root, sample, output = config.data_root, config.sample, config.output
    given = config.positive_controls

    def opened(names: Iterable[str]) -> list[PairSet]:
        return [auditing.open_from(one, root, sample.skip_bad) for one in names]

    shared: dict[str, Any] = {
        "measures": config.measures,
        "overlap": config.overlap,
        "judge": config.judge,
        "controls": opened(config.controls),
        "positive_controls": None if given is None else opened(n for n in given if n != NONE),
        "model": config.model,
        "views": config.views,
        "sample": sample,
        "params": config.params,
        "data_root": root,
        "budget": config.budget,
        "connection": config.connection,
        "output": replace(output, progress=not quiet),
        "say": say,
    }
    if dry_run:
        for bench in config.bench:
            pairs = auditing.open_from(bench, root, sample.skip_bad)
            found = auditing.audit_expenses(
                _open(config) if len(config.bench) == 1 else pairs, **shared
            )
            _print_expenses(Console(), pairs.name, found)
        return
    if len(config.bench) == 1:
        done = auditing.audit(_open(config), **shared)
        if as_json:
            print_json(done.card)
        else:
            _print_card(Console(), done)
        end_if_stopped(console, done.stopped)
        return
    if config.data.data is not None or config.data.columns or config.data.leave_out:
        raise VlsbenchError(
            "--data, --columns and --leave-out are for one benchmark; several: --data-root DIR"
        )
    table, audits = auditing.leaderboard(config.bench, **shared)
    if as_json:
        print_json(table)
    else:
        _print_leaderboard(Console(), table, output.out or auditing.AUDITS)
    end_if_stopped(console, next((one.stopped for one in audits if one.stopped), None))


def _open(config: AuditConfig) -> PairSet:
    from vlsbench import auditing
    from vlsbench.pairs import load_configured

    bench: Bench = config.bench[0]
    if config.data_root is not None and config.data.data is None:
        bench = auditing.open_from(bench, config.data_root, config.sample.skip_bad)
    return load_configured(bench, config.data, skip_bad=config.sample.skip_bad)


audit = command(AuditConfig, _audit, dry_run=True)


def _print_expenses(console: Console, bench: str, found: Sequence[Expense]) -> None:
    table = Table(title=f"{terminal(bench)}: what models are asked", title_justify="left")
    for name in ("measure", "set", "part"):
        table.add_column(name)
    for name in ("calls, at most", "cost, roughly"):
        table.add_column(name, justify="right")
    for one in found:
        cost = "unknown" if one.cost is None else f"${one.cost:,.2f}"
        cells = ("–", "not run") if one.missing else (f"{one.calls:,}", cost)
        table.add_row(one.measure, terminal(one.set), one.part, *cells)
    known = [one.cost for one in found if one.cost is not None]
    total = f"${sum(known):,.2f}" if len(known) == len(found) else "unknown"
    table.add_section()
    table.add_row("all", "", "", f"{sum(one.calls for one in found):,}", total)
    console.print(table)
    for one in found:
        if one.missing:
            console.print(terminal(f"{one.set}, {one.part}: not run ({one.missing})"))


def _print_card(console: Console, done: Audit) -> None:
    from vlsbench.auditing.card import finding

    card = done.card
    console.print(terminal(f"{card.bench}: {finding(card)}"), highlight=False)
    if card.categories:
        console.print(_categories(card))
    if card.leaking:
        console.print(_leaking(card))
    _print_caveats(console, card)
    console.print(terminal(f"Files: {done.folder}/ card.html, card.json, pairs.parquet"))
    if card.dropped:
        _print_dropped(console, card, card.dropped, done.folder / card.dropped.file)
    console.print(terminal(f"Next: open {done.page}"), style="dim", highlight=False)


def _print_dropped(console: Console, card: Card, found: Dropped, file: Path) -> None:
    unmeasured = f" ({found.unmeasured:,} of them without a score)" if found.unmeasured else ""
    lines = [
        f"       {file}: {found.dropped:,} pairs to leave out at {found.threshold:g}, "
        f"{found.kept:,} kept{unmeasured}",
    ]
    if found.dropped:
        rest = f"{card.arguments} --leave-out {quote(str(file))}"
        lines.append(f"       vlsbench eval {rest} … runs the rest")
    if card.limit is not None:
        lines.append("       only the sample was audited: the list says nothing of other pairs")
    for line in lines:
        console.print(terminal(line), highlight=False)


def _categories(card: Card) -> Table:
    from vlsbench.auditing.card import share

    table = Table(title="most and least leaking categories", title_justify="left")
    table.add_column("category")
    for name in ("pairs", "found to leak", "corrected, 95 % interval"):
        table.add_column(name, justify="right")
    shown = card.categories
    if len(shown) > 2 * ENDS:
        shown = (*shown[:ENDS], *shown[-ENDS:])
    for category in shown:
        counted = f"{category.counted.k:,} of {category.counted.n:,}"
        table.add_row(terminal(category.name), f"{category.pairs:,}", counted, share(category.leak))
    return table


def _leaking(card: Card) -> Table:
    table = Table(title="pairs most likely to leak", title_justify="left")
    table.add_column("pair")
    table.add_column("category")
    if card.overlap:
        table.add_column("naming", justify="right")
    if card.judged:
        table.add_column("text judged")
    for pair in card.leaking:
        naming = "–" if pair.naming is None else f"{pair.naming:.2f}"
        judged = {True: "harmful", False: "harmless", None: "–"}[pair.text_harmful]
        figures = [naming] * bool(card.overlap) + [judged] * bool(card.judged)
        table.add_row(terminal(pair.id), terminal(pair.category), *figures)
    return table


def _print_caveats(console: Console, card: Card) -> None:
    from vlsbench.auditing import caveats

    found = (card.overlap, card.judged, card.behaviour)
    notes = [note for one in found if one for note in one.notes]
    for note in dict.fromkeys((*caveats(card), *notes)):
        console.print(terminal(f"note: {note}"), style="yellow", highlight=False)


def _print_leaderboard(console: Console, leaderboard: Leaderboard, folder: Path) -> None:
    from vlsbench.auditing.card import bits, share

    table = Table(title="leak, most first", title_justify="left")
    table.add_column("benchmark", overflow="fold")
    names = ["n", "leaking pairs", "typographic", "topic, bits", "median rank"]
    judged = any(row.vsil for row in leaderboard.rows)
    gain = any(row.gain for row in leaderboard.rows)
    names += ["VSIL, judged"] * judged + ["gain"] * gain
    for name in names:
        table.add_column(name, justify="right")
    for row in leaderboard.rows:
        n = row.leak.n if row.leak else row.pairs
        cells = [terminal(row.bench), f"{n:,}", share(row.leak), share(row.typographic)]
        cells += [bits(row.topic), share(row.rank)]
        cells += [share(row.vsil)] * judged + [share(row.gain)] * gain
        table.add_row(*cells)
    console.print(table)
    for row in leaderboard.rows:
        if row.caveats:
            note = f"{row.bench}: {'; '.join(row.caveats)}"
            console.print(terminal(note), style="yellow", highlight=False)
    console.print(
        terminal(
            f"Files: {folder}/ leaderboard.html, leaderboard.md, leaderboard.json, and a card each"
        )
    )
    console.print(
        terminal(f"Next: open {folder / 'leaderboard.html'}"), style="dim", highlight=False
    )
