"""Measures held against labels: what an audit found of pairs, and what authors or people say.

Labels are those of `Pair.grades`; only grades of safe and unsafe count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlsbench.agreement import cohen_kappa, kappa_interval
from vlsbench.auditing.head import Estimate
from vlsbench.auditing.judged.figures import JudgedPair
from vlsbench.auditing.overlap.calibration import NAMED
from vlsbench.auditing.overlap.figures import OverlapPair
from vlsbench.judge import Part
from vlsbench.pairs import Grade, Pair
from vlsbench.stats import Rate, clustered_rate, numbered, paired_interval

NAMING, JUDGED, PATTERN = "query names the image", "judged harmful", "judged pattern"
WHOLE = "pattern"
COMPARISONS = (
    (NAMING, str(Part.TEXT)),
    *((JUDGED, str(part)) for part in Part),
    (PATTERN, WHOLE),
)
"""Finding, and the part of a pair whose grade it should agree with; `WHOLE` is all three."""
LETTERS = {Grade.SAFE: "S", Grade.UNSAFE: "U"}


@dataclass(frozen=True, slots=True)
class Graded:
    """A pair with grades, and what the measures found of it."""

    set: str
    cluster: str
    chars: int
    """Length of the query."""
    by: str
    """Whose the grades are: authors, people."""
    grades: str
    """Of text, image and pair, a letter each: S, U, or ? where nobody says or it is neither."""
    found: Mapping[tuple[str, str], str]
    """One of `COMPARISONS` → S, U, or the pattern."""

    def grade(self, part: str) -> str:
        """Return the letter of a part, or all three."""
        return self.grades if part == WHOLE else self.grades[[*Part].index(Part(part))]


@dataclass(frozen=True, slots=True)
class Held:
    """One finding held against the grades that it should agree with."""

    finding: str
    """`query names the image`, `judged harmful` or `judged pattern`."""
    part: str
    """What is graded: text, image, pair; `pattern` for all three."""
    by: str
    """Whose the grades are: authors, people."""
    pairs: int
    """Pairs with a finding and a grade of safe or unsafe."""
    confusion: Mapping[str, Mapping[str, int]]
    """Grade → finding → pairs: S is safe and U unsafe, a pattern has three letters."""
    unsafe: Rate
    """Share that is graded unsafe (of patterns: as a pair)."""
    found: Rate
    """Share that is found unsafe."""
    bias: Estimate
    """`found - unsafe`: above 0 where the finding says unsafe too often."""
    kappa: Estimate
    """Cohen's kappa: 0 is what the shares alone give, 1 is agreement; None where all grades, or all
    findings, are one."""
    majority: float
    """Agreement of the trivial baseline that says of all pairs what is graded most often."""
    length: float | None
    """Kappa of the best cut of the queries' lengths, chosen with the grades in hand; None of
    patterns, and where there is no kappa."""
    ungraded: int
    """Pairs with a finding and no grade of safe or unsafe."""
    unmeasured: int
    """Pairs with such a grade and no finding."""


@dataclass(frozen=True, slots=True)
class Against:
    """All of an audit that could be held against grades."""

    labels: tuple[Held, ...]


def graded(
    pair: Pair, name: str, overlap: OverlapPair | None, judged: JudgedPair | None
) -> Graded | None:
    """Put a pair's grades beside what was found of it; None where it has none."""
    if not pair.grades:
        return None
    found = {}
    if overlap and overlap.naming is not None:
        found[NAMING, str(Part.TEXT)] = "U" if overlap.naming >= NAMED else "S"
    for part in Part if judged else ():
        if judged and (label := judged.harmful_by(part)) is not None:
            found[JUDGED, str(part)] = "U" if label else "S"
    if judged and judged.pattern:
        found[PATTERN, WHOLE] = judged.pattern
    given = (pair.grades.text, pair.grades.image, pair.grades.pair)
    letters = "".join(LETTERS.get(grade, "?") for grade in given)
    return Graded(name, pair.cluster, len(pair.query), str(pair.grades.by), letters, found)


def hold(rows: Sequence[Graded]) -> Against:
    """Hold what was found of pairs, perhaps of several sets, against their grades."""
    people = sorted({row.by for row in rows})
    held = (_held(rows, by, *asked) for by in people for asked in COMPARISONS)
    return Against(tuple(filter(None, held)))


def _held(rows: Sequence[Graded], by: str, finding: str, part: str) -> Held | None:
    mine = [row for row in rows if row.by == by]
    every = [(row, row.grade(part), row.found.get((finding, part), "")) for row in mine]
    decided = [one for one in every if "?" not in one[1]]
    known = [one for one in decided if one[2]]
    if not known:
        return None
    chosen, graded, found = zip(*known, strict=True)
    clusters = numbered((row.set, row.cluster) for row in chosen)
    # Of a pattern, the last letter says whether the pair is unsafe.
    truth = np.array([grade[-1] == "U" for grade in graded])
    said = np.array([one[-1] == "U" for one in found])
    classes = sorted({*graded, *found})
    kinds, n = len(classes), len(known)
    cells = np.array([classes.index(a) * kinds + classes.index(b) for _, a, b in known])
    counts = Counter(zip(graded, found, strict=True))
    table = np.bincount(cells, minlength=kinds**2).reshape(kinds, kinds).astype(float)
    bias = float(said.mean() - truth.mean())
    kappa, length = Estimate(n, None, None, None), None
    # Where all grades are one, or all findings, their shares alone say all there is to say.
    if len(set(graded)) > 1 and len(set(found)) > 1:
        kappa = Estimate.of(n, cohen_kappa(table), kappa_interval(cells, kinds, clusters))
        length = None if part == WHOLE else _by_length([row.chars for row in chosen], truth)
    return Held(
        finding=finding,
        part=part,
        by=by,
        pairs=n,
        confusion={
            a: {b: counts[a, b] for b in classes if counts[a, b]} for a in sorted({*graded})
        },
        unsafe=clustered_rate(truth, clusters),
        found=clustered_rate(said, clusters),
        bias=Estimate.of(n, bias, paired_interval(truth, said, clusters)),
        kappa=kappa,
        majority=max(Counter(graded).values()) / n,
        length=length,
        ungraded=sum(bool(label) and "?" in grade for _, grade, label in every),
        unmeasured=len(decided) - n,
    )


def _by_length(chars: Sequence[int], truth: NDArray[np.bool_]) -> float | None:
    """Return the kappa of the best rule "longer (or shorter) than so many characters"."""
    sizes, sides = np.array(chars), (False, True)
    found = []
    for cut in sorted({*chars})[1:]:
        longer = sizes >= cut
        cells = [
            [np.sum((truth == unsafe) & (longer == long)) for long in sides] for unsafe in sides
        ]
        table = np.array(cells, float)
        found += [cohen_kappa(table), cohen_kappa(table[:, ::-1])]
    return max((one for one in found if one is not None), default=None)
