"""Texts and images to vectors, and what makes two of them alike."""

from vlsbench.embed._clip import Clip
from vlsbench.embed._http import HttpEmbedder
from vlsbench.embed._near import (
    HASH_BITS,
    Bits,
    ImageIndex,
    Near,
    TextIndex,
    VectorIndex,
    difference_hash,
    differing,
    normalised,
)
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
from vlsbench.registry import embedder

__all__ = [
    "CLIP",
    "HASH_BITS",
    "MINILM",
    "Bits",
    "CachedEmbedder",
    "Clip",
    "Embedder",
    "HttpEmbedder",
    "ImageIndex",
    "MiniLM",
    "Near",
    "TextIndex",
    "VectorIndex",
    "Vectors",
    "default_cache",
    "difference_hash",
    "differing",
    "normalised",
    "open_embedder",
]

embedder("minilm", form="minilm")(MiniLM)
embedder("http", form="NAME@http://host:port/v1")(HttpEmbedder)
embedder("clip", form="clip/MODEL")(Clip)
