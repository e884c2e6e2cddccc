"""The lab's models as a build asks them: over HTTP, wherever the server is, or in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vlsbench.lab._models import MODELS, open_model
from vlsbench.lab._painter import NAME as PAINTER
from vlsbench.lab._painter import LabPainter
from vlsbench.lab._server import running
from vlsbench.lab._world import WORLD_VERSION
from vlsbench.models import (
    ChatModel,
    Connections,
    HttpChat,
    HttpImages,
    ImageModel,
    Server,
)

IN_PROCESS = "in-process"
PREFIX = "lab/"


class _LabChat(HttpChat):
    """A lab model on a server: known by its name, so that any port is the same model."""

    def __init__(self, spec: str, name: str, server: Server, **options: bool) -> None:
        super().__init__(spec, name, server, **options)
        self.spec = f"{PREFIX}{name}"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and world; see `HttpChat.identity`."""
        return {"model": self.spec, "world": WORLD_VERSION}

    async def listed(self) -> bool | None:
        """Find out that somebody is there; the lab lists its models without their options."""
        await super().listed()
        return self.name.partition("?")[0] in (*MODELS, PAINTER)


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
        return connections.open(f"{spec.removeprefix(PREFIX)}@{self._where}", _LabChat)

    def painter(self, spec: str, connections: Connections) -> ImageModel:
        """Return the lab's painter."""
        if self._where == IN_PROCESS:
            return LabPainter(spec)
        model = connections.open(f"{spec.removeprefix(PREFIX)}@{self._where}", _LabImages)
        assert isinstance(model, HttpImages), "opened as one"
        return model


@contextmanager
def serve(where: str | None) -> Iterator[LabServed]:
    """Have the lab's models served.

    Args:
        where: Base URL of a server that runs already, or `in-process`; None starts one in a
            thread for as long as the context lasts.
    """
    if where is not None:
        yield LabServed(where)
        return
    with running() as url:
        yield LabServed(url)
