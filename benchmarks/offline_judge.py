"""How well the offline judge agrees with people, on models that it was not fitted on.

    python -m benchmarks.offline_judge --data ../shared/data [--write]

XSTest (arXiv 2308.01263): 450 completions of each of three models, labelled by people as full
compliance, full or partial refusal. MSTS (arXiv 2501.10057): 2,000 responses of ten other models,
labelled by people as safe or unsafe, with their kind. Each model of XSTest in turn is left out of
the fit, so is its half of the prompts in the last column; the fit always has MSTS and the phrases
of `offline_phrases.py`. Beside it: XSTest's own string matching, GPT-4 as judge (both as recorded
by XSTest's authors), the commonest label. A second table tells how many short replies are judged
at all: the English of each model with the vocabulary of all others, and other languages. `--write`
fits on everything and writes the weights and the vocabulary that the package ships.
docs/offline-judge.md holds the printed tables.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from benchmarks.offline_phrases import FOREIGN, phrases
from vlsbench import judge
from vlsbench.judge import BITS, OFFLINE_VERSION, is_english, word_hashes, wording_features
from vlsbench.language import FUNCTION_WORDS, SHORT, may_be_english
from vlsbench.stats import clustered_interval

MODELS = {"gpt4": "GPT-4", "mistralinstruct": "Mistral", "mistralguard": "Mistral, guarding prompt"}
COMPLIES, REFUSES, OTHER = 1, 2, 3
MSTS_KINDS = {"1.1": REFUSES, "1.2": REFUSES, "1.3": OTHER, "2.1": COMPLIES, "2.2": COMPLIES}
MSTS_KINDS |= dict.fromkeys(("1.4", "1.5", "1.7"), COMPLIES)
"""Of MSTS's kinds those that say how a reply is meant. Asking back, not knowing and describing are
safe to MSTS, and neither refuse nor warn; 1.6, misunderstandings, holds replies of every kind."""
MSTS_WEIGHT, PHRASE_WEIGHT, PENALTY, RARE = 0.2, 0.5, 0.05, 12
"""Weights of a row, the penalty of squared weights, and the texts that an n-gram has to occur in:
rarer ones say what a reply is about, not how it is meant. Chosen by the last columns below."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Labelled replies."""

    texts: list[str]
    labels: NDArray[np.intp]
    prompts: list[str]
    weight: float = 1.0

    def where(self, chosen: Sequence[bool]) -> Rows:
        """Return some of them."""
        kept = [place for place, wanted in enumerate(chosen) if wanted]
        texts, prompts = ([column[k] for k in kept] for column in (self.texts, self.prompts))
        return Rows(texts, self.labels[kept], prompts, self.weight)


def xstest(data: Path, model: str) -> Rows:
    """Read the completions of one model."""
    rows = read(data / f"xstest/model_completions/xstest_v2_completions_{model}.csv")
    labels = np.array([int(row["final_label"][0]) for row in rows])
    return Rows([row["completion"] for row in rows], labels, [row["id"] for row in rows])


def msts(data: Path) -> Rows:
    """Read MSTS's responses whose kind says whether they refuse."""
    rows = [
        row
        for row in read(data / "msts/data/response_annotations/english_multimodal.csv")
        if row["final_taxonomy"][:3] in MSTS_KINDS
        if len(row["response"]) > 20  # not the name of an error
    ]
    labels = np.array([MSTS_KINDS[row["final_taxonomy"][:3]] for row in rows])
    return Rows([row["response"] for row in rows], labels, [""] * len(rows), MSTS_WEIGHT)


def own() -> Rows:
    """Return our own phrases."""
    texts, labels = zip(*phrases(), strict=True)
    return Rows(list(texts), np.array(labels), [""] * len(texts), PHRASE_WEIGHT)


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def matrix(texts: Sequence[str]) -> csr_matrix:
    """Return features of shape (n, 2**BITS)."""
    found = [wording_features(text) for text in texts]
    places = [place for features in found for place in features]
    values = [value for features in found for value in features.values()]
    starts = np.cumsum([0, *map(len, found)])
    return csr_matrix((values, places, starts), shape=(len(texts), 1 << BITS))


def fit(parts: Sequence[Rows]) -> tuple[Floats, Floats]:
    """Fit both regressions; returns weights of shape (2, 2**BITS) and two intercepts."""
    features = matrix([text for part in parts for text in part.texts])
    common = np.asarray((features > 0).sum(axis=0)).ravel() >= RARE
    features = features.multiply(common).tocsr()
    labels = np.concatenate([part.labels for part in parts])
    times = np.concatenate([np.full(len(part.texts), part.weight) for part in parts])
    found = []
    for hits in (labels == REFUSES, labels != COMPLIES):
        signs = np.where(hits, 1.0, -1.0)

        def loss(point: Floats, signs: Floats = signs) -> tuple[float, Floats]:
            margins = signs * (features @ point[:-1] + point[-1])
            slope = -signs * times / (1 + np.exp(margins))
            value = times @ np.logaddexp(0, -margins) + PENALTY / 2 * point[:-1] @ point[:-1]
            return float(value), np.append(features.T @ slope + PENALTY * point[:-1], slope.sum())

        start = np.zeros(features.shape[1] + 1)
        found.append(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x)
    weights = np.array([point[:-1] for point in found])
    return weights, np.array([point[-1] for point in found])


def vocabulary(parts: Sequence[Rows]) -> set[int]:
    """Return the hashes of all words of replies, and of English function words."""
    texts = [*FUNCTION_WORDS, *(text for part in parts for text in part.texts)]
    return {word for text in texts for word in word_hashes(text)}


def predict(fitted: tuple[Floats, Floats], texts: Sequence[str]) -> NDArray[np.bool_]:
    """Return shape (2, n): a full refusal; a refusal of any kind or caution."""
    weights, intercepts = fitted
    return np.asarray((matrix(texts) @ weights.T + intercepts).T > 0)


def truth(rows: Rows) -> NDArray[np.bool_]:
    """Return what people said, in the shape of `predict`."""
    return np.array([rows.labels == REFUSES, rows.labels != COMPLIES])


def recorded(data: Path, model: str, kind: str, column: str) -> NDArray[np.bool_] | None:
    """Return what a judge of XSTest's authors said; None where there is no record."""
    name = f"xstest/automated_evaluation_labels/xstest_v2_completions_{model}_{kind}.csv"
    if not (data / name).is_file():
        return None
    said = [row[column][:1] for row in read(data / name)]
    return np.array([[one == "2" for one in said], [one in ("2", "3") for one in said]])


def cell(rows: Rows, said: NDArray[np.bool_] | None) -> str:
    """Write accuracies as `full / any`, with the interval of the first clustered by wording."""
    if said is None:
        return "–"
    right = said == truth(rows)
    found = [clustered_interval(list(row), rows.texts) for row in right]
    return " / ".join(
        f"{row.mean():.3f} ({one.low:.2f}–{one.high:.2f})"
        for row, one in zip(right, found, strict=True)
        if one
    )


def second_half(prompt: str) -> bool:
    """Halve the prompts by digest of their id."""
    return hashlib.sha256(prompt.encode()).digest()[0] % 2 == 1


def main() -> None:
    """Print the tables, or write the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with xstest/ and msts/")
    parser.add_argument("--write", action="store_true", help="write the weights that ship")
    given = parser.parse_args()
    sets = {model: xstest(given.data, model) for model in MODELS}
    always = [msts(given.data), own()]
    if given.write:
        weights, intercepts = fit([*sets.values(), *always])
        place = Path(judge.__file__ or "").parent / "offline.npz"
        words = np.array(sorted(vocabulary([*sets.values(), *always])), dtype=np.uint32)
        small = weights.astype(np.float16)
        np.savez_compressed(place, weights=small, intercepts=intercepts, words=words)
        print(f"{place}: {place.stat().st_size:,} bytes")
        return
    print(f"offline version {OFFLINE_VERSION}; {len(always[0].texts)} responses of MSTS, ", end="")
    print(f"{len(always[1].texts)} own phrases\n")
    columns: dict[str, Callable[[str], tuple[Rows, NDArray[np.bool_] | None]]] = {
        "commonest label": lambda model: (
            sets[model],
            np.repeat(truth(sets[model]).mean(axis=1, keepdims=True) > 0.5, 450, axis=1),
        ),
        "string matching": lambda model: (
            sets[model],
            recorded(given.data, model, "streval", "strmatch_label"),
        ),
        "GPT-4 as judge": lambda model: (
            sets[model],
            recorded(given.data, model, "gpteval", "gpt4_label"),
        ),
        "offline, model left out": lambda model: (
            sets[model],
            predict(
                fit([*(sets[one] for one in MODELS if one != model), *always]), sets[model].texts
            ),
        ),
        "offline, fitted on one other": lambda model: _worst_single(model, sets, always),
        "offline, model and prompts left out": lambda model: _halves(model, sets, always),
    }
    print(f"| full refusal / any, n 450 | {' | '.join(columns)} |")
    print(f"| --- |{' ---: |' * len(columns)}")
    for model, title in MODELS.items():
        cells = [cell(*column(model)) for column in columns.values()]
        print(f"| {title} | {' | '.join(cells)} |", flush=True)

    print()
    short_replies(given.data, sets, own())


def short_replies(data: Path, sets: dict[str, Rows], phrases: Rows) -> None:
    """Print how many short replies are judged: all English ones should be, and no others."""
    answers = read(data / "msts/data/response_annotations/english_multimodal.csv")
    said = {model: sets[model].texts for model in MODELS}
    for row in answers:
        if "Error" not in row["response"] and "FinishReason" not in row["response"]:
            said.setdefault(row["model"], []).append(row["response"])
    whole, openings = [], []
    for model, texts in said.items():
        others = [text for one, their in said.items() if one != model for text in their]
        known = vocabulary([Rows(others, np.zeros(0, np.intp), []), phrases])
        for text in texts:
            opening = re.split(r"(?<=[.!?])\s", text.strip())[0]
            whole += [(text, is_english(text, known))] if is_short(text) else []
            openings += [(opening, is_english(opening, known))] if is_short(opening) else []
    queries = [
        row["prompt_text"]
        for file in (data / "msts/data/prompts").glob("*_multimodal.csv")
        for row in read(file)
        if not file.name.startswith("english") and is_short(row["prompt_text"])
    ]
    languages, ours = (list(dict.fromkeys(column)) for column in zip(*FOREIGN, strict=True))
    print(f"| of up to {SHORT} words | n | judged | share, 95 % | by the identifier alone |")
    print(f"| --- |{' ---: |' * 4}")
    for title, rows in {
        "English: MSTS's responses, vocabulary without the model's": whole,
        "English: first sentences, XSTest and MSTS, vocabulary without the model's": openings,
        f"{len(languages)} other languages: refusals and agreements": _judged(ours),
        "other languages: MSTS's translated queries": _judged(queries),
    }.items():
        right = [judged for _, judged in rows]
        found = clustered_interval(right, [text for text, _ in rows])
        share = f"{np.mean(right):.3f} ({found.low:.2f}–{found.high:.2f})" if found else "–"
        alone = sum(may_be_english(text) for text, _ in rows)
        print(f"| {title} | {len(right)} | {sum(right)} | {share} | {alone} |")


def _judged(texts: Sequence[str]) -> list[tuple[str, bool]]:
    return [(text, is_english(text)) for text in texts]


def is_short(text: str) -> bool:
    """Tell whether a text has some words, and no more than the language identifier needs."""
    return 0 < len(word_hashes(text)) <= SHORT


def _worst_single(
    model: str, sets: dict[str, Rows], always: list[Rows]
) -> tuple[Rows, NDArray[np.bool_]]:
    """Fit on one other model of XSTest at a time; the worse of both."""
    rows = sets[model]
    said = [predict(fit([sets[one], *always]), rows.texts) for one in MODELS if one != model]
    return rows, min(said, key=lambda one: float((one == truth(rows)).mean()))


def _halves(
    model: str, sets: dict[str, Rows], always: list[Rows]
) -> tuple[Rows, NDArray[np.bool_]]:
    rows = sets[model]
    said = np.zeros((2, len(rows.texts)), dtype=bool)
    for half in (False, True):
        seen = [
            sets[one].where([second_half(prompt) != half for prompt in sets[one].prompts])
            for one in MODELS
            if one != model
        ]
        asked = np.array([second_half(prompt) == half for prompt in rows.prompts])
        texts = [text for text, wanted in zip(rows.texts, asked, strict=True) if wanted]
        said[:, asked] = predict(fit([*seen, *always]), texts)
    return rows, said


if __name__ == "__main__":
    main()
