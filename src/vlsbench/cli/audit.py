"""`vlsbench audit`: how much of the pictures' risk the texts of a benchmark tell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vlsbench.cli._ending import end_if_stopped
from vlsbench.cli._options import (
    BENCHMARK,
    OUTPUT,
    SPEND,
    AsJson,
    Columns,
    Concurrency,
    Data,
    JudgePrice,
    Limit,
    MaxCalls,
    MaxCost,
    Price,
    Quiet,
    Retries,
    SkipBad,
    Timeout,
)
from vlsbench.errors import VlsbenchError

if TYPE_CHECKING:
    from vlsbench.auditing import Card, Dropped, League
    from vlsbench.auditing._audit import Audit

_WHAT = "What is measured"
_PICTURES = "A. Overlap"
_JUDGE = "B. Judged, C. Behaviour"
ENDS = 3
"""Categories printed from both ends of the order."""


def _listed(values: Iterable[str]) -> list[str]:
    return [part for value in values for part in value.split(",") if part]


def audit(
    bench: Annotated[
        list[str],
        typer.Argument(
            metavar="BENCH",
            help="Names (`vlsbench bench list`), `lab/leaky`, or paths; several make a league "
            "table.",
            show_default=False,
        ),
    ],
    measures: Annotated[
        str,
        typer.Option(
            help="overlap: does the text tell what is in the picture? (offline); judged: is it "
            "harmful on its own? behaviour: does hiding the picture change a model?",
            rich_help_panel=_WHAT,
        ),
    ] = "overlap",
    drop_leaking: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Write the list of pairs that leak with a score of P or more (drop.csv), for "
            "`vlsbench eval --leave-out`.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    data: Data = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            help="Folder of several, each under its name (with - or _).",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    limit: Limit = None,
    seed: Annotated[
        int, typer.Option(help="Of the sample and of the swap view.", rich_help_panel=BENCHMARK)
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the card goes [default: audits/ and the benchmark's name].",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    embedder: Annotated[
        str,
        typer.Option(
            help="`minilm`, NAME@http://host:port/v1 of an embeddings server, or clip/PATH or "
            "clip/ORG/NAME: a model like CLIP that looks at the pictures themselves.",
            rich_help_panel=_PICTURES,
        ),
    ] = "minilm",
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Fitted numbers of naming for that server's model, as scripts/fit_naming.py "
            "writes them.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    captioner: Annotated[
        str | None,
        typer.Option(
            help="Chat model that says what pictures show where the benchmark does not.",
            rich_help_panel=_PICTURES,
        ),
    ] = None,
    ocr: Annotated[
        bool,
        typer.Option(
            "--ocr/--no-ocr",
            help="Read the text in the pictures: the typographic channel (needs tesseract).",
            rich_help_panel=_PICTURES,
        ),
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(
            help="Model that says what is harmful (B) and labels replies (C): a spec as for "
            "--model, or `lab`.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    controls: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BENCH[,BENCH]",
            help="Sets of benign pairs like the benchmark's: mossbench, xstest, "
            "vlguard:safe_safes, lab/benign.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    positive_controls: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BENCH[,BENCH]",
            help="Sets of texts that are harmful on their own: they measure the judge's misses.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Whose behaviour is measured: openai/NAME, NAME@http://host:port/v1, "
            "inspect/PROVIDER/NAME, or lab/NAME.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    concurrency: Concurrency = 32,
    max_cost: MaxCost = None,
    max_calls: MaxCalls = None,
    price: Price = None,
    judge_price: JudgePrice = None,
    captioner_price: Annotated[
        str | None, typer.Option(help="The same for the captioner.", rich_help_panel=SPEND)
    ] = None,
    timeout: Timeout = 300.0,
    retries: Retries = 6,
) -> None:
    """Measure how much of the pictures' risk the texts of a benchmark tell.

    Writes a leakage card (card.html, card.md, card.json) and pairs.parquet with every pair's
    scores; several benchmarks also a league table. The same command again goes on where it
    stopped.

    **Examples**

    - `vlsbench audit vlsbench`

    - `vlsbench audit lab/mixed --drop-leaking 0.5`

    - `vlsbench audit vlsbench msts mm-safetybench --data-root ./sets --out league`

    - `vlsbench audit figstep:tiny --ocr`

    - `vlsbench audit vlsbench msts --embedder clip/openai/clip-vit-large-patch14`

    - `vlsbench audit vlsbench --measures overlap,judged --judge openai/gpt-4o
      --controls mossbench,xstest --limit 100 --max-cost 2`

    - `vlsbench audit lab/leakless --measures overlap,judged,behaviour --judge lab
      --model lab/careful --controls lab/benign`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 3 stopped early and resumable,
    130 interrupted and resumable.
    """
    from vlsbench import auditing
    from vlsbench.pairs import parse_columns

    console = Console(stderr=True, soft_wrap=True)

    def say(line: str) -> None:
        if not quiet:
            console.print(line, markup=False, highlight=False)

    options = {
        "measures": _listed([measures]),
        "embedder": embedder,
        "calibration": calibration,
        "captioner": captioner,
        "ocr": ocr,
        "judge": judge,
        "controls": [auditing.open_from(c, data_root, skip_bad) for c in _listed(controls or ())],
        "positive_controls": [
            auditing.open_from(c, data_root, skip_bad) for c in _listed(positive_controls or ())
        ],
        "model": model,
        "limit": limit,
        "seed": seed,
        "concurrency": concurrency,
        "max_calls": max_calls,
        "max_cost": max_cost,
        "price": price,
        "judge_price": judge_price,
        "captioner_price": captioner_price,
        "timeout_s": timeout,
        "retries": retries,
        "drop_leaking": drop_leaking,
        "skip_bad": skip_bad,
        "progress": not quiet,
    }
    if len(bench) == 1:
        one = (
            auditing.open_from(bench[0], data_root, skip_bad) if data_root is not None else bench[0]
        )
        done = auditing.audit(
            one,
            data=data,
            columns=parse_columns(columns) if columns else None,
            out=out,
            say=say,
            **options,
        )
        if as_json:
            typer.echo(json.dumps(asdict(done.card)))
        else:
            _print_card(Console(), done)
        end_if_stopped(console, done.stopped)
        return
    if data is not None or columns:
        raise VlsbenchError("--data and --columns are for one benchmark; several: --data-root DIR")
    table, audits = auditing.league(bench, data_root=data_root, out=out, say=say, **options)
    if as_json:
        typer.echo(json.dumps(asdict(table)))
    else:
        _print_league(Console(), table, (out or auditing.AUDITS))
    end_if_stopped(console, next((one.stopped for one in audits if one.stopped), None))


def _print_card(console: Console, done: Audit) -> None:
    from vlsbench.auditing.card import finding

    card = done.card
    console.print(escape(f"{card.bench}: {finding(card)}"), highlight=False)
    if card.categories:
        console.print(_categories(card))
    if card.leaking:
        console.print(_leaking(card))
    _print_caveats(console, card)
    console.print(escape(f"Files: {done.folder}/ card.html, card.md, card.json, pairs.parquet"))
    if card.dropped:
        _print_dropped(console, card, card.dropped, done.folder / card.dropped.file)
    console.print(escape(f"Next: open {done.page}"), style="dim", highlight=False)


def _print_dropped(console: Console, card: Card, found: Dropped, file: Path) -> None:
    unmeasured = f" ({found.unmeasured:,} of them without a score)" if found.unmeasured else ""
    lines = [
        f"       {file}: {found.dropped:,} pairs to leave out at {found.threshold:g}, "
        f"{found.kept:,} kept{unmeasured}",
    ]
    if found.dropped:
        lines.append(f"       vlsbench eval {card.bench} --leave-out {file} … runs the rest")
    if card.limit is not None:
        lines.append("       only the sample was audited: the list says nothing of other pairs")
    for line in lines:
        console.print(escape(line), highlight=False)


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
        table.add_row(escape(category.name), f"{category.pairs:,}", counted, share(category.leak))
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
        table.add_row(escape(pair.id), escape(pair.category), *figures)
    return table


def _print_caveats(console: Console, card: Card) -> None:
    from vlsbench.auditing import caveats

    found = (card.overlap, card.judged, card.behaviour)
    notes = [note for one in found if one for note in one.notes]
    for note in dict.fromkeys((*caveats(card), *notes)):
        console.print(escape(f"note: {note}"), style="yellow", highlight=False)


def _print_league(console: Console, league: League, folder: Path) -> None:
    from vlsbench.auditing.card import bits, share

    table = Table(title="leak, most first", title_justify="left")
    table.add_column("benchmark", overflow="fold")
    names = ["n", "leaking pairs", "typographic", "topic, bits", "median rank"]
    judged = any(row.vsil for row in league.rows)
    gain = any(row.gain for row in league.rows)
    names += ["VSIL, judged"] * judged + ["gain"] * gain
    for name in names:
        table.add_column(name, justify="right")
    for row in league.rows:
        n = row.leak.n if row.leak else row.pairs
        cells = [escape(row.bench), f"{n:,}", share(row.leak), share(row.typographic)]
        cells += [bits(row.topic), share(row.rank)]
        cells += [share(row.vsil)] * judged + [share(row.gain)] * gain
        table.add_row(*cells)
    console.print(table)
    for row in league.rows:
        if row.caveats:
            note = f"{row.bench}: {'; '.join(row.caveats)}"
            console.print(escape(note), style="yellow", highlight=False)
    console.print(escape(f"Files: {folder}/ league.html, league.md, league.json, and a card each"))
    console.print(escape(f"Next: open {folder / 'league.html'}"), style="dim", highlight=False)
