"""A query's words and its short phrases, with their places in the text."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

LONGEST = 4
"""Words of a phrase at most."""
_FUNCTION_WORDS = """
a an the this that these those it its itself they them their theirs he him his she her hers i me
my mine myself you your yours yourself we us our ours who whom whose which what when where why
how and or but nor so if then than as at by for from in into of off on onto out over to toward
towards under up upon with within without about above across after against along among around
before behind below beside besides between beyond down during except inside near outside since
through throughout till until via per am is are was were be been being do does did doing done
have has had having can could may might must shall should will would ought need needs let lets
not no yes none nothing nobody never ever always often sometimes usually any anything anybody
anyone some something somebody someone every everything everybody everyone each all both either
neither other others another such same own more most much many few less least several enough
only just even also too very quite rather really still yet again already here there now once
please going gonna want wants wanted like isn't aren't wasn't weren't don't doesn't didn't can't
couldn't won't wouldn't shouldn't i'm i'd i've i'll it's that's what's let's you're they're
we're
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that stand at no phrase's edge: they name nothing."""

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_BREAK = re.compile(r"[.!?;:,()\[\]\"“”\n]")


class Word(NamedTuple):
    """A word and where it stands in its text, in characters."""

    text: str
    start: int
    end: int


class Phrase(NamedTuple):
    """One to four neighbouring words, in lower case, and where they stand."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """Return the words of a text."""
    return [Word(found[0], found.start(), found.end()) for found in _WORD.finditer(text)]


def phrases(text: str, longest: int = LONGEST) -> list[Phrase]:
    """Return the phrases that could name something.

    They begin and end with a word that is no function word and cross no punctuation.

    Args:
        text: A query.
        longest: Words of a phrase at most.
    """
    found = words(text)
    content = [word.text.casefold().replace("’", "'") not in FUNCTION_WORDS for word in found]
    # After which words a clause ends.
    breaks = [bool(_BREAK.search(text, word.end, after.start)) for word, after in pairwise(found)]
    spans = []
    for first in range(len(found)):
        if not content[first]:
            continue
        for last in range(first, min(first + longest, len(found))):
            if last > first and breaks[last - 1]:
                break
            if content[last]:
                start, end = found[first].start, found[last].end
                spans.append(Phrase(" ".join(text[start:end].casefold().split()), start, end))
    return spans


def without(text: str, word: Word) -> str:
    """Return a text with one of its words left out."""
    return " ".join((text[: word.start] + text[word.end :]).split())
