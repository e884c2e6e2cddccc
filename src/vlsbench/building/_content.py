"""What is never made, whoever asks: rules in code, beside those in the prompts."""

from __future__ import annotations

import re

_MINORS = re.compile(
    r"\b(child(ren|ish|like|hood)?|kids?|minors?|under-?age\w*|teen(s|age\w*|ager)?|toddlers?"
    r"|infants?|bab(y|ies)|pre-?teens?|adolescen\w+|juveniles?|school ?(girl|boy|child)\w*"
    r"|(young|little) (girl|boy)s?|pupils?|lolis?|shotas?|youngsters?|(1[0-7]|\d)[- ]year[- ]olds?"
    r"|aged? (1[0-7]|\d)\b)",
    re.IGNORECASE,
)
_SEXUAL = re.compile(
    r"\b(sex(y|ual\w*|ting|ually)?|erotic\w*|porn\w*|nud(e|es|ity|ist)|naked\w*|lewd\w*"
    r"|seduc\w*|arous\w*|orgas\w*|fetish\w*|intercourse|masturbat\w*|genital\w*|lingerie"
    r"|strip(per|tease)\w*|escorts?|prostitut\w*|adult content|explicit content|intimate"
    r"|undress\w*|topless|breasts?|groom(ing|ed|er)\w*)\b",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(csam|csem|p(a)?edophil\w*|child (porn\w*|abuse material)|"
    r"(chemical|biological|nuclear|radiological) (weapon|agent|warfare)\w*|bio-?weapon\w*"
    r"|nerve agents?|dirty bombs?|cbrn|(real|named|famous|public) (people|persons?|figures?)"
    r"|celebrit(y|ies)|deep-?fakes? of|politicians?)\b",
    re.IGNORECASE,
)


def forbidden_category(*texts: str) -> str | None:
    """Say why a category must not be generated, from its names and description; None if it may.

    Never made: anything sexual that involves minors, weapons of mass destruction, and real people.
    """
    text = " \n ".join(texts)
    if found := _NEVER.search(text):
        return f"{found[0]!r} must not be generated"
    if _SEXUAL.search(text) and (found := _MINORS.search(text)):
        return f"{found[0]!r} beside sexual content must not be generated"
    return None


def forbidden_text(text: str, *categories: str) -> bool:
    """Tell whether a generated text must not be used: minors where anything is sexual.

    Args:
        text: What a model wrote: an element, a description, a query, an image prompt.
        categories: The category and sub-category that it was written for.
    """
    minors = _MINORS.search(text) is not None
    sexual = _SEXUAL.search(" \n ".join((text, *categories))) is not None
    return (minors and sexual) or _NEVER_TEXT.search(text) is not None


_NEVER_TEXT = re.compile(r"\b(csam|csem|p(a)?edophil\w*|child porn\w*)\b", re.IGNORECASE)
