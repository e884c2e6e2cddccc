"""An audit before it asks anything: sets opened, settings checked, and what its measures ask."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.auditing._settings import AuditSettings, name_of
from vlsbench.auditing.behaviour.run import Arm, plan_behaviour
from vlsbench.auditing.card.card import Measure
from vlsbench.auditing.head import Expense
from vlsbench.auditing.judged.run import JudgedPlan, open_set
from vlsbench.auditing.overlap.contents import content_of, undescribed
from vlsbench.config import NONE
from vlsbench.embed import CLIP
from vlsbench.engine import FILE, CostBudget
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Output, Selection
from vlsbench.evaluation import plan as evaluation_plan
from vlsbench.judge import PROMPT_VERSION, JudgeContext, open_harm_judge
from vlsbench.models import Connections, Params, Usage, price_of
from vlsbench.pairs import Bench, PairSet, image_faults, list_sources, load
from vlsbench.registry import is_simulated
from vlsbench.text import block, file_name, first_line

AUDITS = Path("audits")
"""Where audits go unless told otherwise."""
PLACE = ".set"
"""In a card's folder: a digest of where its set lies."""
POSITIVE = ("xstest", "vlguard:safe_unsafes")
"""Positive controls where none are named; of XSTest, the unsafe prompts count."""
CAPTION_TOKENS = (1_000, 60)
"""Into and out of a caption, roughly: an image and two sentences."""


@dataclass(frozen=True, kw_only=True)
class AuditPlan:
    """What one audit asks and measures."""

    selection: Selection
    settings: AuditSettings
    measures: tuple[Measure, ...]
    controls: tuple[PairSet, ...]
    positive_controls: tuple[PairSet, ...]
    budget: CostBudget
    folder: Path
    notes: tuple[str, ...] = ()
    """What was chosen for the user, for the card."""

    def folder_of(self, kind: str, *decisive: Any) -> Path:
        """Name the folder of one measure's calls: other settings, another folder beside it."""
        digest = hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode())
        return self.folder / f"{kind}-{digest.hexdigest()[:8]}"

    def say(self, line: str) -> None:
        """Tell what is about to be asked of whom, where progress is shown."""
        if self.settings.output.progress:
            print(block(line), file=sys.stderr)

    def shown(self) -> Mapping[str, Any]:
        """Return what decides the figures, as plain JSON values."""
        given, how = self.settings, self.settings.overlap
        found: dict[str, Any] = {"measures": [str(measure) for measure in self.measures]}
        if Measure.OVERLAP in self.measures:
            found |= {"embedder": name_of(how.embedder), "captioner": how.captioner, "ocr": how.ocr}
            found |= {"calibration": str(how.calibration)} if how.calibration else {}
        if {Measure.JUDGED, Measure.BEHAVIOUR} & {*self.measures}:
            found |= {"judge": name_of(given.judge), "controls": [c.name for c in self.controls]}
        if Measure.JUDGED in self.measures:
            found["positive_controls"] = [control.name for control in self.positive_controls]
        if Measure.BEHAVIOUR in self.measures:
            found |= {"model": name_of(given.model), "views": list(given.views)}
            found["params"] = given.params.as_json()
        return found | {"limit": given.sample.limit, "seed": given.sample.seed}


def plan_audits(
    benches: Iterable[Bench], settings: AuditSettings, *, nested: bool = False
) -> list[AuditPlan]:
    """Open benchmarks and controls and check what was given, before anything is asked.

    One budget spans all audits of the call. `nested` puts even a single audit into a folder within
    `out`, beside the leaderboard's files.
    """
    measures, budget = settings.wanted(), CostBudget.of(settings.budget)
    opened = [open_from(bench, settings) for bench in benches]
    if not opened:
        raise VlsbenchError("no benchmark to audit: name one or more")
    for pairs in opened:
        settings.check(pairs)
    given = settings.positive_controls
    notes: tuple[str, ...] = ()
    if given is None and Measure.JUDGED in measures:
        positive = _positive_at_hand(settings)
        names = ", ".join(control.name for control in positive)
        notes = (f"positive controls by default: the harmful texts of {names}",) if names else ()
    else:
        positive = [open_from(one, settings) for one in given or () if one != NONE]
    controls = tuple(open_from(one, settings) for one in settings.controls)
    out = settings.output.out
    plans: dict[str, AuditPlan] = {}
    for pairs in opened:
        slug = file_name(pairs.name, "bench")
        if slug in plans:
            other = plans[slug].selection.pairs.name
            raise VlsbenchError(f"{pairs.name} is there twice, or shares its folder with {other}")
        named = out if len(opened) == 1 and not nested else None
        plans[slug] = AuditPlan(
            selection=Selection(pairs, settings.sample),
            settings=settings,
            measures=measures,
            controls=controls,
            positive_controls=tuple(positive),
            budget=budget,
            folder=_folder_of(pairs, named or (out or AUDITS) / slug, named=bool(named)),
            notes=(*notes, *pairs.columns.said(), *_partly(pairs)),
        )
    return list(plans.values())


def _partly(pairs: PairSet) -> Iterator[str]:
    """Say so where only a part of the published pairs is here."""
    published = pairs.source.rows.get(pairs.variant, 0) if pairs.source else 0
    if (here := len(pairs) + len(pairs.bad)) < published and not pairs.simulated:
        yield f"{here:,} of {published:,} published pairs are here"


def at_hand(settings: AuditSettings) -> tuple[list[PairSet], dict[str, str]]:
    """Open every public benchmark whose files are there and that can be measured.

    Returns:
        The sets, each in its default variant, and name → why the others are left out.
    """
    found, skipped = list[PairSet](), dict[str, str]()
    for name, source in list_sources().items():
        if source.home is None:
            continue
        try:
            pairs = open_from(name, settings)
            why = _unmeasurable(pairs, settings)
        except VlsbenchError as error:
            why = first_line(error).removeprefix(f"{name}: ")
        if why:
            skipped[name] = why
        else:
            found.append(pairs)
    return found, skipped


def _unmeasurable(pairs: PairSet, settings: AuditSettings) -> str:
    """Say why nothing could be measured of a set; empty where something could."""
    how, measures = settings.overlap, settings.wanted()
    pictured = sum(bool(pair.images) for pair in pairs)
    looks = how.captioner or how.ocr or name_of(how.embedder).startswith(CLIP)
    if not (pictured or any(pair.description for pair in pairs)):
        return "texts alone: there is no image to tell of"
    if measures == (Measure.OVERLAP,) and not looks:
        said = any(content_of(pair) for pair in pairs)
        return "" if said else "nothing says what its images show: --captioner or --embedder clip"
    missing = len(image_faults(pairs))
    if missing and not (settings.sample.skip_bad and missing < pictured):
        return f"images are missing: of {missing:,} of {pictured:,} pairs (--skip-bad does without)"
    return ""


def place_of(pairs: PairSet) -> str:
    """Return a digest of where a set lies."""
    place = str(pairs.root.resolve()) if pairs.root else ""
    return hashlib.sha256(place.encode()).hexdigest()[:8]


def _folder_of(pairs: PairSet, folder: Path, *, named: bool) -> Path:
    """Return a set's folder; that of another set is an error where named, else its neighbour."""
    mark = folder / PLACE
    if not mark.is_file() or mark.read_text("utf-8") == place_of(pairs):
        return folder
    if named:
        raise VlsbenchError(f"{folder} holds the audit of another set; choose another --out")
    return folder.with_name(f"{folder.name}-{place_of(pairs)}")


def _positive_at_hand(settings: AuditSettings) -> list[PairSet]:
    """Open the first set of texts harmful on their own whose files are there.

    A simulated judge knows nothing outside of its world, so it is asked about none.
    """
    if isinstance(settings.judge, str) and is_simulated(settings.judge):
        return []
    for name in POSITIVE:
        with suppress(VlsbenchError):
            return [open_from(name, settings, skip_bad=True)]
    return []


def open_from(bench: Bench, settings: AuditSettings, *, skip_bad: bool = False) -> PairSet:
    """Open a benchmark whose files may lie in the folder of sets."""
    skip_bad = skip_bad or settings.sample.skip_bad
    if settings.data_root is not None and isinstance(bench, str):
        name, root = bench.partition(":")[0], Path(settings.data_root)
        for folder in (name, name.replace("-", "_")):
            if name in list_sources() and (root / folder).is_dir():
                return load(bench, data=root / folder, skip_bad=skip_bad)
    return load(bench, skip_bad=skip_bad)


def _sampled(plan: AuditPlan) -> list[Any]:
    """Return what names the sample; earlier versions limited the controls too."""
    sample = plan.settings.sample
    return [sample.limit, sample.seed, *([] if sample.limit is None else ["all controls"])]


def _output(plan: AuditPlan, folder: Path, reuse: Iterable[Path] = ()) -> Output:
    given = plan.settings.output
    return Output(out=folder, reuse=tuple(reuse), retry=given.retry, progress=given.progress)


def ask_judge(plan: AuditPlan) -> JudgedPlan:
    """Say what measure B asks."""
    given = plan.settings
    assert given.judge is not None, "the settings were checked"
    names = [[c.name for c in group] for group in (plan.controls, plan.positive_controls)]
    folder = plan.folder_of("judged", name_of(given.judge), names, *_sampled(plan))
    judge = open_harm_judge(given.judge, Connections(given.connection))
    sets = [("bench", plan.selection.pairs), *(("benign", one) for one in plan.controls)]
    sets += [("positive", one) for one in plan.positive_controls]
    return JudgedPlan(
        measure="judged",
        sets=[
            open_set(f"{number}-{kind}", kind, pairs, given.sample, sees=judge.sees)
            for number, (kind, pairs) in enumerate(sets)
        ],
        judge=judge,
        sample=given.sample,
        budget=plan.budget,
        connection=given.connection,
        output=_output(plan, folder),
    )


def ask_model(plan: AuditPlan) -> tuple[Arm, ...]:
    """Say what measure C asks."""
    given = plan.settings
    assert given.model is not None, "the settings were checked"
    assert given.judge is not None, "the settings were checked"
    names = [control.name for control in plan.controls]
    decisive = [name_of(given.model), name_of(given.judge), names, *_sampled(plan)]
    decisive += [] if given.params == Params() else [given.params.as_json()]
    # Judges that are told something else make other runs, which take over the replies of these.
    folder = plan.folder_of("behaviour", *decisive, PROMPT_VERSION, str(JudgeContext.BOTH))
    earlier = sorted(place.parent for place in plan.folder.glob(f"behaviour-*/*/{FILE}"))
    return plan_behaviour(
        plan.selection.pairs,
        plan.controls,
        given.views,
        given.sample,
        _output(plan, folder, (run for run in earlier if run.parent != folder)),
        partial(
            evaluation_plan,
            model=given.model,
            judge=given.judge,
            params=given.params,
            budget=plan.budget,
            connection=given.connection,
        ),
    )


def expenses(plan: AuditPlan) -> Iterator[tuple[Measure, Expense]]:
    """Walk what the measures will ask of models; asks nothing and writes nothing."""
    captioner = plan.settings.overlap.captioner
    if Measure.OVERLAP in plan.measures and captioner:
        images = len({pair.cluster for pair in undescribed(plan.selection) if pair.images})
        price = price_of(captioner)
        usage = Usage(*(images * tokens for tokens in CAPTION_TOKENS))
        cost = price.cost(usage) if price else None if images else 0.0
        name = plan.selection.pairs.name
        yield Measure.OVERLAP, Expense(set=name, part="captions", calls=images, cost=cost)
    if Measure.JUDGED in plan.measures:
        yield from ((Measure.JUDGED, one) for one in ask_judge(plan).expenses())
    if Measure.BEHAVIOUR in plan.measures:
        yield from ((Measure.BEHAVIOUR, arm) for arm in ask_model(plan))
