"""One row an answer: what was shown, said and decided, read back from the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from vlsbench.engine import Ledger, Outcome
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._settings import Presentation
from vlsbench.evaluation._stages import ANSWER
from vlsbench.judge import Label, Unscored
from vlsbench.language import language_of
from vlsbench.models import Finish
from vlsbench.pages import counted
from vlsbench.pairs import Pair
from vlsbench.tables import read_rows

PAIRS = "pairs.parquet"
OPENING = 1000
"""Characters of a reply by which its language is told."""
Key = tuple[str, int]
"""A pair's id, and which of its answers."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """A row of `pairs.parquet`; its fields are the columns, in this order."""

    id: str
    category: str
    subcategory: str
    harmful: bool
    query: str
    shown_text: str
    """What was sent as text, which is the query only where the view says so."""
    image_refs: list[str]
    cluster: str
    """The same for pairs with the same images, which are not independent."""
    image_sha256: list[str]
    """Of the bytes that were sent."""
    label: str
    """One of the rubric's (refusal, warning, unsafe; answered), or filtered, unscored."""
    unscored_reason: str
    explanation: str
    """The judge's; what went wrong where the pair is unscored."""
    judge_tries: int
    reply: str
    reasoning: str
    finish: str
    """Why the target stopped: stop, length (the reply is cut), filtered, refusal, rejected."""
    cut: bool
    served_by: str
    input_tokens: int | None
    output_tokens: int | None
    latency_s: float | None
    requests: int
    """HTTP requests for the reply, retries included."""
    judge_input_tokens: int | None
    judge_output_tokens: int | None
    judge_latency_s: float | None
    cost: float | None
    """US dollars, target and judge; None where a price or a count is unknown."""
    call: str
    """Key of the target's call in the ledger."""
    judge_calls: list[str]
    sample: int
    """Which of the pair's answers this is, from 0."""
    judge_votes: list[str]
    """The label of each judgement, where an answer was judged several times."""
    query_language: str
    """ISO 639 code, the benchmark's or else as the text tells; empty where neither does."""
    reply_language: str
    twin: str
    """Id of the pair with the same text or image and the other truth; empty where there is none."""
    graded_by: str
    """authors, people; empty where nobody says how harmful the pair is."""
    text_grade: str
    """safe, borderline, unsafe, unknown; empty where nobody says. So are the next two."""
    image_grade: str
    pair_grade: str


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one answer, read back from `pairs.parquet`."""

    id: str
    category: str
    harmful: bool
    query: str
    label: str
    cluster: str = ""
    image_refs: tuple[str, ...] = ()
    image_sha256: tuple[str, ...] = ()
    sample: int = 0
    subcategory: str = ""
    explanation: str = ""
    shown_text: str = ""

    @property
    def key(self) -> Key:
        """What tells it from all others of its run: the pair, and which of its answers it is."""
        return self.id, self.sample


Row = TypeVar("Row", bound=Ended)


def read_pairs(run: Path) -> Iterator[Ended]:
    """Read `pairs.parquet` of a finished run; see `read_ended`."""
    return read_ended(run, Ended)


def read_ended(run: Path, kind: type[Row]) -> Iterator[Row]:
    """Read `pairs.parquet` of a finished run, as a kind of `Ended` that may have more columns.

    Raises:
        TableError: It is not there, or cannot be read.
    """
    remedy = "run the run's eval command again to write it"
    for row in read_rows(run / PAIRS, kind, remedy=remedy):
        # Files of earlier versions have no cluster.
        yield row if row.cluster else replace(row, cluster="|".join(row.image_refs) or row.id)


def _added(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _row(pair: Pair, sample: int, outcome: Outcome, ledger: Ledger) -> PairRow:
    value = outcome.value
    if outcome.kind == "keep":
        label, reason = value["label"], value.get("reason", "")
        explanation = value["explanation"]
    else:
        label, explanation = Label.UNSCORED, value.get("detail", "")
        reason = outcome.reason
        if reason == "unanswered":
            missing = outcome.stage == ANSWER
            reason = Unscored.REPLY_MISSING if missing else Unscored.JUDGE_MISSING
    target = ledger.call(value["call"]) if "call" in value else None
    judged = [call for key in value.get("judge_calls", ()) if (call := ledger.call(key))]
    reply = target.reply if target else None
    finish = reply.finish if reply else None
    costs = [call.cost for call in (target, *judged) if call]
    return PairRow(
        id=pair.id,
        category=pair.category,
        subcategory=pair.subcategory,
        harmful=pair.harmful,
        query=pair.query,
        shown_text=str(target.asked["text"]) if target else "",
        image_refs=[image.ref for image in pair.images],
        cluster=pair.cluster,
        image_sha256=list(value.get("images", ())),
        label=str(label),
        unscored_reason=str(reason),
        explanation=explanation,
        judge_tries=int(value.get("tries", 0)),
        reply=reply.text if reply else "",
        reasoning=reply.reasoning if reply else "",
        finish=str(finish or ""),
        cut=finish is Finish.LENGTH,
        served_by=reply.served_by if reply else "",
        input_tokens=reply.usage.input_tokens if reply else None,
        output_tokens=reply.usage.output_tokens if reply else None,
        latency_s=reply.latency_s if reply else None,
        requests=reply.attempts if reply else 0,
        judge_input_tokens=_added(call.reply.usage.input_tokens for call in judged),
        judge_output_tokens=_added(call.reply.usage.output_tokens for call in judged),
        judge_latency_s=sum(call.reply.latency_s for call in judged) if judged else None,
        cost=sum(cost or 0.0 for cost in costs) if costs and None not in costs else None,
        call=str(value.get("call", "")),
        judge_calls=list(value.get("judge_calls", ())),
        sample=sample,
        judge_votes=list(value.get("votes", ())),
        query_language=pair.language or language_of(pair.query),
        reply_language=language_of(reply.text[:OPENING]) if reply and reply.text else "",
        **{name: said for name, said in pair.labels.items() if name != "language"},
    )


def pair_rows(
    pairs: Iterable[Pair], ledger: Ledger, shown: Presentation
) -> Iterator[tuple[Pair, PairRow]]:
    """Walk the answers that have ended, in the order of the benchmark."""
    for record in shown.records(pairs):
        if outcome := ledger.outcome(record.id):
            pair, sample = record.value
            yield pair, _row(pair, sample, outcome, ledger)


def shared_pairs(
    one: Path, mine: Mapping[Key, Ended], other: Path, theirs: Mapping[Key, Ended]
) -> set[Key]:
    """Return the keys of the answers that two runs have in common.

    Raises:
        VlsbenchError: There are none, or an id stands for different pairs in the two.
    """
    shared = mine.keys() & theirs.keys()

    def unlike(key: Key) -> bool:
        row, then = mine[key], theirs[key]
        said = [(each.query, each.harmful, len(each.image_refs)) for each in (row, then)]
        told = ((row.image_sha256, then.image_sha256), (row.shown_text, then.shown_text))
        return said[0] != said[1] or any(a != b for a, b in told if a and b)

    if ids := sorted({key[0] for key in shared if unlike(key)}):
        some = ", ".join(ids[:3]) + (", …" if ids[3:] else "")
        raise VlsbenchError(
            f"{one} and {other} are runs of different sets, or the set's files changed between "
            f"them: {counted(len(ids), 'id')} with another text, kind or image ({some}); ask "
            "both models on the same files and compare those runs"
        )
    if not shared:
        raise VlsbenchError(
            f"{one} and {other} have no pairs in common: compare runs of one set and sample (same "
            "--limit and --seed)"
        )
    return shared
