"""What travels between the coordinator and the processes that run stages.

Models stay where they are: a stage elsewhere holds a stand-in with the model's name and identity.
Images go by their SHA-256 where there is a store that all hosts reach, else with their bytes.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.models import ChatModel, Reply, Request
from vlsbench.pairs import FileImage, ImageData, ImageError
from vlsbench.registry import OF_A_FILE
from vlsbench.text import first_line


@dataclass
class StandIn:
    """A model of the coordinator, as a stage elsewhere knows it."""

    number: int
    spec: str
    endpoint: str
    identity: Mapping[str, Any]
    adapted: None = field(default=None, repr=False)

    async def ask(self, request: Request) -> Reply:
        """Only `Context.call` asks a model."""
        raise TypeError("a stage asks a model through Context.call, which keeps the reply")

    async def close(self) -> None:
        """Nothing is open here."""


class Store:
    """Images by their SHA-256, in a folder or at any URL that fsspec reads and writes."""

    def __init__(self, url: str) -> None:
        """Look whether it can be written. Raises `VlsbenchError`."""
        import fsspec

        self._url = url
        self._known: set[str] = set()
        with self._faults():
            self._files, self._folder = fsspec.core.url_to_fs(url)
            self._files.makedirs(self._folder, exist_ok=True)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            raise VlsbenchError(f"--image-store {self._url}: {first_line(error)}") from None

    def put(self, image: ImageData) -> None:
        """Keep an image, whole or not at all. Raises `VlsbenchError`."""
        path = f"{self._folder}/{image.sha256}"
        with self._faults():
            if image.sha256 not in self._known and not self._files.exists(path):
                self._files.pipe_file(f"{path}.{id(image):x}", image.data)
                self._files.mv(f"{path}.{id(image):x}", path)
        self._known.add(image.sha256)

    def get(self, sha256: str) -> bytes:
        """Return an image's bytes. Raises `VlsbenchError`."""
        with self._faults():
            data: bytes = self._files.cat_file(f"{self._folder}/{sha256}")
            return data


@dataclass(frozen=True)
class SentImage:
    """An image of a pair on its way to a stage elsewhere; like `pairs.Image`."""

    ref: str
    image: ImageData | ImageError

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError`, as reading it did where it was."""
        if isinstance(self.image, ImageError):
            raise self.image
        return self.image

    def fault(self) -> str | None:
        """Say what was wrong with it where it was."""
        return str(self.image) if isinstance(self.image, ImageError) else None


class Wire:
    """Writes and reads messages."""

    def __init__(self, store: Store | None, *, follows: bool, owns: bool = False) -> None:
        """Say how images and models go.

        Args:
            store: Where images lie by their digest; None sends their bytes.
            follows: Whether images in files are read before they are sent, because the files of
                this host may not be there. Those that are made on demand always are.
            owns: Whether models are here, and stand-ins there.
        """
        self.models: list[ChatModel] = []
        """Those that stand-ins stand for, by their number."""
        self._store = store
        self._follows = follows or store is not None
        self._owns = owns
        self._stand_ins: dict[int, StandIn] = {}
        if owns:
            import cloudpickle

            for name, module in [*sys.modules.items()]:
                if name.startswith(OF_A_FILE):  # other processes cannot import it by its name
                    cloudpickle.register_pickle_by_value(module)

    def dumps(self, message: Any) -> bytes:
        """Write a message. Raises whatever pickling what cannot travel raises."""
        import cloudpickle

        out = io.BytesIO()
        pickler = type("Pickler", (cloudpickle.Pickler,), {"persistent_id": self._id})
        pickler(out).dump(message)
        return out.getvalue()

    def loads(self, data: bytes) -> Any:
        """Read a message."""
        reader = type("Unpickler", (pickle.Unpickler,), {"persistent_load": self._load})
        return reader(io.BytesIO(data)).load()

    def _id(self, thing: Any) -> Any:
        if isinstance(thing, type):
            return None
        if isinstance(thing, BaseException):  # pickle would call its class with its text alone
            return "raised", type(thing), thing.args, vars(thing)
        if isinstance(thing, ImageData):
            if self._store is None:
                return "image", thing.data, thing.mime, thing.path, thing.ref
            self._store.put(thing)
            return "stored", thing.sha256, thing.mime, thing.ref
        if isinstance(thing, StandIn):
            return "model", thing.number, thing.spec, thing.endpoint, dict(thing.identity)
        if self._owns and all(hasattr(thing, name) for name in ("ask", "endpoint", "identity")):
            if not any(thing is model for model in self.models):
                self.models.append(thing)
            number = next(n for n, model in enumerate(self.models) if model is thing)
            return "model", number, thing.spec, thing.endpoint, dict(thing.identity)
        if isinstance(thing, SentImage) or (isinstance(thing, FileImage) and not self._follows):
            return None
        if hasattr(thing, "fault") and hasattr(thing, "ref"):
            try:
                return "reference", thing.ref, thing.read()
            except ImageError as error:
                return "reference", thing.ref, error
        return None

    def _load(self, known: tuple[Any, ...]) -> Any:
        kind, *rest = known
        read: Mapping[str, Callable[..., Any]] = {
            "image": ImageData,
            "stored": self._stored,
            "model": self._model,
            "reference": SentImage,
            "raised": _raised,
        }
        return read[kind](*rest)

    def _stored(self, sha256: str, mime: str, ref: str) -> ImageData:
        assert self._store is not None
        return ImageData(self._store.get(sha256), mime, None, ref)

    def _model(self, number: int, *told: Any) -> ChatModel:
        if self._owns:
            return self.models[number]
        # One for all stages, so that all know what a call found out of a model's ways.
        return self._stand_ins.setdefault(number, StandIn(number, *told))

    def learned(self, model: ChatModel, identity: Mapping[str, Any]) -> None:
        """Let a stand-in say what its model is now."""
        if isinstance(model, StandIn):
            model.identity = identity


def _raised(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error
