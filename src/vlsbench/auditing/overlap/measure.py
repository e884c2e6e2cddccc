"""From texts and vectors to scores: topic in bits, and the three features that tell of naming."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap.background import IMAGES, QUESTIONS
from vlsbench.embed import Embedder, Vectors
from vlsbench.language import FUNCTION_WORDS, WORD

Numbers = NDArray[np.float64]

TEMPERATURE = 0.05
"""Of the softmax over cosine similarities. At this value MiniLM's probability of a query's own
image among those of its set is highest on average."""
FEATURES = ("particular", "any", "clause")
"""Columns of what `naming_features` returns."""
NOTHING_SAID = -0.2
"""In place of a phrase's excess where there is no phrase to compare: lower than any."""
SAME = 0.8
"""Similarity from which two general phrases say the same."""
LONGEST = 2
"""Words of a phrase at most: longer ones find nothing more (docs/overlap.md)."""
LONGEST_CLAUSE = 12
"""Words of a clause at most."""
_ENDINGS = ("ing", "ed", "es", "s", "ly")
_STEM = 3
"""Letters of a stem at least."""
_BREAK = re.compile(r"[.!?;:,()\[\]\"“”\n]")
_CLAUSE_END = re.compile(r"[.!?;:,()\n]+")


class Span(NamedTuple):
    """A word or a phrase, and where it stands in its text, in characters."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Span]:
    """Return the words of a text."""
    return [Span(found[0], found.start(), found.end()) for found in WORD.finditer(text)]


def phrases(text: str) -> list[Span]:
    """Return the phrases that could name something, in lower case.

    They begin and end with a word that is no function word and cross no punctuation.
    """
    found = words(text)
    content = [_fold(word.text) not in FUNCTION_WORDS for word in found]
    # After which words a clause ends.
    breaks = [bool(_BREAK.search(text, word.end, after.start)) for word, after in pairwise(found)]
    spans = []
    for first in range(len(found)):
        if not content[first]:
            continue
        for last in range(first, min(first + LONGEST, len(found))):
            if last > first and breaks[last - 1]:
                break
            if content[last]:
                start, end = found[first].start, found[last].end
                spans.append(Span(" ".join(text[start:end].casefold().split()), start, end))
    return spans


def without(text: str, word: Span) -> str:
    """Return a text with one of its words left out."""
    return " ".join((text[: word.start] + text[word.end :]).split())


def _fold(word: str) -> str:
    return word.casefold().replace("’", "'")


def content_words(text: str) -> list[str]:
    """Return a text's words that are no function words, in lower case."""
    folded = (_fold(word.text) for word in words(text))
    return [word for word in folded if word not in FUNCTION_WORDS]


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("'")
    if word.endswith("ies") and len(word) > _STEM + 1:
        return word[:-3] + "y"
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            word = word[: -len(ending)]
            break
    return word.rstrip("e")


@cache
def _general_stems() -> frozenset[str]:
    listed = resources.files(__package__).joinpath("general_words.txt").read_text("utf-8")
    return frozenset(map(_stem, listed.split()))


def is_general(phrase: str) -> bool:
    """Say whether a phrase ("some items") fits most images and names nothing particular."""
    return all(word.isdigit() or _stem(word) in _general_stems() for word in content_words(phrase))


def clauses(text: str) -> list[str]:
    """Return a text's clauses: what stands between punctuation, twelve words at a time."""
    found = []
    for clause in _CLAUSE_END.split(text):
        said = clause.split()
        for start in range(0, len(said), LONGEST_CLAUSE):
            part = " ".join(said[start : start + LONGEST_CLAUSE])
            if content_words(part):
                found.append(part)
    return list(dict.fromkeys(found)) or [text]


def _log_mean_exp(scores: NDArray[np.floating[Any]]) -> Numbers:
    values = scores.astype(np.float64)
    top = values.max(axis=1, keepdims=True)
    return np.asarray((top + np.log(np.exp(values - top).mean(axis=1, keepdims=True)))[:, 0])


def _phrases_of(texts: Sequence[str]) -> list[str]:
    return sorted({phrase.text for text in texts for phrase in phrases(text)})


@dataclass(frozen=True)
class Background:
    """The fixed images and questions, as vectors of one embedder."""

    images: Vectors
    questions: Vectors
    image_phrases: Vectors
    question_phrases: Vectors

    @classmethod
    def of(cls, embedder: Embedder) -> Background:
        """Embed the background."""
        texts = (IMAGES, QUESTIONS, *map(_phrases_of, (IMAGES, QUESTIONS)))
        return cls(*map(embedder.embed, texts))

    def _norms(self, queries: Vectors) -> Numbers:
        """Return the log of the mean weight that each query gives the background's images."""
        return _log_mean_exp(queries @ self.images.T / TEMPERATURE)

    def lift(self, queries: Vectors, contents: Vectors) -> Numbers:
        """Return the log of what each query multiplies its content's weight by, shape (n,).

        Against its mean weight for the background's images; what questions that name nothing do
        for this content is taken off: on average they multiply its weight by 1.
        """
        own = np.einsum("nd,nd->n", queries, contents, dtype=np.float64) / TEMPERATURE
        pull = _log_mean_exp(
            contents @ self.questions.T / TEMPERATURE - self._norms(self.questions)
        )
        return np.asarray(own - pull - self._norms(queries))


@dataclass(frozen=True)
class Nothing:
    """What an embedder of images makes of images that show and questions that name nothing."""

    image: Vectors
    """Shape (d,): the mean of such images' vectors."""
    question: Vectors
    """Shape (d,): the mean of such questions' vectors."""
    scale: float
    """What the embedder multiplies similarities by to get log odds."""

    def lift(self, queries: Vectors, contents: Vectors) -> Numbers:
        """Return the log odds ratio of each query and its image against nothing, shape (n,).

        With s the scaled similarity, q the query, v the image, and the mean over questions n and
        images b of nothing: `s(q, v) - s(q, b) - s(n, v) + s(n, b)`. A model that is trained to
        match images and texts gives `s = log p(q, v) / (p(q) p(v))` up to a constant (van den
        Oord et al. 2018, arXiv 1807.03748). How common q and v are cancels out, and so does the gap
        between the vectors of texts and of images; a question that names nothing has 0 on
        average, whatever the image.
        """
        own = np.einsum("nd,nd->n", queries - self.question, contents - self.image)
        return np.asarray(self.scale * own, np.float64)


def topic_bits(queries: Vectors, contents: Vectors, background: Background | Nothing) -> Numbers:
    """Say how far each query narrows its image down among N = 322 others.

    The image stands among N that the query fits no better than the background; a softmax gives
    the probability p that the query means it, against 1 / (N + 1) for a query that tells nothing:
    `log2(p (N + 1))`, at most log2(N + 1) = 8.3 bits. Below 0 the query points to other images.

    Args:
        queries: Shape (n, d).
        contents: Shape (n, d), of the same pairs.
        background: In vectors of the same embedder.
    """
    others = len(IMAGES)
    lift = background.lift(queries, contents)
    # p (N + 1) = (N + 1) e^lift / (e^lift + N), written so that nothing overflows.
    nats = np.log(others + 1) - np.logaddexp(0.0, np.log(others) - lift)
    return np.asarray(nats / np.log(2))


def _expected_best(similar: Vectors, of: int) -> Vectors:
    """Return what the best of `of` random draws from each row is like, shape (rows,).

    Rows are in rising order. There are as many draws as phrases or clauses to choose the best of.
    """
    last = similar.shape[1] - 1
    return np.asarray(similar[:, round(last * of / (of + 1))])


class Reader:
    """Holds queries against what is said of their images, one embedder's vectors for all."""

    def __init__(self, embedder: Embedder) -> None:
        """Take what makes the vectors."""
        self._embedder = embedder

    @cached_property
    def background(self) -> Background:
        """The background, embedded once something is held against it."""
        return Background.of(self._embedder)

    def features(self, asked: Sequence[tuple[str, str]]) -> tuple[Numbers, list[Span | None]]:
        """Measure how each query could name what its text says, whatever the text's length.

        Phrases of the query are compared with phrases of the text. The similarity of two is counted
        above what the best of as many phrases of everyday descriptions reaches against the one, and
        the best of as many of neutral questions against the other (half of each): a long text has
        more phrases to be similar to, by chance as well.

        - particular: the best pair of which neither is general (`is_general`), or both are and
          say the same, in two words or as the first clause of the text;
        - any: the best pair of all;
        - clause: similarity of the whole query and the closest clause of the text, above what
          the best of as many everyday descriptions reaches.

        Args:
            asked: Query and text; many at once cost less than one by one.

        Returns:
            Features, shape (n, 3), and for each query the phrase that comes closest, None where it
            has none.
        """
        spans = [phrases(query) for query, _ in asked]
        told = [list(dict.fromkeys(p.text for p in phrases(text))) for _, text in asked]
        parts = [clauses(text) for _, text in asked]
        strings = {
            text
            for (query, _), *lists in zip(asked, told, parts, strict=True)
            for text in (query, *chain.from_iterable(lists))
        } | {span.text for found in spans for span in found}
        places = {text: place for place, text in enumerate(sorted(strings))}
        vectors = self._embedder.embed(list(places))
        rows, closest = [], []
        for (query, _), found, said, part in zip(asked, spans, told, parts, strict=True):
            clause = self._clause(vectors[places[query]], vectors[[places[text] for text in part]])
            if not found or not said:
                rows.append((NOTHING_SAID, NOTHING_SAID, clause))
                closest.append(found[0] if found else None)
                continue
            excess, same = self._excess(
                vectors[[places[span.text] for span in found]], vectors[[places[t] for t in said]]
            )
            particular = np.where(
                _counts([span.text for span in found], said, part[0], same), excess, NOTHING_SAID
            )
            best = particular if particular.max() > NOTHING_SAID else excess
            closest.append(found[int(best.max(axis=1).argmax())])
            rows.append((particular.max(), excess.max(), clause))
        return np.array(rows, np.float64).reshape(-1, len(FEATURES)), closest

    def _clause(self, query: Vectors, said: Vectors) -> float:
        others = np.sort(self.background.images @ query)[None, :]
        return float((said @ query).max() - _expected_best(others, len(said))[0])

    def _excess(self, asked: Vectors, said: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return similarities above the background's and which say the same, shape (q, t) each."""
        similar = asked @ said.T
        background = self.background
        by_asked = _expected_best(np.sort(asked @ background.image_phrases.T), len(said))
        by_said = _expected_best(np.sort(said @ background.question_phrases.T), len(asked))
        excess = similar - (by_asked[:, None] + by_said[None, :]) / np.float32(2)
        return excess, similar > SAME


def _counts(
    asked: Sequence[str], said: Sequence[str], first: str, same: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which pairs of phrases can name a particular thing, shape (asked, said)."""
    general = np.array([is_general(text) for text in asked])[:, None]
    general_said = np.array([is_general(text) for text in said])[None, :]
    long = np.array([len(content_words(text)) > 1 for text in asked])[:, None]
    long_said = np.array([len(content_words(text)) > 1 for text in said])[None, :]
    head = content_words(first)
    whole = np.array([content_words(text) == head for text in said])[None, :]
    said_whole = same & (whole | (general & general_said & long & long_said))
    found: NDArray[np.bool_] = ~(general | general_said) | said_whole
    return found
