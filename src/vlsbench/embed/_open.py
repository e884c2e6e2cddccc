"""From a spec to an embedder."""

from __future__ import annotations

from vlsbench import registry
from vlsbench.config import Connection
from vlsbench.embed.text import Embedder
from vlsbench.errors import VlsbenchError
from vlsbench.registry import Kind


def open_embedder(spec: str | Embedder = "minilm", how: Connection | None = None) -> Embedder:
    """Return the embedder that a spec names; an embedder is returned as it is.

    Args:
        spec: `minilm`, `NAME@http://host:port/v1` for a server that speaks `/v1/embeddings`, or
            `clip/PATH` or `clip/ORG/NAME` for a model that sees images, or `NAME` or `NAME/REST`
            of a registered one.
        how: How a server is asked.

    Raises:
        MissingExtra: The spec names a model of images, and its libraries are not installed.
        VlsbenchError: The spec is of no known form, or names no model that can be had.
    """
    if not isinstance(spec, str):
        return spec
    if entry := registry.find(Kind.EMBEDDER, "http" if "@" in spec else spec.partition("/")[0]):
        embedder: Embedder = entry.open(spec, how) if how and "@" in spec else entry.open(spec)
        return embedder
    raise VlsbenchError(
        f"embedder {spec!r} is of no known form: minilm, NAME@http://host:port/v1, clip/MODEL, or "
        "the name of a plug-in (`vlsbench plugins`)"
    )
