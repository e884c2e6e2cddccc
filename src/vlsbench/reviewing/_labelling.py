"""People label the replies of a run in the browser, blind to its judge: one reply a screen.

What they say goes into the run's own record, as labels from files do: docs/calibration.md.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlsbench.calibrating import (
    CalibratedRun,
    Given,
    Reply,
    people_agreement,
    rubric_of,
    settle,
)
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import PeopleAgreement
from vlsbench.pairs import Image, ImageData, ImageError
from vlsbench.reviewing._review import PersonProgress
from vlsbench.reviewing._verdicts import Role


@dataclass(frozen=True, slots=True)
class LabelScreen:
    """What one person is shown next."""

    number: int
    """The reply's place among those to label, from 0; names it to the browser."""
    reply: Reply
    labels: tuple[str, ...]
    """Those to choose from."""
    rubric: str
    images: tuple[str, ...]
    """Digests; none where the reply had none, or its benchmark is not at hand."""
    others: tuple[str, ...]
    """For adjudication: the labels in dispute, in an order that tells no name."""


@dataclass(frozen=True, slots=True)
class LabellingStatus:
    """How far the labelling is."""

    bench: str
    replies: int
    people: tuple[PersonProgress, ...]
    settled: int
    disputed: int
    agreement: PeopleAgreement | None


class Labelling:
    """The replies to label with the record of labels. Safe across threads."""

    def __init__(self, run: CalibratedRun, images: Mapping[str, Image]) -> None:
        """Take a run of which replies were drawn, and their images by their ids."""
        self.bench = run.summary.bench
        self.ids: Sequence[str] = run.drawn
        self._run, self._of = run, images
        self._shown: dict[str, Image] = {}
        """Those that were shown so far, by their digests: nothing else can be asked for."""
        self._turn = threading.RLock()

    def join(self, people: Mapping[str, Role]) -> None:
        """Let people take part. Raises `VlsbenchError` where one did in the other role."""
        for given in self._run.given():
            role = Role.ADJUDICATOR if given.adjudicates else Role.REVIEWER
            if people.get(given.annotator, role) is not role:
                raise VlsbenchError(
                    f"{given.annotator} labelled in the other role before: nobody decides "
                    "disputes of their own; choose another person"
                )

    def _own(self, person: str) -> dict[str, Given]:
        return {one.id: one for one in self._run.given() if one.annotator == person}

    def _todo(self, role: Role) -> Sequence[str]:
        if role is Role.REVIEWER:
            return self.ids
        given = [one for one in self._run.counted() if not one.adjudicates]
        disputed = set(settle(given).disputed)
        return [id for id in self.ids if id in disputed]

    def screen(self, person: str, role: Role) -> LabelScreen | None:
        """Return what a person is shown next, None where nothing is left."""
        own = self._own(person)
        id = next((id for id in self._todo(role) if id not in own), None)
        if id is None:
            return None
        reply = self._run.replies[id]
        said = [one.label for one in self._run.given() if one.id == id]
        try:
            digest = self._of[id].read().sha256
        except (KeyError, ImageError):
            digest = ""
        else:
            self._shown[digest] = self._of[id]
        return LabelScreen(
            number=self.ids.index(id),
            reply=reply,
            labels=self._run.labels(id),
            rubric=rubric_of(self._run, reply.harmful),
            images=(digest,) if digest else (),
            others=tuple(sorted(said)) if role is Role.ADJUDICATOR else (),
        )

    def image(self, sha256: str) -> ImageData | None:
        """Return an image that was shown, None where no such was. Raises `ImageError`."""
        image = self._shown.get(sha256)
        return image.read() if image else None

    def label(self, person: str, role: Role, number: int, label: str) -> bool:
        """Record a person's label of the reply they are at; durable when it returns.

        Returns False, and records nothing, where they are at another (a second click, another tab).

        Raises:
            VlsbenchError: It is no label of this reply, or the disk cannot be written.
        """
        with self._turn:
            at = self.screen(person, role)
            if at is None or at.number != number:
                return False
            if label not in at.labels:
                raise VlsbenchError(f"choose {', '.join(at.labels)}")
            self._add(self.ids[number], label, person, role)
            return True

    def undo(self, person: str, role: Role) -> bool:
        """Take back the last label that a person gave; False where there is none left."""
        with self._turn:
            own = list(self._own(person))
            if own:
                self._add(own[-1], "", person, role)
            return bool(own)

    def _add(self, id: str, label: str, person: str, role: Role) -> None:
        adjudicates, sha256 = role is Role.ADJUDICATOR, self._run.replies[id].sha256
        self._run.add(labels=[Given(id, label, person, adjudicates, reply_sha256=sha256)])

    def progress(self, person: str, role: Role) -> PersonProgress:
        """Return how many replies a person has done, and how many there are to do."""
        return PersonProgress(person, role, len(self._own(person)), len(self._todo(role)))

    def status(self) -> LabellingStatus:
        """Return progress and agreement; nothing of the judge's labels."""
        given = self._run.given()
        roles = {
            one.annotator: Role.ADJUDICATOR if one.adjudicates else Role.REVIEWER for one in given
        }
        settled = settle(self._run.counted())
        return LabellingStatus(
            bench=self.bench,
            replies=len(self.ids),
            people=tuple(self.progress(*one) for one in sorted(roles.items())),
            settled=len(settled.labels),
            disputed=len(settled.disputed),
            agreement=people_agreement(self._run, given),
        )
