"""`vlsbench.audit` and `vlsbench.league`: leakage cards from Python, as on the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.auditing._measures import Purse, Say, run_behaviour, run_judged, run_overlap
from vlsbench.auditing._settings import AuditSettings, Bench, settings_of
from vlsbench.auditing.behaviour import Behaviour
from vlsbench.auditing.card import (
    CARD_JSON,
    DROP,
    LEAGUE_JSON,
    Card,
    DropList,
    League,
    Measure,
    leak_score,
    make_card,
    make_league,
)
from vlsbench.auditing.card._pairs import PAIRS, CardPairs
from vlsbench.auditing.judged import Judged, JudgedPair
from vlsbench.auditing.overlap import OverlapPair, OverlapSummary
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection, Settings
from vlsbench.files import whole_file, write_json
from vlsbench.pairs import PairSet, list_sources, load

AUDITS = Path("audits")
"""Where audits go unless told otherwise."""
CARD_HTML = "card.html"
CARD_MD = "card.md"
LEAGUE_HTML = "league.html"
LEAGUE_MD = "league.md"


@dataclass(frozen=True)
class Audit:
    """An audit that went as far as it could."""

    folder: Path
    card: Card

    @property
    def stopped(self) -> str:
        """Why it ended early; empty where it is complete."""
        return self.card.stopped

    @property
    def page(self) -> Path:
        """The card as HTML."""
        return self.folder / CARD_HTML

    @property
    def pairs(self) -> Path:
        """`pairs.parquet`: one row a pair, with its scores."""
        return self.folder / PAIRS


def audit(
    bench: Bench,
    *,
    data: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    say: Say = lambda line: None,
    **options: Any,
) -> Audit:
    """Measure how much of the pictures' risk the texts of a benchmark tell, on a leakage card.

    The same arguments go on where an earlier audit stopped; no call is paid twice.

    Args:
        bench: A name, `lab/NAME`, a path, or an opened set.
        data: Folder with the benchmark's official files.
        columns: Column map of a set of your own.
        out: The audit's folder; by default `audits/` and the benchmark's name.
        say: Is told what is about to be asked of whom.
        options: Fields of `AuditSettings`: `measures`, `embedder`, `captioner`, `ocr`, `judge`,
            `controls`, `model`, `limit`, `drop_leaking`, `calibration`, …

    Returns:
        The folder, with card.html, card.md, card.json and pairs.parquet, and the card.

    Raises:
        BadRows: Some pairs cannot be used; lists every one.
        FatalCall: A model cannot work (key, name, address).
        VlsbenchError: Anything else that the caller can mend.
    """
    settings = settings_of(options)
    pairs = (
        bench
        if isinstance(bench, PairSet)
        else load(bench, data=data, skip_bad=settings.skip_bad, columns=columns)
    )
    folder = Path(out) if out else AUDITS / _slug(pairs.name)
    return _audit(pairs, folder, settings, say)


def league(
    benches: Iterable[Bench],
    *,
    data_root: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    say: Say = lambda line: None,
    **options: Any,
) -> tuple[League, Sequence[Audit]]:
    """Audit several benchmarks and set them side by side, the most leaking first.

    Args:
        benches: Names, paths, or opened sets; all are opened before anything is asked.
        data_root: Folder of sets in their official layouts, each under its name (with - or _).
        out: Holds the league's files and a folder for each audit; by default `audits/`.
        say: Is told what is about to be asked of whom.
        options: As for `audit`.

    Returns:
        The table, which league.html, league.md and league.json in the folder hold too, and the
        audits in the order given. One that stops early ends the league before its time.

    Raises:
        VlsbenchError: As for `audit`.
    """
    settings = settings_of(options)
    folder = Path(out) if out else AUDITS
    opened = [open_from(bench, data_root, settings.skip_bad) for bench in benches]
    names: dict[str, PairSet] = {}
    for pairs in opened:
        slug = _slug(pairs.name)
        if slug in names:
            raise VlsbenchError(
                f"{pairs.name} is there twice (or shares its folder {slug} with "
                f"{names[slug].name}): a league holds every benchmark once"
            )
        names[slug] = pairs
    settings = replace(
        settings,
        controls=tuple(open_from(c, data_root, settings.skip_bad) for c in settings.controls),
        positive_controls=tuple(
            open_from(c, data_root, settings.skip_bad) for c in settings.positive_controls
        ),
    )
    purse = Purse(folder, settings.max_calls, settings.max_cost)
    audits: list[Audit] = []
    for slug, pairs in names.items():
        say(f"{pairs.name}: {len(pairs):,} pairs")
        audits.append(_audit(pairs, folder / slug, purse.left(settings), say))
        if audits[-1].stopped:
            break
    found = make_league([(one.card, one.folder.name) for one in audits], settings.shown())
    from vlsbench.auditing.card import league_markdown, write_league

    write_json(found, folder / LEAGUE_JSON)
    write_league(found, folder / LEAGUE_HTML)
    _write_text(league_markdown(found), folder / LEAGUE_MD)
    return found, audits


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_.")[-120:] or "bench"


def open_from(bench: Bench, data_root: str | os.PathLike[str] | None, skip_bad: bool) -> PairSet:
    """Open a benchmark whose files may lie in a folder of sets.

    Raises:
        VlsbenchError: It is neither there nor fetched.
    """
    if isinstance(bench, PairSet):
        return bench
    if data_root is not None:
        name = os.fspath(bench).partition(":")[0]
        for folder in (Path(data_root) / name, Path(data_root) / name.replace("-", "_")):
            if name in list_sources() and folder.is_dir():
                return load(bench, data=folder, skip_bad=skip_bad)
    return load(bench, skip_bad=skip_bad)


def _audit(pairs: PairSet, folder: Path, settings: AuditSettings, say: Say) -> Audit:
    selection = Selection(pairs, Settings(limit=settings.limit, seed=settings.seed))
    folder.mkdir(parents=True, exist_ok=True)
    purse = Purse(folder, settings.max_calls, settings.max_cost)
    overlap_found: OverlapSummary | None = None
    judged_found: Judged | None = None
    behaviour_found: Behaviour | None = None
    judged_pairs: Mapping[str, JudgedPair] = {}
    dropped = None
    stopped = ""
    notes: tuple[str, ...] = ()
    droplist = (
        DropList(folder / DROP, pairs.name, settings.drop_leaking)
        if settings.drop_leaking is not None
        else None
    )
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(folder / PAIRS))
        file = stack.enter_context(CardPairs(part))

        def add(overlap: OverlapPair | None, judged: JudgedPair | None) -> None:
            score = leak_score(overlap, judged)
            file.add(overlap, judged, score)
            if droplist and (pair := overlap or judged):
                droplist.see(pair.id, score)

        kept: list[OverlapPair] = []
        if Measure.OVERLAP in settings.measures:
            # Only where a judge's labels are to stand beside them must pairs wait in memory.
            waits = Measure.JUDGED in settings.measures
            each = kept.append if waits else partial(add, judged=None)
            overlap_found, stopped, notes = run_overlap(selection, folder, settings, each, say)
        if Measure.JUDGED in settings.measures and not stopped:
            judged_found, judged_pairs = run_judged(selection, folder, purse.left(settings), say)
            stopped = judged_found.stopped
        for pair in kept:
            add(pair, judged_pairs.get(pair.id))
        if not overlap_found:
            for one in judged_pairs.values():
                add(None, one)
        if Measure.BEHAVIOUR in settings.measures and not stopped:
            behaviour_found = run_behaviour(selection, folder, purse.left(settings), say)
            stopped = behaviour_found.stopped
    if droplist:
        dropped = droplist.close()
    card = make_card(
        selection,
        seed=settings.seed,
        limit=settings.limit,
        settings=settings.shown(),
        overlap=overlap_found,
        judged=judged_found,
        behaviour=behaviour_found,
        judged_pairs=judged_pairs,
        dropped=dropped,
        stopped=stopped,
        notes=notes,
    )
    from vlsbench.auditing.card import card_markdown, write_card

    write_json(card, folder / CARD_JSON)
    write_card(card, folder / CARD_HTML)
    _write_text(card_markdown(card), folder / CARD_MD)
    return Audit(folder, card)


def _write_text(text: str, path: Path) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace", newline="\n")
