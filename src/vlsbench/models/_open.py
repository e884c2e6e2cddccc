"""From a model spec to a model that answers."""

from __future__ import annotations

from vlsbench import registry
from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.models._address import parse_http_spec
from vlsbench.models._chat import ChatModel
from vlsbench.models._hf import PREFIX as HF_PREFIX
from vlsbench.models._hf import HfChat
from vlsbench.models._http import HttpChat, RetryPolicy, Server
from vlsbench.models._inspect import PREFIX, InspectChat
from vlsbench.registry import Kind

FORMS = (
    "openai/NAME, NAME@http://host:port/v1 for any OpenAI-compatible server, "
    "inspect/PROVIDER/NAME, hf/PATH or hf/ORG/NAME in this process, or the name of a plug-in "
    "(lab/NAME is one)"
)


class Connections:
    """Opens models; those on one server share its connections and its limit."""

    def __init__(
        self,
        most: int = 32,
        patience: RetryPolicy | None = None,
        *,
        file_images: bool = False,
    ) -> None:
        """Set what holds for every model.

        Args:
            most: Requests in flight at one server.
            patience: Time-outs and retries.
            file_images: Send images as `file://` URLs.
        """
        self._most = most
        self._patience = patience or RetryPolicy()
        self._file_images = file_images
        self._servers: dict[tuple[str, str | None], Server] = {}

    @classmethod
    def of(cls, connection: Connection, *, file_images: bool = False) -> Connections:
        """Open models as settings say."""
        patience = RetryPolicy(timeout_s=connection.timeout_s, retries=connection.retries)
        return cls(connection.concurrency, patience, file_images=file_images)

    def open(self, spec: str | ChatModel, chat: type[HttpChat] = HttpChat) -> ChatModel:
        """Return the model that a spec names.

        Args:
            spec: In one of the forms; a model is returned as it is.
            chat: What asks a server; another endpoint than chat has a class of its own.

        Raises:
            VlsbenchError: The spec is of no known form, or its key or extra is missing.
        """
        if not isinstance(spec, str):
            return spec
        if spec.startswith(PREFIX):
            return InspectChat(spec, self._most, self._patience)
        if http := parse_http_spec(spec):
            key = (http.url.rstrip("/"), http.api_key)
            server = self._servers.get(key)
            if server is None:
                server = self._servers[key] = Server(*key, self._most, self._patience)
            return chat(spec, http.name, server, file_images=self._file_images)
        if spec.startswith(HF_PREFIX):
            return HfChat(spec)
        if plugin := registry.find(Kind.MODEL, spec.partition("/")[0]):
            model: ChatModel = plugin.open(spec)
            return model
        raise VlsbenchError(f"unknown model {spec!r}: give {FORMS}")


registry.model("openai")(HttpChat)
registry.model("inspect")(InspectChat)
registry.model("hf", free=True)(HfChat)
