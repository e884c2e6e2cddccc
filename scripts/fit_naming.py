"""Fit measure A's naming on the public paired controls, and say how well it carries over.

    python scripts/fit_naming.py --data ../shared/data

`--data` holds the official layouts of MSTS (`msts/`) and MM-SafetyBench (`mm_safetybench/`). In
both the same picture has a text that names it and one that does not. Each set is also fitted alone
and tested on the other: those are the figures that say what naming is worth elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

import vlsbench
from vlsbench.auditing.overlap._calibration import (
    SHIPPED,
    Calibration,
    Control,
    errors_of,
    fit,
    save,
)
from vlsbench.auditing.overlap._contents import content_of
from vlsbench.auditing.overlap._measure import Background, Numbers, Question, naming_features
from vlsbench.auditing.overlap._phrases import phrases
from vlsbench.embed._text import CachedEmbedder, Embedder, default_cache, open_embedder

HERE = Path(__file__).resolve().parents[1]
BINS = 10
BOOT = 1000
SETS = (
    # Name, folder, the variant that names, the one that does not, where cases are told apart.
    ("MSTS", "msts", "msts:textonly", "msts:multimodal"),
    ("MM-SafetyBench", "mm_safetybench", "mm-safetybench:text", "mm-safetybench:sd"),
)


class Text(NamedTuple):
    """A query held against the content of its case's picture."""

    case: str
    domain: str
    query: str
    content: str
    named: bool


def texts_of(bench: str, folder: Path, named: bool) -> Iterator[Text]:
    """Read one kind of one set."""
    for pair in vlsbench.load(bench, data=folder):
        if content := content_of(pair):
            case = str(pair.meta.get("case_id", pair.id))
            yield Text(case, pair.category, pair.query, content.text, named)


def control_of(name: str, texts: Sequence[Text], embedder: Embedder) -> Control:
    """Measure the features of all texts of a set."""
    background = Background.of(embedder)
    cases = {case: number for number, case in enumerate(dict.fromkeys(t.case for t in texts))}
    rows = []
    for text in texts:
        spans = phrases(text.query)
        vectors = embedder.embed([text.query, text.content, *(span.text for span in spans)])
        question = Question(text.query, vectors[0], spans, vectors[2:])
        rows.append(naming_features(question, text.content, vectors[1], background)[0])
    return Control(
        name,
        np.array(rows),
        np.array([text.named for text in texts]),
        np.array([cases[text.case] for text in texts]),
        [text.domain for text in texts],
    )


def area(probability: Numbers, named: Numbers) -> float:
    """Return the area under the ROC curve (Mann and Whitney's U), ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(probability)
    positive = int(named.sum())
    u = ranks[named.astype(bool)].sum() - positive * (positive + 1) / 2
    return float(u / (positive * (len(named) - positive)))


class Transfer(NamedTuple):
    """How numbers fitted on one set do on another."""

    fitted_on: str
    tested_on: str
    pairs: int
    auroc: float
    auroc_low: float
    auroc_high: float
    brier: float
    accuracy: float
    reliability: list[tuple[float, float, int]]
    """(mean probability, share that names, pairs) in each tenth of the probabilities."""


def transfer(fitted: Calibration, fitted_on: str, control: Control, seed: int = 0) -> Transfer:
    """Test fitted numbers on a set; the interval is by bootstrap over cases."""
    named = control.named.astype(float)
    probability = fitted.probability(control.features)
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(control.cases == case) for case in np.unique(control.cases)]
    areas = []
    for _ in range(BOOT):
        chosen = np.concatenate([rows[k] for k in rng.integers(len(rows), size=len(rows))])
        areas.append(area(probability[chosen], named[chosen]))
    low, high = np.quantile(areas, (0.025, 0.975))
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    reliability = [
        (
            round(float(probability[bins == b].mean()), 3),
            round(float(named[bins == b].mean()), 3),
            int((bins == b).sum()),
        )
        for b in range(BINS)
        if (bins == b).any()
    ]
    return Transfer(
        fitted_on,
        control.name,
        len(named),
        round(area(probability, named), 4),
        round(float(low), 4),
        round(float(high), 4),
        round(float(np.mean((probability - named) ** 2)), 4),
        round(float(((probability >= 0.5) == control.named).mean()), 4),
        reliability,
    )


def digest_of(texts: Sequence[Text]) -> str:
    """Name the data that numbers were fitted to."""
    return hashlib.sha256("\n".join(map(repr, texts)).encode()).hexdigest()[:16]


def fit_all(data: Path, embedder: Embedder) -> tuple[Calibration, list[Transfer], list[Control]]:
    """Fit on all sets, and each alone for the test on the others."""
    controls, facts = [], []
    for name, folder, naming, silent in SETS:
        texts = [
            *texts_of(naming, data / folder, True),
            *texts_of(silent, data / folder, False),
        ]
        controls.append(control_of(name, texts, embedder))
        facts.append(
            {
                "name": name,
                "named": naming,
                "not_named": silent,
                "texts": len(texts),
                "cases": len({text.case for text in texts}),
                "sha256": digest_of(texts),
            }
        )
    transfers, errors = [], []
    for tested in controls:
        for trained in controls:
            if trained is not tested:
                alone = fit([trained], embedder)
                transfers.append(transfer(alone, trained.name, tested))
                errors += errors_of(alone, tested)
    provenance = {
        "date": datetime.now(UTC).date().isoformat(),
        "vlsbench": vlsbench.__version__,
        "controls": facts,
        "transfer": [found._asdict() for found in transfers],
    }
    return fit(controls, embedder, errors=errors, provenance=provenance), transfers, controls


def table(transfers: Sequence[Transfer], calibration: Calibration) -> str:
    """Write the figures as Markdown."""
    lines = [
        "| fitted on | tested on | texts | AUROC (95 %) | Brier | right at 0.5 |",
        "| --- | --- | ---: | --- | ---: | ---: |",
    ]
    for found in transfers:
        lines.append(
            f"| {found.fitted_on} | {found.tested_on} | {found.pairs:,} | {found.auroc:.4f} "
            f"({found.auroc_low:.4f} to {found.auroc_high:.4f}) | {found.brier:.3f} "
            f"| {found.accuracy:.3f} |"
        )
    for found in transfers:
        lines += [
            "",
            f"Reliability, fitted on {found.fitted_on}, tested on {found.tested_on}:",
            "",
            "| mean probability | share that names | texts |",
            "| ---: | ---: | ---: |",
            *(f"| {mean:.3f} | {share:.3f} | {n:,} |" for mean, share, n in found.reliability),
        ]
    lines += [
        "",
        "Errors at 0.5 by domain, fitted on the other set:",
        "",
        "| set | domain | naming, found | silent, falsely named |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {e.control} | {e.domain} | {e.found:,} of {e.naming:,} | {e.false:,} of "
            f"{e.silent:,} |"
            for e in calibration.errors
        ),
    ]
    lines += ["", "| feature | mean | scale | coefficient |", "| --- | ---: | ---: | ---: |"]
    columns = (calibration.features, calibration.mean, calibration.scale, calibration.coefficients)
    for feature, mean, scale, coefficient in zip(*columns, strict=True):
        lines.append(f"| {feature} | {mean:.3f} | {scale:.3f} | {coefficient:.3f} |")
    lines.append(f"| (intercept) | | | {calibration.intercept:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Fit, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--out", type=Path, default=HERE / "src/vlsbench/auditing" / SHIPPED)
    arguments = parser.parse_args()
    with CachedEmbedder(open_embedder(arguments.embedder), default_cache()) as embedder:
        calibration, transfers, _ = fit_all(arguments.data, embedder)
    print(table(transfers, calibration))
    save(calibration, arguments.out)
    print(f"\nwritten to {arguments.out} (digest {calibration.digest})")


if __name__ == "__main__":
    main()
