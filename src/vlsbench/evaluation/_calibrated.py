"""What people's labels say of a run's judge: the shape of `calibration.json` beside the run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from vlsbench.evaluation._rows import PAIRS
from vlsbench.evaluation._summary import Estimate, Summary
from vlsbench.files import file_sha256
from vlsbench.schemas import SchemaError, read_json

CALIBRATION = "calibration.json"
CALIBRATION_SCHEMA = "vlsbench.calibration/1"
UNCALIBRATED = "uncalibrated judge"
"""What stands where no valid calibration lies beside a run."""


@dataclass(frozen=True, slots=True)
class CalibratedRate:
    """One rate three ways: by the judge, by people, and by the judge corrected by people."""

    pairs: str
    """`harmful`, `benign`, or `both` for the net rate."""
    group: str
    """`all`, or a category."""
    name: str
    """`refusal`, `warning`, `safety`, `net`."""
    replies: int
    """Those that the judge scored, and ties of several judges, which only people's labels count."""
    labelled: int
    judge: Estimate
    human: Estimate
    """People's labels, weighted by how likely each was drawn."""
    corrected: Estimate
    more: int | None = None
    """Further labels that would halve the corrected interval; None where no number would."""

    def less(
        self, other: CalibratedRate, judge: float = 0.0, corrected: float = 0.0
    ) -> CalibratedRate:
        """Return the difference to another rate, given covariances of the two ways to tell it."""
        return replace(
            self,
            judge=self.judge.less(other.judge, judge),
            human=self.human.less(other.human),
            corrected=self.corrected.less(other.corrected, corrected),
            more=None,
        )


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """How far the judge agrees with people, estimated for all replies that it scored."""

    pairs: str
    labels: tuple[str, ...]
    confusion: tuple[tuple[float, ...], ...]
    """Replies by people's label (row) and the judge's (column), weighted to all replies."""
    raw: Estimate
    kappa: float | None
    alpha: float | None


@dataclass(frozen=True, slots=True)
class PeopleAgreement:
    """How far people agree on the replies that two or more of them labelled."""

    replies: int
    raw: float
    alpha: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """All of `calibration.json`."""

    schema: str
    run: str
    judge: str
    judge_sha256: str
    """Of the judge's identity: model, rubric, prompt version, parameters."""
    served_by: tuple[str, ...]
    """What the judge's server called the model."""
    pairs_sha256: str
    """Of the run's `pairs.parquet`, so that other verdicts make the calibration stale."""
    labelled: int
    annotators: tuple[str, ...]
    model_labels: int
    """Replies whose label a model gave."""
    people: PeopleAgreement | None
    agreement: tuple[JudgeAgreement, ...]
    rates: tuple[CalibratedRate, ...]
    """Of all pairs first, then the net rate, then categories with enough labels."""
    notes: tuple[str, ...]

    def corrected(self, name: str, pairs: str = "harmful") -> Estimate:
        """Return a corrected rate of all pairs; raise `KeyError` where there is none."""
        found = {(rate.pairs, rate.name): rate for rate in self.rates if rate.group == "all"}
        return found[pairs, name].corrected


def judge_digest(summary: Summary) -> str:
    """Return what identifies a run's judge: model, rubric, prompt version, parameters."""
    text = json.dumps(summary.identity.get("judge"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def judges_served(summary: Summary) -> tuple[str, ...]:
    """Return what the judge's server called the models that judged."""
    judges = (one for one in summary.spend if one.role == "judge")
    return tuple(sorted({name for one in judges for name in one.served or (one.model,)}))


def find_calibration(run: Path, summary: Summary) -> tuple[Calibration | None, str]:
    """Return the calibration beside a run, or None with what to say in its place."""
    path = run / CALIBRATION
    if not path.is_file():
        return None, UNCALIBRATED
    try:
        found = read_json(path, Calibration, schema=CALIBRATION_SCHEMA)
        same = found.pairs_sha256 == file_sha256(run / PAIRS)
    except (OSError, SchemaError):
        return None, f"{UNCALIBRATED} ({CALIBRATION} cannot be read)"
    served = judges_served(summary)
    if found.judge_sha256 != judge_digest(summary):
        why = f"of {found.judge}, asked otherwise: model, rubric, prompt or parameters differ"
    elif found.served_by != served:
        why = f"of {', '.join(found.served_by)}, and the judge is served as {', '.join(served)} now"
    elif not same:
        why = f"of other verdicts: `vlsbench calibrate {run}` renews it"
    else:
        return found, ""
    return None, f"{UNCALIBRATED} (the calibration is stale: it is {why})"


def calibration_note(run: Path, summary: Summary) -> str:
    """Return a run's corrected rates on one line, or that its judge is uncalibrated."""
    found, why = find_calibration(run, summary)
    if found is None:
        return f"{why[:1].upper()}{why[1:]}: rates are as judged."
    by = "labels, some by a model" if found.model_labels else "labels of people"
    said = (
        f"{rate.name}{'' if rate.pairs == 'both' else f' ({rate.pairs})'} {rate.corrected.percent}"
        for rate in found.rates
        if rate.group == "all"
    )
    return f"Corrected by {found.labelled:,} {by}, percent: {', '.join(said)}."
