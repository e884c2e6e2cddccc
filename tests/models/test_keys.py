"""Keys of calls: written down, so that recorded runs are found again by every later version."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlsbench.models import Params, Request, Schema, call_key
from vlsbench.pairs import ImageData

IMAGE = ImageData.of(b"\x89PNG\r\n\x1a\n" + b"an image" + b"IEND\xaeB`\x82", "a")
SERVER = {"kind": "openai-chat", "url": "http://h:1/v1", "name": "m"}
TRICKY = Request(
    'Ünï "q"\\ \n\u2028 \ud800 😀\x7f',
    (IMAGE, IMAGE),
    "be brief",
    Params(99, 0.5, 3),
    Schema("s", {"type": "object", "properties": {"ü": {"enum": [1, 1.0, None, True]}}}),
    7,
)
LOCAL = {"kind": "local", "steps": 28, "filtered": True, "options": {"b": 1, "a": [0.0]}}


@pytest.mark.parametrize(
    ("identity", "request_", "key"),
    [
        (
            SERVER,
            Request("What is this?"),
            "70984d49636d5bbb32ac8812610c8049b5fcf78cda7b99fb49127c0af332585f",
        ),
        (SERVER, TRICKY, "6a35ebd029aadbc2cf019615f8222bcd6b1bb4ad871558ab42c586b4e8acf18a"),
        (
            LOCAL,
            Request("", params=Params(1, None, None)),
            "6e26ce21f55f41757f12d96c1faa9b030242cbfe67b84fe52473984def248a67",
        ),
    ],
)
def test_keys_stay_what_they_were(identity: dict[str, Any], request_: Request, key: str) -> None:
    assert call_key(identity, request_) == key
    assert call_key(identity, json.loads(json.dumps(request_.rendered()))) == key


@pytest.mark.parametrize("other", [1, 1.0, "1"])
def test_values_that_are_equal_but_written_otherwise_have_keys_of_their_own(other: object) -> None:
    request = Request("q")
    assert call_key({"n": True}, request) != call_key({"n": other}, request)
