"""Which language a text is in: what is measured in English must not be applied to others."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SURE = 0.3
"""Share of belief from which a text counts as being in a language; short texts reach none."""
ENGLISH = frozenset({"en", "pcm"})
"""English and Nigerian Pidgin, which the identifier takes plain English for now and then."""
WORD = re.compile(r"\w+(?:['’\-]\w+)*")
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
please going gonna want wants wanted like one ones two three four five six seven eight nine ten
first second take takes taking taken took put puts get gets getting got go goes give gives make
makes making made use uses using used come comes isn't aren't wasn't weren't don't doesn't didn't
can't couldn't won't wouldn't shouldn't i'm i'd i've i'll it's that's what's let's you're they're
we're
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that stand at no phrase's edge: they name nothing."""
SHORT = 4
"""Words up to which a text is a short one: the identifier errs there."""


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str:
    """Return the ISO 639 code of a text's language, empty where the text does not tell.

    A text with fewer letters than a short sentence, or of code and numbers, does not tell.

    Source: Lui and Baldwin 2012, "langid.py: An off-the-shelf language identification tool".
    """
    words = [word.casefold().replace("’", "'") for word in WORD.findall(text)]
    letters = [char for char in text if char.isalpha()]
    foreign = sum(not char.isascii() for char in letters)
    # What says it in function words needs no identifier, whose model takes 0.4 s to load.
    least = 1 / 2 if len(words) <= SHORT else 1 / 3
    hits = sum(word in FUNCTION_WORDS for word in words)
    if words and not foreign and hits >= least * len(words):
        return "en"
    ranked = _identifier().rank(text)
    if sum(share for code, share in ranked if code in ENGLISH) >= SURE:
        return "en"
    code, share = ranked[0]
    # Another script is another language, even where it is not clear which.
    return str(code) if share >= SURE or foreign > len(letters) / 2 else ""


def may_be_english(text: str) -> bool:
    """Tell whether a text is in English, or too short to tell."""
    return language_of(text) in ("en", "")
