"""`vlsbench.audit` and `vlsbench.league`: leakage cards from Python, as on the command line."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.api import load, open_model
from vlsbench.auditing import (
    CARD_JSON,
    DROP,
    LEAGUE_JSON,
    Behaviour,
    Card,
    DropList,
    Judged,
    JudgedPair,
    League,
    Measure,
    OverlapPair,
    OverlapSummary,
    leak_score,
    make_card,
    make_league,
    write_json,
)
from vlsbench.auditing._card_pairs import PAIRS, CardPairs
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection, Settings, progress_bar, spend_by_role, whole_file
from vlsbench.ledger import FILE, Ledger
from vlsbench.models import ChatModel, Connections, Patience, Price, price_of
from vlsbench.pairs import SOURCES, Pair, PairSet
from vlsbench.run import Budget, Context, StopSignal, Tally, heed_ctrl_c, in_a_loop

AUDITS = Path("audits")
"""Where audits go unless told otherwise."""
CARD_HTML = "card.html"
CARD_MD = "card.md"
LEAGUE_HTML = "league.html"
LEAGUE_MD = "league.md"

Bench = str | os.PathLike[str] | PairSet


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


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What is measured and how; the fields are the options of `vlsbench audit`."""

    measures: tuple[Measure, ...] = (Measure.OVERLAP,)
    embedder: str = "minilm"
    """`minilm`, or `NAME@http://host:port/v1` of an embeddings server."""
    captioner: str | None = None
    """Spec of a chat model that says what pictures show where the benchmark does not."""
    ocr: bool = False
    """Read the text in the pictures."""
    judge: str | None = None
    controls: tuple[Bench, ...] = ()
    positive_controls: tuple[Bench, ...] = ()
    model: str | None = None
    limit: int | None = None
    seed: int = 0
    concurrency: int = 32
    max_calls: int | None = None
    max_cost: float | None = None
    price: str | None = None
    judge_price: str | None = None
    captioner_price: str | None = None
    timeout_s: float = 300.0
    retries: int = 6
    drop_leaking: float | None = None
    skip_bad: bool = False
    progress: bool = True

    def check(self) -> None:
        """Raise `VlsbenchError` where something that a measure needs was not given."""
        if not self.measures:
            raise VlsbenchError(f"no measure: choose among {', '.join(Measure)}")
        if (self.captioner or self.ocr) and Measure.OVERLAP not in self.measures:
            raise VlsbenchError("--captioner and --ocr are for the measure overlap")
        for measure, needs in (
            (Measure.JUDGED, {"--judge": self.judge, "--controls": self.controls}),
            (
                Measure.BEHAVIOUR,
                {"--model": self.model, "--judge": self.judge, "--controls": self.controls},
            ),
        ):
            missing = [name for name, given in needs.items() if not given]
            if measure in self.measures and missing:
                raise VlsbenchError(f"the measure {measure} needs {' and '.join(missing)}")

    def shown(self) -> Mapping[str, Any]:
        """Return what decides the figures, as plain JSON values."""
        found: dict[str, Any] = {"measures": [str(measure) for measure in self.measures]}
        if Measure.OVERLAP in self.measures:
            found |= {"embedder": self.embedder, "captioner": self.captioner, "ocr": self.ocr}
        if Measure.JUDGED in self.measures or Measure.BEHAVIOUR in self.measures:
            found |= {"judge": self.judge, "controls": [_name(c) for c in self.controls]}
        if Measure.JUDGED in self.measures:
            found["positive_controls"] = [_name(c) for c in self.positive_controls]
        if Measure.BEHAVIOUR in self.measures:
            found["model"] = self.model
        return found | {"limit": self.limit, "seed": self.seed}


def _name(bench: Bench) -> str:
    return bench.name if isinstance(bench, PairSet) else os.fspath(bench)


def settings_of(options: Mapping[str, Any]) -> AuditSettings:
    """Make settings of the keyword arguments of `audit`.

    Raises:
        VlsbenchError: An unknown measure, or a measure lacks what it needs.
    """
    given = dict(options)
    measures = given.pop("measures", (Measure.OVERLAP,))
    unknown = [name for name in measures if name not in tuple(Measure)]
    if unknown:
        raise VlsbenchError(
            f"no measure {', '.join(map(repr, unknown))}; there are {', '.join(Measure)}"
        )
    for name in ("controls", "positive_controls"):
        given[name] = tuple(given.get(name, ()))
    found = AuditSettings(measures=tuple(m for m in Measure if m in measures), **given)
    found.check()
    return found


def audit(
    bench: Bench,
    *,
    data: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
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
            `controls`, `model`, `limit`, `drop_leaking`, …

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
    say: Callable[[str], None] = lambda line: None,
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
    purse = _Purse(folder, settings.max_calls, settings.max_cost)
    audits: list[Audit] = []
    for slug, pairs in names.items():
        say(f"{pairs.name}: {len(pairs):,} pairs")
        audits.append(_audit(pairs, folder / slug, purse.left(settings), say))
        if audits[-1].stopped:
            break
    found = make_league([(one.card, one.folder.name) for one in audits], settings.shown())
    from vlsbench.report import league_markdown, write_league

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
            if name in SOURCES and folder.is_dir():
                return load(bench, data=folder, skip_bad=skip_bad)
    return load(bench, skip_bad=skip_bad)


class _Purse:
    """What is left of a budget while measures and benchmarks spend it one after the other."""

    def __init__(self, folder: Path, max_calls: int | None, max_cost: float | None) -> None:
        self._folder, self._max_calls, self._max_cost = folder, max_calls, max_cost
        self._before = self._paid()

    def _paid(self) -> tuple[int, float]:
        calls, cost = 0, 0.0
        if self._max_calls is None and self._max_cost is None:
            return calls, cost
        for path in self._folder.rglob(FILE):
            with Ledger.read(path.parent) as ledger:
                spend, _ = spend_by_role(ledger)
            calls += sum(row.calls for row in spend)
            cost += sum(row.cost or 0.0 for row in spend)
        return calls, cost

    def left(self, settings: AuditSettings) -> AuditSettings:
        """Return the settings with what is left."""
        calls, cost = (now - then for now, then in zip(self._paid(), self._before, strict=True))
        return replace(
            settings,
            max_calls=None if self._max_calls is None else max(0, self._max_calls - int(calls)),
            max_cost=None if self._max_cost is None else max(0.0, self._max_cost - cost),
        )


def _folder_of(folder: Path, kind: str, *decisive: Any) -> Path:
    """Name the folder of one measure's calls: other settings, another folder beside it."""
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode())
    return folder / f"{kind}-{digest.hexdigest()[:8]}"


def _audit(
    pairs: PairSet, folder: Path, settings: AuditSettings, say: Callable[[str], None]
) -> Audit:
    selection = Selection(pairs, Settings(limit=settings.limit, seed=settings.seed))
    folder.mkdir(parents=True, exist_ok=True)
    purse = _Purse(folder, settings.max_calls, settings.max_cost)
    overlap_found: OverlapSummary | None = None
    judged_found: Judged | None = None
    behaviour_found: Behaviour | None = None
    judged_pairs: Mapping[str, JudgedPair] = {}
    dropped = None
    stopped = ""
    notes: tuple[str, ...] = ()
    droplist = (
        DropList(folder / DROP, settings.drop_leaking)
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
            overlap_found, stopped, notes = _overlap(selection, folder, settings, each, say)
        if Measure.JUDGED in settings.measures and not stopped:
            judged_found, judged_pairs = _judged(selection, folder, purse.left(settings), say)
            stopped = judged_found.stopped
        for pair in kept:
            add(pair, judged_pairs.get(pair.id))
        if not overlap_found:
            for one in judged_pairs.values():
                add(None, one)
        if Measure.BEHAVIOUR in settings.measures and not stopped:
            behaviour_found = _behaviour(selection, folder, purse.left(settings), say)
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
    from vlsbench.report import card_markdown, write_card

    write_json(card, folder / CARD_JSON)
    write_card(card, folder / CARD_HTML)
    _write_text(card_markdown(card), folder / CARD_MD)
    return Audit(folder, card)


def _write_text(text: str, path: Path) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _sample(selection: Selection) -> PairSet:
    """Return the selected pairs as a set of the same name."""
    pairs = selection.pairs
    if len(selection) == len(pairs):
        return pairs
    return PairSet(
        pairs.name,
        lambda: iter(selection),
        source=pairs.source,
        variant=pairs.variant,
        root=pairs.root,
    )


def _overlap(
    selection: Selection,
    folder: Path,
    settings: AuditSettings,
    each: Callable[[OverlapPair], None],
    say: Callable[[str], None],
) -> tuple[OverlapSummary, str, tuple[str, ...]]:
    """Run measure A; return it, why reading the pictures stopped early, and what it lacks."""
    from vlsbench.auditing import captions, overlap, texts

    pairs = _sample(selection)
    with ExitStack() as stack:
        caption = text = None
        stopped = ""
        notes: tuple[str, ...] = ()
        if settings.ocr or settings.captioner:
            place = _folder_of(folder, "pictures", settings.captioner, settings.ocr, pairs.root)
            ledger = stack.enter_context(Ledger.write(place))
            stopped = _read_pictures(pairs, ledger, settings, say)
            notes = tuple(_unread(ledger))
            caption = captions(ledger) if settings.captioner else None
            text = texts(ledger) if settings.ocr else None
        seen = stack.enter_context(_counting(len(pairs), settings.progress))

        def count(pair: OverlapPair) -> None:
            seen()
            each(pair)

        found = overlap(pairs, embedder=settings.embedder, caption=caption, text=text, each=count)
    return found, stopped, notes


def _unread(ledger: Ledger) -> Iterator[str]:
    """Say how many pictures gave no words."""
    from vlsbench.auditing import CAPTION, TEXT

    lost = Counter(o.stage for o in ledger.outcomes() if o.kind == "quarantine")
    if lost[TEXT]:
        yield f"{lost[TEXT]:,} pictures could not be read by OCR"
    if lost[CAPTION]:
        yield f"{lost[CAPTION]:,} pictures got no caption"


def _read_pictures(
    pairs: PairSet, ledger: Ledger, settings: AuditSettings, say: Callable[[str], None]
) -> str:
    """Have captions written and texts read where they are wanted; return why it stopped early."""
    from vlsbench.auditing import (
        CAPTION,
        TEXT,
        ContentKind,
        caption,
        content_of,
        read_texts,
        require_tesseract,
    )

    if settings.ocr:
        require_tesseract()

    def undescribed() -> Iterator[Pair]:
        own = (ContentKind.DESCRIPTION, ContentKind.KEY_PHRASE)
        for pair in pairs:
            content = content_of(pair)
            if content is None or content.kind not in own:
                yield pair

    captioner: ChatModel | None = None
    price: Price | None = None
    if settings.captioner:
        connections = Connections(
            settings.concurrency,
            Patience(timeout_s=settings.timeout_s, retries=settings.retries),
        )
        captioner = open_model(settings.captioner, connections)
        price = (
            Price.parse(settings.captioner_price)
            if settings.captioner_price
            else price_of(settings.captioner)
        )
        if settings.max_cost is not None and price is None:
            raise VlsbenchError(
                f"--max-cost needs a price, and that of {settings.captioner} is unknown: give "
                "--captioner-price INPUT,OUTPUT in dollars per million tokens, or use --max-calls"
            )
        say(f"{settings.captioner} is asked for captions of pictures without a description")

    async def go() -> StopSignal:
        stop = StopSignal()
        spec = settings.captioner or ""
        budget = Budget(stop, settings.max_calls, settings.max_cost, {spec: price})
        with heed_ctrl_c(stop):
            if captioner:
                tally = _tally(undescribed(), ledger, CAPTION)
                try:
                    with _watch(tally, settings.progress):
                        ctx = Context(ledger, (), budget, stop, tally)
                        await caption(undescribed(), captioner, ctx, width=settings.concurrency)
                finally:
                    await captioner.close()
            if settings.ocr and not stop:
                say("Tesseract reads the text in the pictures")
                tally = _tally(pairs, ledger, TEXT)
                with _watch(tally, settings.progress):
                    await read_texts(pairs, Context(ledger, (), budget, stop, tally))
        return stop

    stop = in_a_loop(go)
    if stop.error:
        raise stop.error
    return stop.reason or ""


def _tally(pairs: Iterable[Pair], ledger: Ledger, stage: str) -> Tally:
    return Tally(
        total=len({pair.cluster for pair in pairs if pair.images}),
        done=sum(outcome.stage == stage for outcome in ledger.outcomes()),
    )


def _watch(tally: Tally, progress: bool) -> AbstractContextManager[None]:
    from rich.console import Console

    return progress_bar(tally, Console(stderr=True)) if progress else nullcontext()


@contextmanager
def _counting(total: int, progress: bool) -> Iterator[Callable[[], None]]:
    """Show how many pairs are measured; gives what is to be called for each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("overlap"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not (progress and console.is_terminal),
    )
    task = bar.add_task("overlap", total=total)
    with bar:
        yield lambda: bar.advance(task)


def _judged(
    selection: Selection, folder: Path, settings: AuditSettings, say: Callable[[str], None]
) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Run measure B; return it and the benchmark's pairs by id."""
    from vlsbench.auditing import JUDGED_PAIRS, JudgedPlan, judged, read_judged_pairs

    judge = settings.judge or ""
    names = [[_name(c) for c in group] for group in (settings.controls, settings.positive_controls)]
    place = _folder_of(folder, "judged", judge, names, settings.limit, settings.seed)

    def before(plan: JudgedPlan) -> bool:
        say(
            f"judge {judge}: {plan.questions - plan.ended:,} of {plan.questions:,} questions to "
            f"ask, controls included, {settings.concurrency} in flight; into {place}"
        )
        return True

    found = judged(
        selection.pairs,
        judge=judge,
        controls=settings.controls,
        positive_controls=settings.positive_controls,
        skip_bad=settings.skip_bad,
        limit=settings.limit,
        seed=settings.seed,
        out=place,
        concurrency=settings.concurrency,
        max_calls=settings.max_calls,
        max_cost=settings.max_cost,
        price=settings.judge_price,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        progress=settings.progress,
        before=before,
    )
    return found, read_judged_pairs(place / JUDGED_PAIRS, selection.pairs.name)


def _behaviour(
    selection: Selection, folder: Path, settings: AuditSettings, say: Callable[[str], None]
) -> Behaviour:
    """Run measure C."""
    from vlsbench.auditing import behaviour

    model, judge = settings.model or "", settings.judge or ""
    names = [_name(control) for control in settings.controls]
    return behaviour(
        selection.pairs,
        model=model,
        judge=judge,
        controls=settings.controls,
        skip_bad=settings.skip_bad,
        seed=settings.seed,
        limit=settings.limit,
        out=_folder_of(folder, "behaviour", model, judge, names, settings.limit, settings.seed),
        concurrency=settings.concurrency,
        max_calls=settings.max_calls,
        max_cost=settings.max_cost,
        price=settings.price,
        judge_price=settings.judge_price,
        timeout_s=settings.timeout_s,
        retries=settings.retries,
        progress=settings.progress,
        on_run=lambda name, view: say(f"model {model} on {name}, view {view}"),
    )
