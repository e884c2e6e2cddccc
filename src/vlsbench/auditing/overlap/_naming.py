"""Measure A for one query at a time: the probability that it names what its image shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from vlsbench.auditing.overlap._calibration import Calibration, check_fits, shipped
from vlsbench.auditing.overlap._measure import Background, Numbers, Reader
from vlsbench.auditing.overlap._phrases import words
from vlsbench.embed._text import CachedEmbedder, Embedder, Vectors, default_cache, open_embedder


class Naming:
    """Scores queries that are being written. Belongs to the thread that made it."""

    def __init__(
        self,
        embedder: Embedder | str = "minilm",
        *,
        cache: Path | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Open the embedder and its cache; the arguments are those of `overlap`.

        Raises:
            MissingExtra: MiniLM is needed and its libraries are not installed.
            VlsbenchError: The embedder cannot be used, or naming is not calibrated for it.
        """
        opened = open_embedder(embedder)
        self._calibration = calibration or shipped()
        check_fits(self._calibration, opened)
        self._cached = CachedEmbedder(opened, cache or default_cache())
        self._reader = Reader(self._cached, Background.of(self._cached))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cached.__exit__(kind, error, trace)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, shape (texts, d)."""
        return self._cached.embed(texts)

    def score(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        """Return for each query and content the probability that the query names the content.

        Args:
            asked: Query, and what its image shows; many at once cost less than one by one.

        Returns:
            Probabilities in [0, 1], in the same order.
        """
        if not asked:
            return []
        rows, _ = self._reader.features(asked)
        return read_probabilities(self._calibration, asked, rows)


def read_probabilities(
    calibration: Calibration, asked: Sequence[tuple[str, str]], features: Numbers
) -> list[float]:
    """Return the probabilities of naming: 0 for a query without words."""
    found = calibration.probability(features)
    return [
        float(one) if words(query) else 0.0 for (query, _), one in zip(asked, found, strict=True)
    ]
