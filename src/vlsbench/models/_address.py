"""Where a model is asked: `openai/NAME`, or `NAME@http://host:port/v1`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from vlsbench.errors import VlsbenchError

OPENAI_URL = "https://api.openai.com/v1"
_AT_URL = re.compile(r"(.*?)@([a-z+]+://.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """A parsed `openai/NAME` or `NAME@URL`."""

    name: str
    url: str
    api_key: str | None


def parse_http_spec(spec: str, environ: Mapping[str, str] = os.environ) -> HttpSpec | None:
    """Read a model spec; None where it is of another kind.

    Keys come from the environment only: `OPENAI_API_KEY` goes to `openai/…` and nowhere else,
    `VLSBENCH_API_KEY` to servers named by URL.

    Raises:
        VlsbenchError: The spec is malformed, or a key is missing.
    """
    if at := _AT_URL.match(spec):
        name, url = at.groups()
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise VlsbenchError(
                f"model {name}@…: no key or password in the address; put it into VLSBENCH_API_KEY"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or not name:
            raise VlsbenchError(f"model {spec!r}: expected NAME@http://host:port/v1")
        return HttpSpec(name, url, environ.get("VLSBENCH_API_KEY"))
    if spec.startswith("openai/"):
        url = environ.get("OPENAI_BASE_URL") or OPENAI_URL
        key = environ.get("OPENAI_API_KEY")
        if not key and url == OPENAI_URL:
            raise VlsbenchError(f"model {spec}: set OPENAI_API_KEY in the environment")
        return HttpSpec(spec.removeprefix("openai/"), url, key)
    return None
