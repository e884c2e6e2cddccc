"""Which language a text is in: what is measured in English must not be applied to others."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SURE = 0.3
"""Share of belief from which a text counts as being in a language; short texts reach none."""
ENGLISH = frozenset({"en", "pcm"})
"""English and Nigerian Pidgin, which the identifier takes plain English for now and then."""


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str:
    """Return the ISO 639 code of a text's language, empty where the text does not tell.

    A text with fewer letters than a short sentence, or of code and numbers, does not tell.

    Source: Lui and Baldwin 2012, "langid.py: An off-the-shelf language identification tool".
    """
    ranked = _identifier().rank(text)
    if sum(share for code, share in ranked if code in ENGLISH) >= SURE:
        return "en"
    code, share = ranked[0]
    letters = [char for char in text if char.isalpha()]
    # Another script is another language, even where it is not clear which.
    foreign = sum(not char.isascii() for char in letters) > len(letters) / 2
    return str(code) if share >= SURE or foreign else ""


def may_be_english(text: str) -> bool:
    """Tell whether a text is in English, or too short to tell."""
    return language_of(text) in ("en", "")
