"""How a set shows itself in a notebook."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from vlsbench.pairs._decode import ImageError, decode, encode
from vlsbench.pairs._pair import Image, Pair
from vlsbench.text import block

SIDE = 96
"""Pixels of an image's longest side."""
_STYLE = (
    "<style>.vlsbench img {filter: blur(12px)} .vlsbench img:focus {filter: none}</style>"
    '<p class="vlsbench">Click an image to see it.</p>'
)


def show(title: str, count: int, pairs: Iterable[Pair]) -> str:
    """Return HTML of the first pairs; images stay blurred until they are clicked."""
    rows = "".join(
        f"<tr><td>{_text(pair.id)}</td><td>{_text(pair.category)}</td><td>{_text(pair.query)}</td>"
        f"<td>{''.join(map(_image, pair.images))}</td></tr>"
        for pair in pairs
    )
    return (
        f"{_STYLE}<b>{_text(title)}</b>, n = {count:,}"
        "<table class='vlsbench'><tr><th>id</th><th>category</th><th>query</th><th>images</th></tr>"
        f"{rows}</table>"
    )


def _text(said: str) -> str:
    return escape(block(said))


def _image(image: Image) -> str:
    try:
        small = encode(decode(image.read(), image.ref, side=SIDE), image.ref, "PNG").data
    except (ImageError, OSError) as error:
        return f"<i>{_text(str(error))}</i>"
    data = base64.b64encode(small).decode()
    return f'<img tabindex="0" alt="blurred image" src="data:image/png;base64,{data}">'
