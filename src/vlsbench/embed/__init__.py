"""Texts and images to vectors, and what makes two of them alike."""

from vlsbench.embed._alike import HASH_BITS, Bits, difference_hash, differing, normalised
from vlsbench.embed._clip import Clip
from vlsbench.embed._http import HttpEmbedder
from vlsbench.embed._text import (
    CLIP,
    MINILM,
    CachedEmbedder,
    Embedder,
    MiniLM,
    Vectors,
    default_cache,
    open_embedder,
)

__all__ = [
    "CLIP",
    "HASH_BITS",
    "MINILM",
    "Bits",
    "CachedEmbedder",
    "Clip",
    "Embedder",
    "HttpEmbedder",
    "MiniLM",
    "Vectors",
    "default_cache",
    "difference_hash",
    "differing",
    "normalised",
    "open_embedder",
]
