"""One review: whose turn it is, what is shown, what is recorded, and what it comes to."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlsbench.config import Sample
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Selection
from vlsbench.pairs import Image, ImageData, ImageError, Pair, PairSet, View
from vlsbench.reviewing._store import INVITED, Store
from vlsbench.reviewing._verdicts import (
    CODES,
    MAX_COMMENT,
    STEPS,
    UNDO,
    Decision,
    Fate,
    PersonVerdict,
    Question,
    QuestionAgreement,
    Role,
    Row,
    Said,
    Step,
    agreement,
    asked,
    check_name,
    decide,
    person_verdicts,
    standing,
)


@dataclass(frozen=True, slots=True)
class Screen:
    """What one person is shown next."""

    number: int
    """The pair's place in the review, from 0; names it to the browser."""
    step: Step
    pair: Pair
    images: tuple[str, ...]
    """Digests."""
    shown: str
    questions: tuple[Question, ...]
    others: tuple[PersonVerdict, ...] = ()
    """For adjudication: the verdicts in dispute, in an order that tells no name."""


@dataclass(frozen=True, slots=True)
class PersonProgress:
    """How far one person is."""

    name: str
    role: Role
    done: int
    """Pairs with a complete verdict."""
    total: int
    """Pairs there are to do; for an adjudicator, those in dispute now or adjudicated."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a review has come to so far."""

    bench: str
    pairs: int
    votes: int
    """Verdicts that a pair needs: 2, or 1 where there is one reviewer."""
    people: tuple[PersonProgress, ...]
    agreement: tuple[QuestionAgreement, ...]
    keep: int
    drop: int
    open: int
    disputed: int
    """Open ones that wait for an adjudicator, or that none could decide."""
    stale: int
    """Verdicts that do not count: their pair has changed since, or is not in the review."""


def open_review(
    pairs: PairSet,
    store: Store,
    *,
    limit: int | None = None,
    seed: int = 0,
    skip_bad: bool = False,
) -> Review:
    """Begin or resume the review of a benchmark.

    The options are those of `ReviewConfig`; the sample is fixed when the review begins. To look at
    a review, a store that is open for reading is enough.

    Raises:
        BadRows: Some pairs have no image, or a missing or broken one; lists every one.
        VlsbenchError: The record is of another benchmark or sample.
    """
    if store.get("bench") is None:
        store.set(bench=pairs.name, sample=json.dumps([limit, seed]))
    bench, (begun, begun_seed) = store.get("bench"), json.loads(store.get("sample") or "[null, 0]")
    if bench != pairs.name or (limit is not None and (limit, seed) != (begun, begun_seed)):
        what = f"a sample of {begun} pairs" if begun else "all pairs"
        raise VlsbenchError(
            f"{store.path.parent} holds a review of {what} of {bench}, not of {pairs.name} as asked"
            " for: leave --limit out to resume it, or choose another --out"
        )
    chosen = Selection(pairs, Sample(limit=begun, seed=begun_seed, skip_bad=skip_bad))
    chosen.check(View.IMAGE)
    return Review(pairs.name, list(chosen), store)


class Review:
    """A review with its record. Safe across threads."""

    def __init__(self, bench: str, pairs: Sequence[Pair], store: Store) -> None:
        self.bench = bench
        self.pairs = pairs
        self._store = store
        self._images: dict[str, Image] = {}
        """Those that were shown so far, by their digests: nothing else can be asked for."""
        self._digests: dict[str, str] = {}
        self._by_id = {pair.id: pair for pair in pairs}
        self._turn = threading.Lock()
        self._status: tuple[tuple[int, int], Status] | None = None
        """With how many rows and invitations there were."""

    @property
    def folder(self) -> Path:
        """Where the record lies."""
        return self._store.path.parent

    def join(self, people: Mapping[str, Role]) -> None:
        """Let people take part.

        Raises:
            VlsbenchError: A name is invalid, or took part in the other role: reviewers do not
                decide their own disputes, and reviewing is blind to others' verdicts.
        """
        roles = {row.person: row.role for row in self._store.rows()}
        for name, role in people.items():
            check_name(name)
            if roles.get(name, role) != role:
                raise VlsbenchError(
                    f"{name} is {roles[name]} of this review: choose another person as {role}"
                )
        reviewers = [name for name, role in people.items() if role is Role.REVIEWER]
        self._store.set(**{INVITED + name: "" for name in reviewers})

    # What is shown.

    def screen(self, person: str, role: Role) -> Screen | None:
        """Return what a person is shown next, None where nothing is left that can be shown."""
        if role is Role.ADJUDICATOR:
            return self._dispute(person)
        done: dict[str, set[str]] = {}
        for row in self._fresh(standing(self._store.rows(person))):
            done.setdefault(row.pair, set()).add(row.step)
        for number, pair in enumerate(self.pairs):
            left = [step for step in STEPS if step not in done.get(pair.id, ())]
            if left and (seen := self._show(pair)):
                return Screen(number, left[0], pair, *seen, asked(pair, left[0]))
        return None

    def _dispute(self, person: str) -> Screen | None:
        verdicts, _ = self.current()
        for number, decision in enumerate(self.decisions(verdicts)):
            if not decision.disputed:
                continue
            said = [verdict for verdict in verdicts if verdict.pair == decision.pair]
            mine = {q for v in said if v.person == person for q in v.answers}
            pair = self.pairs[number]
            left = tuple(question for question in decision.disputed if question not in mine)
            if left and (seen := self._show(pair)):
                others = [v for v in said if v.role is Role.REVIEWER and v.complete]
                # By a digest of the pair too, so that a letter is not the same person throughout.
                others.sort(key=lambda v: hashlib.sha256(f"{v.pair}\0{v.person}".encode()).digest())
                return Screen(number, Step.ADJUDICATION, pair, *seen, left, tuple(others))
        return None

    def _show(self, pair: Pair) -> tuple[tuple[str, ...], str] | None:
        """Return the digests of a pair's images, and that of all that a person sees of it.

        None where an image can no longer be read.
        """
        try:
            images = tuple(image.read().sha256 for image in pair.images)
        except ImageError:
            return None
        self._images |= zip(images, pair.images, strict=True)
        # A verdict counts for nothing else than what was shown.
        seen = [pair.query, pair.category, pair.subcategory, list(images)]
        shown = hashlib.sha256(json.dumps(seen).encode()).hexdigest()
        if self._digests.get(pair.id, shown) != shown:
            self._status = None
        self._digests[pair.id] = shown
        return images, shown

    def image(self, sha256: str) -> ImageData | None:
        """Return an image that was shown, None where no such was. Raises `ImageError`."""
        image = self._images.get(sha256)
        data = image.read() if image else None
        return data if data and data.sha256 == sha256 else None

    def shown(self, id: str) -> str | None:
        """Return the digest of what people see of a pair; None where they see nothing of it."""
        if id in self._by_id and id not in self._digests:
            self._show(self._by_id[id])
        return self._digests.get(id)

    def _fresh(self, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row.shown == self.shown(row.pair)]

    # What is recorded.

    def answer(self, person: str, role: Role, number: int, step: Step, said: Said) -> bool:
        """Record what a person says on the screen they are at; durable when it returns.

        Returns False, and records nothing, where that is not the screen they are at (a second
        click, another tab). Raises `VlsbenchError` where a question is not answered or more is said
        than was asked, and `StoreError` where the disk cannot be written.
        """
        with self._turn:
            at = self.screen(person, role)
            if at is None or (at.number, at.step) != (number, step):
                return False
            if set(said.answers) != set(at.questions):
                raise VlsbenchError("answer every question")
            if not set(said.codes) <= set(CODES) or len(said.comment) > MAX_COMMENT:
                raise VlsbenchError(f"a comment has at most {MAX_COMMENT} characters")
            self._store.add(Row(person, role, at.pair.id, at.shown, step, said))
            return True

    def undo(self, person: str, role: Role) -> bool:
        """Take back the last thing that a person said; False where there is nothing left."""
        with self._turn:
            own = [row for row in standing(self._store.rows(person)) if row.role == role]
            if not own:
                return False
            last = own[-1]
            undone = Row(person, role, last.pair, last.shown, UNDO, Said(), undoes=last.number)
            self._store.add(undone)
            return True

    # What it comes to.

    def current(self) -> tuple[list[PersonVerdict], int]:
        """Return the verdicts that count, and how many do not: see `Status.stale`."""
        rows = standing(self._store.rows())
        fresh = self._fresh(rows)
        stale = {(row.person, row.pair) for row in rows} - {(row.person, row.pair) for row in fresh}
        return person_verdicts(fresh), len(stale)

    def _people(self, verdicts: Iterable[PersonVerdict]) -> dict[str, Role]:
        """Return everybody who was invited to review or said something."""
        invited = dict.fromkeys(self._store.invited(), Role.REVIEWER)
        return invited | {v.person: v.role for v in verdicts}

    def _votes(self, verdicts: Iterable[PersonVerdict]) -> int:
        roles = [*self._people(verdicts).values()]
        return 2 if roles.count(Role.REVIEWER) > 1 else 1

    def decisions(self, verdicts: Iterable[PersonVerdict]) -> list[Decision]:
        """Decide on every pair, in the order of the review."""
        votes, by_pair = self._votes(verdicts), defaultdict[str, list[PersonVerdict]](list)
        for verdict in verdicts:
            by_pair[verdict.pair].append(verdict)
        return [decide(pair, by_pair[pair.id], votes) for pair in self.pairs]

    def progress(self, person: str, role: Role) -> PersonProgress:
        """Return how many pairs a person has done, and how many there are to do."""
        own = person_verdicts(self._fresh(standing(self._store.rows(person))))
        done = {verdict.pair for verdict in own if verdict.complete}
        total = len(self.pairs)
        if role is Role.ADJUDICATOR:
            decisions = self.decisions(self.current()[0])
            total = len(done | {one.pair for one in decisions if one.disputed})
        return PersonProgress(person, role, len(done), total)

    def status(self) -> Status:
        """Return progress, agreement and what is decided."""
        recorded = (len(self._store.rows()), len(self._store.invited()))
        # Pages that are open ask again and again.
        if self._status and self._status[0] == recorded:
            return self._status[1]
        verdicts, stale = self.current()
        decisions = self.decisions(verdicts)
        fates = Counter(decision.fate for decision in decisions)
        found = Status(
            bench=self.bench,
            pairs=len(self.pairs),
            votes=self._votes(verdicts),
            people=tuple(
                self.progress(name, role) for name, role in sorted(self._people(verdicts).items())
            ),
            agreement=agreement(verdicts, {pair.id: pair.cluster for pair in self.pairs}),
            keep=fates[Fate.KEEP],
            drop=fates[Fate.DROP],
            open=fates[Fate.OPEN],
            disputed=sum(bool(decision.disputed) for decision in decisions),
            stale=stale,
        )
        self._status = (recorded, found)
        return found

    def add(self, rows: Sequence[Row]) -> None:
        """Record rows from elsewhere, all or none."""
        self._store.add(*rows)
