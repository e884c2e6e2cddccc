"""What of our requests one model would not take, found out by its refusals."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from vlsbench.models._chat import Finish, Reply, Request

LIMITS = ("max_tokens", "max_completion_tokens")
"""What servers call the length limit: most the first, OpenAI's newer models the second alone."""
BEGINNING = "the beginning of the question"
_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|not permitted|"
    r"not allowed|not enabled|extra (?:fields|inputs|keys)|deprecated|does not accept|"
    r"invalid (?:parameter|argument|field)|only the default|must alternate",
    re.IGNORECASE,
)
"""That a parameter, not its value or the question, is what a server does not take."""
_SYSTEM = re.compile(
    r"(?:system|developer)['\"]? (?:role|message|prompt|instruction)|role.{0,40}'system'|"
    r"roles must alternate",
    re.IGNORECASE | re.DOTALL,
)


class Adapted:
    """Changes of the requests to one model: each made once, before the model first answers."""

    def __init__(self, limit: str = LIMITS[0], *, learns: bool = True) -> None:
        """Start without any.

        Args:
            limit: What the server is thought to call the length limit.
            learns: False takes every refusal for the question's own.
        """
        self.changes: dict[str, str] = {}
        """What is not sent → what is sent in its place; empty where nothing is."""
        self.learns = learns
        """Until the model has answered."""
        self._limit = limit

    @property
    def limit(self) -> str:
        """What the length limit is called."""
        return self.changes.get(self._limit, self._limit)

    @property
    def identity(self) -> dict[str, dict[str, str]]:
        """Its part of a model's identity."""
        return {"adapted": dict(self.changes)} if self.changes else {}

    @property
    def said(self) -> str:
        """The changes in words."""
        return ", ".join(
            f"{name} is sent as {other}" if other else f"{name} is left out"
            for name, other in sorted(self.changes.items())
        )

    def request(self, request: Request) -> Request:
        """Return what is sent in a request's place."""
        dropped: dict[str, Any] = dict.fromkeys({"temperature", "seed"} & self.changes.keys())
        if dropped:
            request = replace(request, params=replace(request.params, **dropped))
        if "system" in self.changes and request.system:
            request = replace(request, system="", text=f"{request.system}\n\n{request.text}")
        return request

    async def ask(self, request: Request, once: Callable[[Request], Awaitable[Reply]]) -> Reply:
        """Ask once, and again as long as something is found out that changes what is sent."""
        while True:
            known, sent = dict(self.changes), self.request(request)
            reply = await once(sent)
            if reply.finish is not Finish.REJECTED:
                self.learns = False
                return reply
            if self.learns and known == self.changes and _UNSUPPORTED.search(reply.detail):
                self._learn(sent, reply.detail)
            if known == self.changes:  # else this request, or another meanwhile, has found out
                return reply

    def _learn(self, sent: Request, said: str) -> None:
        params = sent.params
        known = {
            self._limit: (LIMITS[self._limit == LIMITS[0]], True),
            "temperature": ("", params.temperature is not None),
            "seed": ("", params.seed is not None),
            "system": (BEGINNING, bool(sent.system)),
        }
        for name, (instead, is_sent) in known.items():
            pattern = _SYSTEM if name == "system" else re.compile(rf"\b{name}\b")
            if name not in self.changes and is_sent and pattern.search(said):
                self.changes[name] = instead
                return
