"""Words, phrases and clauses of a text, and which words are too general to name a thing."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

from vlsbench.language import FUNCTION_WORDS, WORD

LONGEST = 2
"""Words of a phrase at most: longer ones find nothing more (docs/overlap.md)."""
LONGEST_CLAUSE = 12
"""Words of a clause at most."""
_ENDINGS = ("ing", "ed", "es", "s", "ly")
_STEM = 3
"""Letters of a stem at least."""
_BREAK = re.compile(r"[.!?;:,()\[\]\"“”\n]")
_CLAUSE_END = re.compile(r"[.!?;:,()\n]+")


class Span(NamedTuple):
    """A word or a phrase, and where it stands in its text, in characters."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Span]:
    """Return the words of a text."""
    return [Span(found[0], found.start(), found.end()) for found in WORD.finditer(text)]


def phrases(text: str) -> list[Span]:
    """Return the phrases that could name something, in lower case.

    They begin and end with a word that is no function word and cross no punctuation.
    """
    found = words(text)
    content = [_fold(word.text) not in FUNCTION_WORDS for word in found]
    # After which words a clause ends.
    breaks = [bool(_BREAK.search(text, word.end, after.start)) for word, after in pairwise(found)]
    spans = []
    for first in range(len(found)):
        if not content[first]:
            continue
        for last in range(first, min(first + LONGEST, len(found))):
            if last > first and breaks[last - 1]:
                break
            if content[last]:
                start, end = found[first].start, found[last].end
                spans.append(Span(" ".join(text[start:end].casefold().split()), start, end))
    return spans


def without(text: str, word: Span) -> str:
    """Return a text with one of its words left out."""
    return " ".join((text[: word.start] + text[word.end :]).split())


def _fold(word: str) -> str:
    return word.casefold().replace("’", "'")


def content_words(text: str) -> list[str]:
    """Return a text's words that are no function words, in lower case."""
    folded = (_fold(word.text) for word in words(text))
    return [word for word in folded if word not in FUNCTION_WORDS]


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("'")
    if word.endswith("ies") and len(word) > _STEM + 1:
        return word[:-3] + "y"
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM:
            word = word[: -len(ending)]
            break
    return word.rstrip("e")


@cache
def _general_stems() -> frozenset[str]:
    listed = resources.files(__package__).joinpath("general_words.txt").read_text("utf-8")
    return frozenset(map(_stem, listed.split()))


def is_general(phrase: str) -> bool:
    """Say whether a phrase ("some items") fits most images and names nothing particular."""
    return all(word.isdigit() or _stem(word) in _general_stems() for word in content_words(phrase))


def clauses(text: str) -> list[str]:
    """Return a text's clauses: what stands between punctuation, twelve words at a time."""
    found = []
    for clause in _CLAUSE_END.split(text):
        said = clause.split()
        for start in range(0, len(said), LONGEST_CLAUSE):
            part = " ".join(said[start : start + LONGEST_CLAUSE])
            if content_words(part):
                found.append(part)
    return list(dict.fromkeys(found)) or [text]
