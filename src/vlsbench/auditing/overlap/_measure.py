"""From vectors to scores: topic in bits, and the four features that naming is told by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap._background import PICTURES, QUESTIONS
from vlsbench.auditing.overlap._phrases import FUNCTION_WORDS, Phrase, words
from vlsbench.embed._text import Embedder, Vectors

Numbers = NDArray[np.float64]

TEMPERATURE = 0.05
"""Of the softmax over cosine similarities. At this value MiniLM's probability of a query's own
picture among those of its set is highest on average."""
FEATURES = ("sentence", "phrase", "word", "overlap")
"""Columns of what `naming_features` returns."""
ENOUGH = 0.5
"""Share of a content's words that names it as well as all of them: a key phrase is quoted whole, a
description never is, and what is learnt from one must hold for the other."""
_ENDINGS = ("ing", "ed", "es", "s", "ly")
_STEM = 3
"""Letters of a stem at least."""


def _log_mean_exp(scores: NDArray[np.floating[Any]]) -> Numbers:
    values = scores.astype(np.float64)
    top = values.max(axis=1, keepdims=True)
    found: Numbers = (top + np.log(np.exp(values - top).mean(axis=1, keepdims=True)))[:, 0]
    return found


@dataclass(frozen=True)
class Background:
    """The fixed pictures and questions, as vectors of one embedder."""

    pictures: Vectors
    questions: Vectors

    @classmethod
    def of(cls, embedder: Embedder) -> Background:
        """Embed the background."""
        return cls(embedder.embed(PICTURES), embedder.embed(QUESTIONS))

    @cached_property
    def picture_mean(self) -> Vectors:
        """Its product with a vector is the mean similarity to the background's pictures."""
        mean: Vectors = self.pictures.mean(axis=0)
        return mean

    @cached_property
    def question_mean(self) -> Vectors:
        """Its product with a vector is the mean similarity to the background's questions."""
        mean: Vectors = self.questions.mean(axis=0)
        return mean

    @cached_property
    def _question_norms(self) -> Numbers:
        return self.picture_norms(self.questions)

    def picture_norms(self, queries: Vectors) -> Numbers:
        """Return the log of the mean weight that each query gives the background's pictures."""
        return _log_mean_exp(queries @ self.pictures.T / TEMPERATURE)

    def pull(self, contents: Vectors) -> Numbers:
        """Return the log of the lift that each content gets from a question that names nothing."""
        return _log_mean_exp(contents @ self.questions.T / TEMPERATURE - self._question_norms)

    def lift(self, queries: Vectors, contents: Vectors) -> Numbers:
        """Return the log of what each query multiplies its content's weight by, shape (n,).

        Against its mean weight for the background's pictures; what questions that name nothing do
        for this content is taken off: on average they multiply its weight by 1.
        """
        own = np.einsum("nd,nd->n", queries, contents, dtype=np.float64) / TEMPERATURE
        return np.asarray(own - self.pull(contents) - self.picture_norms(queries))


@dataclass(frozen=True)
class Nothing:
    """What an embedder of pictures makes of pictures that show and questions that name nothing."""

    picture: Vectors
    """Shape (d,): the mean of such pictures' vectors."""
    question: Vectors
    """Shape (d,): the mean of such questions' vectors."""
    scale: float
    """What the embedder multiplies similarities by to get log odds."""

    def lift(self, queries: Vectors, contents: Vectors) -> Numbers:
        """Return the log odds ratio of each query and its picture against nothing, shape (n,).

        With s the scaled similarity, q the query, v the picture, and the mean over questions n and
        pictures b of nothing: `s(q, v) - s(q, b) - s(n, v) + s(n, b)`. A model that is trained to
        match pictures and texts gives `s = log p(q, v) / (p(q) p(v))` up to a constant (van den
        Oord et al. 2018, arXiv 1807.03748). How common q and v are cancels out, and so does the gap
        between the vectors of texts and of pictures; a question that names nothing has 0 on
        average, whatever the picture.
        """
        own = np.einsum("nd,nd->n", queries - self.question, contents - self.picture)
        return np.asarray(self.scale * own, np.float64)


def topic_bits(queries: Vectors, contents: Vectors, background: Background | Nothing) -> Numbers:
    """Say how far each query narrows its picture down among N = 322 others.

    The picture stands among N that the query fits no better than the background; a softmax gives
    the probability p that the query means it, against 1 / (N + 1) for a query that tells nothing:
    `log2(p (N + 1))`, at most log2(N + 1) = 8.3 bits. Below 0 the query points to other pictures.

    Args:
        queries: Shape (n, d).
        contents: Shape (n, d), of the same pairs.
        background: In vectors of the same embedder.

    Returns:
        Shape (n,), bits.
    """
    others = len(PICTURES)
    lift = background.lift(queries, contents)
    # p (N + 1) = (N + 1) e^lift / (e^lift + N), written so that nothing overflows.
    bits: Numbers = (np.log(others + 1) - np.logaddexp(0.0, np.log(others) - lift)) / np.log(2)
    return bits


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            return word[: -len(ending)]
    return word


def _stems(text: str) -> set[str]:
    found = (word.text.casefold() for word in words(text))
    return {_stem(word) for word in found if word not in FUNCTION_WORDS}


@dataclass(frozen=True, slots=True)
class Question:
    """A query as naming is measured on it."""

    text: str
    vector: Vectors
    """Shape (d,)."""
    phrases: Sequence[Phrase]
    phrase_vectors: Vectors
    """Shape (phrases, d)."""


def naming_features(
    question: Question, text: str, content: Vectors, background: Background
) -> tuple[Numbers, int | None]:
    """Measure how a query could name what `text` says.

    - sentence: similarity of the whole query, above that of the query to the background's pictures
      and that of the content to questions that name nothing;
    - phrase: that of the closest phrase of one to four words, above that of such questions;
    - word: that of the closest single word, above the word's own to the background's pictures;
    - overlap: share of the content's words, endings aside, that stand in the query, at most half.

    Args:
        question: The query.
        text: What the content says.
        content: Shape (d,), its vector.
        background: In vectors of the same embedder.

    Returns:
        The features, shape (4,), and the place of the closest phrase, None where there is none.
    """
    neutral = float(content @ background.question_mean)
    sentence = float(question.vector @ (content - background.picture_mean)) - neutral
    mine, theirs = _stems(question.text), _stems(text)
    overlap = min(ENOUGH, len(mine & theirs) / max(1, len(theirs)))
    if not question.phrases:
        return np.array([sentence, 0.0, 0.0, overlap]), None
    similar = question.phrase_vectors @ content
    lift = similar - question.phrase_vectors @ background.picture_mean
    single = [lift[place] for place, p in enumerate(question.phrases) if " " not in p.text]
    closest = int(similar.argmax())
    phrase = float(similar[closest]) - neutral
    return np.array([sentence, phrase, float(max(single, default=0.0)), overlap]), closest
