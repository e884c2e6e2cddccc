"""Who takes part in a review, and the secrets by which they are known."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from vlsbench.errors import VlsbenchError
from vlsbench.reviewing._verdicts import Role, check_name

_SECRET = partial(secrets.token_urlsafe, 24)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who was given a link; all secrets are new each time the server starts."""

    name: str
    role: Role
    link: str = field(default_factory=_SECRET, repr=False)
    """In the address that is handed out."""
    cookie: str = field(default_factory=_SECRET, repr=False)
    """What the browser holds once the address was opened."""
    form: str = field(default_factory=_SECRET, repr=False)
    """In every form, so that no other site can fill one in (CSRF)."""


def invite(reviewers: Iterable[str], adjudicators: Iterable[str]) -> tuple[Person, ...]:
    """Return the people of a review, an organiser last. Raises `VlsbenchError` for bad names."""
    people = [
        *(Person(check_name(name), Role.REVIEWER) for name in reviewers),
        *(Person(check_name(name), Role.ADJUDICATOR) for name in adjudicators),
        Person(str(Role.ORGANISER), Role.ORGANISER),
    ]
    names = [person.name for person in people]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise VlsbenchError(
            f"{', '.join(twice)} is given twice: a review is blind only if each person has one "
            "name and one role"
        )
    return tuple(people)


def find(people: Iterable[Person], secret: str, kind: str) -> Person | None:
    """Return the person with this `link` or `cookie`, in time that does not tell how near it is."""
    given = secret.encode("utf-8", "replace")
    found = None
    for person in people:
        if secrets.compare_digest(getattr(person, kind).encode(), given):
            found = person
    return found
