"""`vlsbench.review`: a review opened and served, from Python as on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from vlsbench.config import Option, resolve
from vlsbench.pairs import PairSet, load, parse_columns
from vlsbench.reviewing._people import Person, invite
from vlsbench.reviewing._review import Review, Status, open_review
from vlsbench.reviewing._serve import serve
from vlsbench.reviewing._store import Store
from vlsbench.text import file_name

REVIEWS = Path("reviews")
"""Where reviews go unless told otherwise."""

Ready = Callable[[str, Review, Sequence[Person]], None]
"""Is told the address, the review and who has a link, once connections are taken."""


@dataclass(frozen=True, kw_only=True)
class ReviewConfig:
    """The settings of `vlsbench review`, and the keys of its configuration file."""

    PANEL: ClassVar[str] = "The review"

    dataset: Annotated[
        str,
        Option(
            "Name, lab/NAME, or the path of a set of your own, such as OUT/pairs.", argument=True
        ),
    ]
    reviewers: Annotated[
        tuple[str, ...],
        Option(
            "Who reviews; may be repeated, each has a link.",
            flags=("--reviewer",),
            metavar="NAME",
            whole=True,
        ),
    ] = ()
    adjudicators: Annotated[
        tuple[str, ...],
        Option(
            "Who decides where reviewers disagree; may be repeated.",
            flags=("--adjudicator",),
            metavar="NAME",
            whole=True,
        ),
    ] = ()
    out: Annotated[
        Path | None, Option("Where verdicts go.", unset="reviews/DATASET", metavar="DIR")
    ] = None
    port: Annotated[int, Option("Port; 0 takes any free one and prints it.", least=0)] = 8710
    limit: Annotated[
        int | None, Option("Use a random sample of this many pairs.", least=1, metavar="N")
    ] = None
    seed: Annotated[int, Option("Random seed for sampling.")] = 0
    votes: Annotated[
        int | None,
        Option("Verdicts that decide a pair, at least.", least=1, unset="2; with one reviewer 1"),
    ] = None
    data: Annotated[Path | None, Option("Folder with the benchmark's official files.")] = None
    columns: Annotated[
        str, Option("For a custom dataset: FIELD=COLUMN,… (docs/benchmarks.md).")
    ] = ""
    skip_bad: Annotated[
        bool, Option("Leave unusable pairs out and record them, rather than stop.")
    ] = False

    @property
    def folder(self) -> Path:
        """Where verdicts go."""
        return self.out or folder_for(self.dataset)


def folder_for(dataset: str) -> Path:
    """Return where the review of a set is kept unless told otherwise."""
    return REVIEWS / file_name(dataset, "set", r"\w.=-", "-")


def review(
    dataset: str | os.PathLike[str] | PairSet,
    *,
    config: str | os.PathLike[str] | None = None,
    ready: Ready = lambda address, review, people: None,
    **settings: Any,
) -> Status:
    """Serve a review on this machine until Ctrl-C or SIGTERM: one pair a screen.

    Args:
        dataset: What `load` opens, or an opened set.
        config: A TOML file with the settings.
        ready: Is told where the review is served; `f"{address}/enter/{person.link}"` is a
            person's secret link.
        settings: Fields of `reviewing.ReviewConfig` (`reviewers`, `adjudicators`, `out`, `port`,
            `limit`, `votes`, …); they go before `config`.

    Returns:
        Progress, agreement and what is decided, as the review was left.

    Raises:
        MissingExtra: The extra `review` is not installed.
        VlsbenchError: The set cannot be opened, the port is in use, or the folder holds another
            review.
    """
    named = dataset.name if isinstance(dataset, PairSet) else os.fspath(dataset)
    given = {**settings, "dataset": named}
    found = resolve(ReviewConfig, given, file=Path(config) if config else None)
    return serve_review(found, pairs=dataset if isinstance(dataset, PairSet) else None, ready=ready)


def serve_review(
    config: ReviewConfig,
    *,
    pairs: PairSet | None = None,
    ready: Ready = lambda address, review, people: None,
) -> Status:
    """Do what `review` does, from its configuration; `pairs` in place of its `dataset`."""
    reviewers = config.reviewers or (() if config.adjudicators else ("reviewer",))
    people = invite(reviewers, config.adjudicators)
    if pairs is None:
        columns = parse_columns(config.columns) or None
        pairs = load(config.dataset, data=config.data, skip_bad=config.skip_bad, columns=columns)
    with Store.write(config.folder) as store:
        opened = open_review(
            pairs,
            store,
            limit=config.limit,
            seed=config.seed,
            votes=config.votes,
            skip_bad=config.skip_bad,
        )
        serve(opened, people, port=config.port, ready=lambda url: ready(url, opened, people))
        return opened.status()
