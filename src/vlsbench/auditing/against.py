"""Measures held against labels: what an audit found of pairs, and what authors or people say.

Labels are those of `Pair.grades`. A grade that is borderline or unknown is in no table of
agreement; how measures take borderline pairs is counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlsbench.agreement import cohen_kappa, kappa_interval
from vlsbench.auditing._head import Estimate
from vlsbench.auditing.judged import Judged, JudgedPair
from vlsbench.auditing.overlap import OverlapPair, OverlapSummary
from vlsbench.auditing.overlap.calibration import NAMED
from vlsbench.evaluation import Estimate as ShareEstimate
from vlsbench.judge import Part
from vlsbench.pairs import Grade, Pair
from vlsbench.stats import (
    Rate,
    clustered_rate,
    numbered,
    paired_interval,
)

NAMING, JUDGED, PATTERN = "query names the image", "judged harmful", "judged pattern"
WHOLE = "pattern"
COMPARISONS = (
    (NAMING, str(Part.TEXT)),
    *((JUDGED, str(part)) for part in Part),
    (PATTERN, WHOLE),
)
"""Finding, and the part of a pair whose grade it should agree with; `WHOLE` is all three."""
LETTERS = {Grade.SAFE: "S", Grade.UNSAFE: "U", Grade.BORDERLINE: "B"}


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
    """Of text, image and pair, a letter each: S, B, U, or ? where nobody says."""
    harmful: bool
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
    agreement: Rate
    """Share with the same label."""
    kappa: Estimate
    """Cohen's kappa: 0 is what the shares alone give, 1 is agreement; None where all grades, or all
    findings, are one."""
    majority: float | None
    """Agreement of the trivial baseline that says of all pairs what is graded most often."""
    length: float | None
    """Kappa of the best cut of the queries' lengths, chosen with the grades in hand; None of
    patterns, and where all grades are one."""
    borderline: Rate
    """Share found unsafe of the pairs that are graded borderline."""
    ungraded: int
    """Pairs with a finding and without a grade of this part."""
    unmeasured: int
    """Graded pairs without a finding."""


@dataclass(frozen=True, slots=True)
class HeldShare:
    """The corrected share of leaking pairs, which is to be quoted, held against the graded one.

    Where the text of every harmful pair is graded safe or unsafe.
    """

    finding: str
    by: str
    leak: Estimate
    """Corrected, of the harmful pairs."""
    unsafe: Rate
    """Share of the harmful pairs whose text is graded unsafe."""
    bias: Estimate
    """`leak - unsafe`; its interval takes the two for independent, and is rather too wide."""


@dataclass(frozen=True, slots=True)
class Against:
    """All of an audit that could be held against grades."""

    labels: tuple[Held, ...]
    shares: tuple[HeldShare, ...] = ()


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
    by = str(pair.grades.by)
    return Graded(name, pair.cluster, len(pair.query), by, letters, pair.harmful, found)


def hold(
    rows: Sequence[Graded], overlap: OverlapSummary | None = None, judged: Judged | None = None
) -> Against:
    """Hold findings against grades.

    Args:
        rows: Pairs with grades, perhaps of several sets.
        overlap: Measure A of the one set that they are of; gives its corrected share.
        judged: Measure B of it.
    """
    labels, shares = list[Held](), list[HeldShare]()
    for by in sorted({row.by for row in rows}):
        mine = [row for row in rows if row.by == by]
        labels += filter(None, (_held(mine, by, *asked) for asked in COMPARISONS))
        shares += _shares([row for row in mine if row.harmful], by, overlap, judged)
    return Against(tuple(labels), tuple(shares))


def _held(rows: Sequence[Graded], by: str, finding: str, part: str) -> Held | None:
    known = [(row, row.grade(part), row.found.get((finding, part))) for row in rows]
    decided = [one for one in known if not set(one[1]) - {"S", "U"}]
    both = [(row, grade, found) for row, grade, found in decided if found]
    if not both:
        return None
    chosen, graded, found = zip(*both, strict=True)
    clusters = numbered((row.set, row.cluster) for row in chosen)
    # Of a pattern, the last letter says whether the pair is unsafe.
    truth = np.array([grade[-1] == "U" for grade in graded])
    said = np.array([one[-1] == "U" for one in found])
    classes = sorted({*graded, *found})
    kinds = len(classes)
    cells = np.array([classes.index(a) * kinds + classes.index(b) for _, a, b in both])
    counts = Counter(zip(graded, found, strict=True))
    borderline = [(row, one) for row, grade, one in known if one and "B" in grade]
    table = np.bincount(cells, minlength=kinds**2).reshape(kinds, kinds).astype(float)
    # Where all grades are one, or all findings, their shares alone say all there is to say.
    told = len(set(graded)) > 1 and len(set(found)) > 1
    return Held(
        finding=finding,
        part=part,
        by=by,
        pairs=len(both),
        confusion={
            a: {b: counts[a, b] for b in classes if counts[a, b]} for a in sorted({*graded})
        },
        unsafe=clustered_rate(truth, clusters),
        found=clustered_rate(said, clusters),
        bias=Estimate.of(
            len(both), float(said.mean() - truth.mean()), paired_interval(truth, said, clusters)
        ),
        agreement=clustered_rate([a == b for _, a, b in both], clusters),
        kappa=Estimate.of(len(both), cohen_kappa(table), kappa_interval(cells, kinds, clusters))
        if told
        else Estimate(len(both), None, None, None),
        majority=max(Counter(graded).values()) / len(both),
        length=_by_length([row.chars for row in chosen], truth) if told and part != WHOLE else None,
        borderline=clustered_rate(
            [one[-1] == "U" for _, one in borderline],
            numbered((row.set, row.cluster) for row, _ in borderline),
        ),
        ungraded=sum(bool(found) and "?" in grade for _, grade, found in known),
        unmeasured=len(decided) - len(both),
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


def _shares(
    rows: Sequence[Graded], by: str, overlap: OverlapSummary | None, judged: Judged | None
) -> Iterator[HeldShare]:
    if not {row.grades[0] for row in rows} <= {"S", "U"}:
        return  # the share is of all harmful pairs: their grades must be known
    unsafe = clustered_rate(
        [row.grades[0] == "U" for row in rows], numbered((row.set, row.cluster) for row in rows)
    )
    whole = ShareEstimate.of(unsafe)
    for finding, leak in (
        (NAMING, overlap and overlap.group.leak),
        (JUDGED, judged and judged.group.leak),
    ):
        if not (whole and leak) or leak.value is None or leak.low is None or leak.high is None:
            continue
        apart = ShareEstimate(leak.value, leak.low, leak.high).less(whole)
        bias = Estimate(leak.n, apart.value, apart.low, apart.high)
        yield HeldShare(finding, by, leak, unsafe, bias)
