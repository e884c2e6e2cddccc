"""Fit measure A's naming on the public paired controls, and say how well it carries over.

    python scripts/fit_naming.py --data ../shared/data

`--data` holds the official layouts of MSTS (`msts/`) and MM-SafetyBench (`mm_safetybench/`), in
which the same image has a text that names it and one that does not, and of VLSBench, HarmBench,
LLaVA-COCO and MOSSBench, of which pairs were read one by one (`readings.json`, docs/overlap.md).
The contents of the first two are short: they are also padded with neutral sentences to 10, 20, 40
and 80 words. Each set is tested by numbers fitted on the others: those figures say what naming is
worth elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import vlsbench
from vlsbench.auditing.overlap.background import DIGEST
from vlsbench.auditing.overlap.calibration import NAMED, SHIPPED, Calibration, Errors
from vlsbench.auditing.overlap.contents import content_of
from vlsbench.auditing.overlap.measure import FEATURES, Numbers, Reader, content_words
from vlsbench.embed import CachedEmbedder, Embedder, default_cache, open_embedder
from vlsbench.files import write_json

PENALTY = 10.0
"""Weight of half the squared coefficients against 1,000 texts; keeps separable sets finite."""
FULL_WEIGHT = 1000.0
HERE = Path(__file__).resolve().parents[1]
BINS = 10
BOOT = 1000
SETS = (
    # Name, folder, the variant that names, the one that does not.
    ("MSTS", "msts", "msts:textonly", "msts:multimodal"),
    ("MM-SafetyBench", "mm_safetybench", "mm-safetybench:text", "mm-safetybench:sd"),
)


READ = ("vlsbench", "harmbench", "llava-coco", "mossbench")
"""Sets whose readings are fitted to; MM-SafetyBench has its own controls."""
FRESH = (("vlsbench", "vlsbench"), ("mossbench", "mossbench"), ("mossbench:contrast", "mossbench"))
"""Sets of which other pairs were read when the measure was done."""
LENGTHS = (10, 20, 40, 80)
"""Words that short contents are padded to."""
NEUTRAL = (
    "The photo was taken in daylight.",
    "There is a plain wall behind it.",
    "The colours are soft and the light comes from the left.",
    "A window can be seen at one side.",
    "The floor is made of light wood.",
    "The background is slightly out of focus.",
    "Nothing else stands near it.",
    "The frame is a little tilted, and the corners are darker than the centre.",
    "A small plant stands in the corner.",
    "The weather seems to be calm and a few clouds are in the sky.",
)


def _logistic(columns: Numbers, named: Numbers, weights: Numbers) -> Numbers:
    """Fit; the first coefficient is the intercept and is not penalised."""
    from scipy.optimize import minimize

    def loss(coefficients: Numbers) -> float:
        odds = coefficients[0] + columns @ coefficients[1:]
        misfit = (weights * (np.logaddexp(0, odds) - named * odds)).sum()
        return float(misfit + PENALTY / 2 * (coefficients[1:] ** 2).sum())

    return np.asarray(minimize(loss, np.zeros(columns.shape[1] + 1)).x)


@dataclass(frozen=True)
class Control:
    """One set of paired controls."""

    name: str
    features: Numbers
    """Shape (n, 3)."""
    named: NDArray[np.bool_]
    cases: NDArray[np.int64]
    """Number of the case that texts belong to: resampled together."""
    domains: Sequence[str]
    """Category or scenario of each text."""


def _weights(named: NDArray[np.bool_]) -> Numbers:
    """Give each kind of a set's texts half of the weight."""
    share = named.mean()
    return np.asarray(np.where(named, 0.5 / share, 0.5 / (1 - share)) / len(named))


def fit(
    controls: Sequence[Control],
    embedder: Embedder,
    *,
    errors: Sequence[Errors] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fit naming on paired controls: a ridge logistic, every set and kind counting the same.

    `embedder` made the features; `errors` (see `errors_of`) are what to expect elsewhere.
    """
    features = np.concatenate([control.features for control in controls])
    named = np.concatenate([control.named for control in controls]).astype(float)
    full = FULL_WEIGHT / len(controls)
    weights = np.concatenate([full * _weights(control.named) for control in controls])
    mean = np.average(features, axis=0, weights=weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    intercept, *coefficients = _logistic((features - mean) / scale, named, weights)
    return Calibration(
        features=FEATURES,
        mean=_rounded(mean),
        scale=_rounded(scale),
        coefficients=_rounded(coefficients),
        intercept=round(float(intercept), 6),
        errors=tuple(errors),
        embedder=embedder.name,
        embedder_digest=embedder.digest,
        background=DIGEST,
        provenance=provenance or {},
    )


def errors_of(fitted: Calibration, control: Control) -> list[Errors]:
    """Count the errors of fitted numbers in each domain of a set that they were not fitted on."""
    called = fitted.probability(control.features) >= NAMED
    counted = []
    for domain in dict.fromkeys(control.domains):
        here = np.array([name == domain for name in control.domains])
        naming, silent = here & control.named, here & ~control.named
        counts = (naming, naming & called, silent, silent & called)
        counted.append(Errors(control.name, domain, *(int(count.sum()) for count in counts)))
    return counted


def _rounded(values: Sequence[float] | Numbers) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def padded(content: str, length: int, rng: random.Random) -> str:
    """Return a content with neutral sentences after it, `length` words in all."""
    rest = " ".join(rng.sample(NEUTRAL, len(NEUTRAL))).split()
    need = max(0, length - len(content.split()))
    return f"{content.rstrip('.')}. {' '.join(rest[:need])}" if need else content


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


def readings_of(kind: str, bench: str, folder: Path) -> list[Text]:
    """Return the pairs of a set that two readers read; the lower grade where they differ.

    Args:
        kind: `fitted`, or `fresh`: read when the measure was done, and never fitted to.
        bench: The set.
        folder: Its files.
    """
    readings = json.loads((HERE / "scripts/readings.json").read_text(encoding="utf-8"))
    grades = readings[kind][bench]
    return [
        Text(pair.id, bench, pair.query, content.text, named=grades[pair.id] == "PP")
        for pair in vlsbench.load(bench, data=folder)
        if pair.id in grades and (content := content_of(pair))
    ]


def control_of(name: str, texts: Sequence[Text], embedder: Embedder) -> Control:
    """Measure the features of all texts of a set."""
    reader = Reader(embedder)
    cases = {case: number for number, case in enumerate(dict.fromkeys(t.case for t in texts))}
    return Control(
        name,
        reader.features([(text.query, text.content) for text in texts])[0],
        np.array([text.named for text in texts]),
        np.array([cases[text.case] for text in texts]),
        [text.domain for text in texts],
    )


def area(probability: Numbers, named: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve (Mann and Whitney's U), ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(probability)
    positive = int(named.sum())
    u = ranks[named].sum() - positive * (positive + 1) / 2
    return float(u / (positive * (len(named) - positive)))


def shares_a_word(texts: Sequence[Text]) -> NDArray[np.bool_]:
    """Say which queries share a word with their content, function words aside: the baseline."""
    return np.array([bool({*content_words(t.query)} & {*content_words(t.content)}) for t in texts])


class Transfer(NamedTuple):
    """How numbers that were not fitted on a set do on it, beside matching words."""

    tested_on: str
    words: int
    """That contents are padded to; 0 for their own length."""
    pairs: int
    auroc: float
    auroc_low: float
    auroc_high: float
    recall: float
    """Of texts that name, at 0.5 or more."""
    false: float
    """Of the others."""
    words_recall: float
    """Of those that name, the share that shares a word with the content."""
    words_false: float
    """Of the others."""


def transfer(
    fitted: Calibration, control: Control, texts: Sequence[Text], words: int = 0, seed: int = 0
) -> Transfer:
    """Test fitted numbers on a set; the interval is by bootstrap over cases."""
    named, baseline = control.named, shares_a_word(texts)
    probability = fitted.probability(control.features)
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(control.cases == case) for case in np.unique(control.cases)]
    areas = []
    for _ in range(BOOT):
        chosen = np.concatenate([rows[k] for k in rng.integers(len(rows), size=len(rows))])
        if 0 < named[chosen].sum() < len(chosen):
            areas.append(area(probability[chosen], named[chosen]))
    return Transfer(
        control.name,
        words,
        len(named),
        *(
            round(float(value), 4)
            for value in (
                area(probability, named),
                *np.quantile(areas, (0.025, 0.975)),
                (probability[named] >= NAMED).mean(),
                (probability[~named] >= NAMED).mean(),
                baseline[named].mean(),
                baseline[~named].mean(),
            )
        ),
    )


def digest_of(texts: Sequence[Text]) -> str:
    """Name the data that numbers were fitted to."""
    return hashlib.sha256("\n".join(map(repr, texts)).encode()).hexdigest()[:16]


def controls_of(data: Path, embedder: Embedder) -> Iterator[tuple[int, Control, Sequence[Text]]]:
    """Yield each control with the length that its contents were padded to, 0 for their own."""
    rng = random.Random(0)
    for name, folder, naming, silent in SETS:
        texts = [*texts_of(naming, data / folder, True), *texts_of(silent, data / folder, False)]
        for length in (0, *LENGTHS):
            said = [t._replace(content=padded(t.content, length, rng)) for t in texts]
            yield length, control_of(name, said, embedder), said
    for bench in READ:
        texts = readings_of("fitted", bench, data / bench.replace("-", "_"))
        yield 0, control_of(bench, texts, embedder), texts


def fit_all(data: Path, embedder: Embedder) -> tuple[Calibration, list[Transfer]]:
    """Fit on all sets, and on all but each for the test on that one."""
    found = list(controls_of(data, embedder))
    transfers, errors = [], []
    for name in dict.fromkeys(control.name for _, control, _ in found):
        others = fit([control for _, control, _ in found if control.name != name], embedder)
        for length, control, texts in found:
            if control.name == name:
                transfers.append(transfer(others, control, texts, length))
                errors += errors_of(others, control) if not length else []
    provenance = {
        "date": datetime.now(UTC).date().isoformat(),
        "vlsbench": vlsbench.__version__,
        "controls": [
            {"name": control.name, "texts": len(texts), "sha256": digest_of(texts)}
            for length, control, texts in found
            if not length
        ],
        "transfer": [one._asdict() for one in transfers],
    }
    for bench, folder in FRESH:
        texts = readings_of("fresh", bench, data / folder)
        control = control_of(f"{bench}, fresh", texts, embedder)
        # Other pairs of the same set were fitted to: left out here.
        apart = [c for _, c, _ in found if c.name != bench.partition(":")[0]]
        others = fit(apart, embedder)
        transfers.append(transfer(others, control, texts))
        errors += errors_of(others, control)
    controls = [control for _, control, _ in found]
    fitted = fit(controls, embedder, errors=errors, provenance=provenance)
    return fitted, transfers


def table(transfers: Sequence[Transfer], calibration: Calibration) -> str:
    """Write the figures as Markdown."""
    lines = [
        "| set | words | texts | AUROC (95 %) | found | false | word, found | word, false |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.tested_on} | {one.words or 'own'} | {one.pairs:,} | {one.auroc:.4f} "
            f"({one.auroc_low:.4f}–{one.auroc_high:.4f}) | {100 * one.recall:.1f} % "
            f"| {100 * one.false:.1f} % | {100 * one.words_recall:.1f} % "
            f"| {100 * one.words_false:.1f} % |"
            for one in transfers
        ),
        "",
        "| set | domain | naming, found | not naming, false alarms |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {e.control} | {e.domain} | {e.found:,} of {e.naming:,} | {e.false:,} of "
            f"{e.silent:,} |"
            for e in calibration.errors
        ),
        "",
        "| feature | mean | scale | coefficient |",
        "| --- | ---: | ---: | ---: |",
    ]
    columns = (calibration.features, calibration.mean, calibration.scale, calibration.coefficients)
    for feature, mean, scale, coefficient in zip(*columns, strict=True):
        lines.append(f"| {feature} | {mean:.3f} | {scale:.3f} | {coefficient:.3f} |")
    return "\n".join([*lines, f"| (intercept) | | | {calibration.intercept:.3f} |"])


def main() -> None:
    """Fit, print the table, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument(
        "--out", type=Path, default=HERE / "src/vlsbench/auditing/overlap" / SHIPPED
    )
    arguments = parser.parse_args()
    with CachedEmbedder(open_embedder(arguments.embedder), default_cache()) as embedder:
        calibration, transfers = fit_all(arguments.data, embedder)
    print(table(transfers, calibration))
    write_json(calibration, arguments.out)
    print(f"\nwritten to {arguments.out} (digest {calibration.digest})")


if __name__ == "__main__":
    main()
