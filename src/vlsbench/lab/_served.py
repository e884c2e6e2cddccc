"""The lab's models as a build asks them: over HTTP, wherever the server is, or in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vlsbench.lab._models import open_model
from vlsbench.lab._painter import LabPainter
from vlsbench.lab._server import running
from vlsbench.lab._world import WORLD_VERSION
from vlsbench.models import ChatModel, Connections, HttpChat, HttpImages, ImageModel

IN_PROCESS = "in-process"


class _LabChat(HttpChat):
    """A lab model on a server: known by its name, so that any port is the same model."""

    def __init__(self, spec: str, name: str, *server: Any, **more: Any) -> None:
        super().__init__(f"lab/{name}", name, *server, **more)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and world; see `HttpChat.identity`."""
        return {"model": self.spec, "world": WORLD_VERSION}


class _LabImages(HttpImages, _LabChat):
    """The painter of a lab server."""


class LabServed:
    """The lab's models at an address, or in this process."""

    def __init__(self, where: str) -> None:
        """Take the base URL of a server, or `in-process`."""
        self._where = where

    def open(self, spec: str, connections: Connections) -> ChatModel:
        """Return a chat model of the lab."""
        if self._where == IN_PROCESS:
            return open_model(spec)
        return connections.open(f"{spec.removeprefix('lab/')}@{self._where}", _LabChat)

    def painter(self, spec: str, connections: Connections) -> ImageModel:
        """Return the lab's painter."""
        if self._where == IN_PROCESS:
            return LabPainter(spec)
        model = connections.open(f"{spec.removeprefix('lab/')}@{self._where}", _LabImages)
        assert isinstance(model, HttpImages), "opened as one"
        return model


@contextmanager
def serve(where: str | None) -> Iterator[LabServed]:
    """Have the lab's models served: at a base URL, `in-process`, or in a thread of its own."""
    if where is not None:
        yield LabServed(where)
        return
    with running() as url:
        yield LabServed(url)
