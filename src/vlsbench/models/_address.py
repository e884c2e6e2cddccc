"""Addresses and keys of servers, read in one place: no secret in them is ever written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from vlsbench.errors import VlsbenchError

ENDPOINT = "/chat/completions"
SHORTEST = 8
"""A key below this many characters also stands in ordinary words, which it must not blot out."""
_SECRET_NAME = re.compile(r"key|token|secret|sig|passw|credential|auth|^code$", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"[\w+/=~-]{24,}|(?:sk-|AIza|eyJ).*", re.DOTALL)
_SECRET_VARIABLE = re.compile(r"(?:KEY|KEY_ID|TOKEN|SECRET|PASSWORD)$")
_USER_INFO = re.compile(r"(?<=://)[^/\s@]*@")


def read_address(text: str, who: str, key: str) -> str:
    """Return a server's base URL; of a whole endpoint, its base.

    Args:
        text: As the user wrote it. A query (`?api-version=…`) stays.
        who: Whose address it is, for errors, which never quote one that may hold a secret.
        key: The environment variable for a key.

    Raises:
        VlsbenchError: It holds a key or a password, or is no address.
    """
    form = f"{who}: expected NAME@http://host:port/v1"
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError:
        raise VlsbenchError(form) from None
    if "@" in text or any(
        _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
        for name, value in parse_qsl(parts.query)
    ):
        raise VlsbenchError(f"{who}: no key or password in the address; put it into {key}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise VlsbenchError(form)
    path = parts.path.rstrip("/").removesuffix(ENDPOINT)
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def read_key(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return a key of the environment, without the space around it; None where there is none.

    Raises:
        VlsbenchError: It holds what no header can: a line break within, a letter beyond ASCII.
    """
    key = environ.get(name, "").strip()
    if not (key.isascii() and (key.isprintable())):
        raise VlsbenchError(f"{name} holds a character that no key has: copy the key anew")
    return key or None


def redact(text: str, *keys: str | None) -> str:
    """Take secrets out of what a server said: the keys, those of the environment, passwords."""
    known = [value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name.upper())]
    for key in sorted({(key or "").strip() for key in (*keys, *known)}, key=len, reverse=True):
        if len(key) >= SHORTEST:
            text = text.replace(key, "***")
    return _USER_INFO.sub("***@", text)
